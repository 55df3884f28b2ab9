"""The program on a machine, as its administrator and the people at the scanner deal with it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from release import bundle
from release.tools import WHEELS as WHEELS_LOCK
from tests.whole.systemd.machine import PYTHON, Machine, cached, outside, until
from xnat_watchd.sandbox import Sandbox
from xnat_watchd.sandbox.samples import CANARIES, Member, write_zip

REPOSITORY = Path(__file__).parents[3]
BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE", "xnat_watchd", "config", "share", "systemd")
WHEELS = "/wheels"
UNIT, DROP_INS = "xnat-watchd.service", "/etc/systemd/system/xnat-watchd.service.d"
UNIT_FILE = f"/usr/local/lib/systemd/system/{UNIT}"
CONFIGURATION = "/etc/xnat-watchd/config.toml"
OPERATOR_SOCKET, OPERATOR_UNIT = "xnat-watchd-operator.socket", "xnat-watchd-operator@.service"
WEB_SOCKET, WEB_UNIT = "xnat-watchd-web.socket", "xnat-watchd-web.service"
TECH, OUTSIDER, COORDINATOR = "alice", "bob", "carol"
"""Somebody who may drop files, somebody who may not, and somebody who may decide too."""
USER, PASSWORD, ROTATED = "tech", "nobody-knows-7431", "nobody-guesses-2095"
"""The account on XNAT, and a later password of it."""


def wheels(folder: Path, version: str) -> None:
    """Put the program as a wheel of this version into a folder."""
    source = folder.parent / f"source-{version}"
    for name in BUILT_FROM:
        kind = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        kind(REPOSITORY / name, source / name)
    for name, line in (("pyproject.toml", 'version = "{}"'), ("xnat_watchd/__init__.py", '__version__ = "{}"')):
        text = (source / name).read_text()
        before = re.search(line.format('([^"]+)'), text)
        assert before, name
        (source / name).write_text(text.replace(before[0], line.format(version)))
    _pip("wheel", "--no-deps", f"--wheel-dir={folder}", str(source))


def dependencies() -> Path:
    """Return a folder with the wheels of everything that the program needs, for the machine's Python."""
    name = f"wheels-{PYTHON}-{sha256(WHEELS_LOCK.read_bytes()).hexdigest()[:12]}"
    return cached(name, lambda folder: bundle.fetch_others(folder, PYTHON))


def _pip(*words: str) -> None:
    outside(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words)


def install_program(machine: Machine, version: str) -> None:
    """Do what the documentation tells an administrator: an environment below /opt, and pip."""
    if not machine.path("/opt/xnat-watchd").exists():
        machine.run("python3", "-m", "venv", "/opt/xnat-watchd")
    pip = ("/opt/xnat-watchd/bin/pip", "install", "--quiet", "--no-index")
    machine.run(*pip, f"--find-links={WHEELS}/ours", f"--find-links={WHEELS}/others", f"xnat-watchd=={version}")


@dataclass
class Service:
    """The service, and the XNAT that it works for."""

    machine: Machine
    xnat: Sandbox
    cursor: str
    later: list[timedelta]  #: by how much the server's clock is ahead
    heard: list[str] = field(default_factory=list)  #: what was shown to people

    def configure(self, **more: dict[str, Any]) -> None:
        """Edit the file that `install` has placed, as an administrator does, and give it a login."""
        text = self.machine.path(CONFIGURATION).read_text()
        settings: dict[str, dict[str, Any]] = {
            "xnat": {"server": self.xnat.url, "project": "P1"},
            "intake": {"quiet_for": "200ms"},
            "pipeline": {"retry_first": "200ms"},
        }
        for section, values in [*settings.items(), *more.items()]:
            for key, value in values.items():
                text = _edited(text, section, key, value)
        self.machine.write(CONFIGURATION, text)

    def leave_login(self) -> None:
        """Leave the login where systemd looks for it."""
        self.machine.write("/etc/credstore/xnat_user", f"{USER}\n", mode=0o600)
        self.machine.write("/etc/credstore/xnat_password", f"{PASSWORD}\n", mode=0o600)

    def take_login_away(self) -> None:
        """Leave no login where systemd looks for one."""
        self.machine.run("rm", "/etc/credstore/xnat_user", "/etc/credstore/xnat_password")

    def says(self, *words: str, typed: str = "", user: str = "root", expect: int = 0) -> str:
        """Run one of our commands, and give all that it prints."""
        done = self.machine.run("xnat-watchd", *words, typed=typed, user=user, check=False)
        self.heard += [done.stdout, done.stderr]
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr

    def log_in(self, password: str = "", *words: str) -> str:
        """Have the administrator type user and password."""
        return self.says("login", *words, typed=f"{USER}\n{password or PASSWORD}\n")

    def rotate_password(self) -> None:
        """Change the password in XNAT."""
        self.xnat.add_user(USER, ROTATED)
        self.xnat.grant(USER, "P1", "member")

    def of_process(self, what: str) -> str:
        """Return the content of a file of /proc about the daemon: its `environ` or `cmdline`."""
        return self.machine.says("cat", f"/proc/{self.shows('MainPID')}/{what}")

    def drop_in(self, *lines: str) -> None:
        """Change the unit as `systemctl edit` does."""
        self.machine.write(f"{DROP_INS}/override.conf", "[Service]\n" + "".join(f"{line}\n" for line in lines))
        self.machine.run("systemctl", "daemon-reload")

    def systemctl(self, verb: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `systemctl` for the service."""
        return self.machine.run("systemctl", verb, "xnat-watchd", check=check)

    def start(self) -> None:
        """Start, and show what is in the journal where that fails."""
        done = self.systemctl("start", check=False)
        assert done.returncode == 0, done.stderr + self.journal()

    def shows(self, name: str) -> str:
        """Return a property of the unit."""
        return self.machine.says("systemctl", "show", "--property", name, "--value", UNIT)

    def is_(self, **properties: str) -> bool:
        """Return whether the unit has these properties now."""
        return all(self.shows(name) == value for name, value in properties.items())

    def systemctl_kill(self, number: signal.Signals) -> None:
        """Send the daemon itself a signal."""
        self.machine.run("systemctl", "kill", f"--signal={number.value}", "--kill-whom=main", UNIT)

    def drop(self, name: str, members: Iterable[Member], to: str = "/srv/xnat/drop") -> None:
        """Have somebody of the group copy a ZIP into the drop folder."""
        home = f"/home/{TECH}/{name}"
        write_zip(self.machine.path(home), members)
        self.machine.run("chown", f"{TECH}:", home)
        self.machine.run("cp", home, to, user=TECH)

    def status(self, user: str = TECH, *words: str) -> subprocess.CompletedProcess[str]:
        """Have somebody ask how it is."""
        done = self.machine.run("xnat-watchd", "status", *words, user=user, check=False)
        self.heard += [done.stdout, done.stderr]
        return done

    def snapshot(self, user: str = TECH) -> dict[str, Any]:
        """Return the status as programs get it."""
        done = self.status(user, "--json")
        assert done.stdout, done.stderr
        snapshot: dict[str, Any] = json.loads(done.stdout)
        return snapshot

    def uploads(self) -> list[dict[str, int]]:
        """Return the uploads under way, each with bytes sent and bytes in all."""
        uploads: list[dict[str, int]] = self.snapshot()["daemon"]["uploads"]
        return uploads

    def journal(self, priority: int = 7) -> str:
        """Return what this test's service, and systemd about it, wrote to the journal, up to a syslog priority."""
        ours = [one for one in self.entries() if UNIT in (one.get("_SYSTEMD_UNIT"), one.get("UNIT"))]
        return "\n".join(_text(one["MESSAGE"]) for one in ours if int(str(one.get("PRIORITY", 6))) <= priority)

    def entries(self) -> list[dict[str, object]]:
        """Return every entry of the machine's journal since this test began.

        They are chosen here: after a cursor, systemd 252 passes over the first entry that matches.
        """
        self.machine.run("journalctl", "--sync")
        words = ("--output=json", "--all", "--no-pager", f"--after-cursor={self.cursor}")
        return [json.loads(line) for line in self.machine.says("journalctl", *words).splitlines()]

    def finished(self) -> list[str]:
        """Return the names of the ZIPs that are done."""
        return sorted(path.name for path in self.machine.path("/srv/xnat/done").rglob("*.zip"))

    def wait_for(self, *names: str, seconds: float = 30) -> None:
        """Wait until ZIPs of these names are done, and no others."""
        until(lambda: self._done() == sorted(names), seconds, f"{names} done")

    def _done(self) -> list[str]:
        return sorted(name.partition("_")[2] for name in self.finished())

    def held(self) -> list[tuple[str, str]]:
        """Return each instance that XNAT holds, and where it is."""
        return sorted((one.sop_uid, one.where) for one in self.xnat.instances())

    def check_privacy(self) -> None:
        """Fail where a patient or a secret shows in what people or the journal of the whole machine were told."""
        told = [_text(value) for entry in self.entries() for value in entry.values()]
        everything = "\n".join([*told, self.shows("StatusText"), *self.heard]).lower()
        secrets = (PASSWORD, ROTATED, *self._tokens())
        assert not [canary for canary in (*CANARIES, *secrets) if canary.lower() in everything]

    def _tokens(self) -> list[str]:
        """Return the secrets that lie in the service's own file."""
        kept = self.machine.path("/var/lib/xnat-watchd/login/credentials.json")
        return [one["password"] for one in json.loads(kept.read_text())["servers"].values()] if kept.exists() else []


def _text(value: object) -> str:
    """Return a field's text. A field that is not text comes as bytes, and several fields of one name as a list."""
    if isinstance(value, list) and all(isinstance(one, int) for one in value):
        return bytes(value).decode(errors="replace")
    return str(value)


def _edited(text: str, section: str, key: str, value: object) -> str:
    """Set a key of a section, by its line, or by a new one where it has none."""
    head, _, rest = text.partition(f"[{section}]\n")
    body, mark, tail = rest.partition("\n[")
    line = f"{key} = {json.dumps(value)}\n"
    found = re.search(rf"^#?{key} = .*\n", body, re.MULTILINE)
    assert found, f"{section}.{key}"
    return f"{head}[{section}]\n{body.replace(found[0], line)}{mark}{tail}"
