"""Where the commands of a page are typed: a workstation of its own, with the real service and a practice XNAT.

What the pages call `/srv/xnat`, `/var/lib/xnat-watchd`, `/etc/xnat-watchd/config.toml`, `https://xnat.example.org` lies
elsewhere here, and is put in its place in what is typed and in what is printed.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pty
import re
import secrets
import select
import shutil
import signal
import socket
import sqlite3
import stat
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests import warm
from xnat_watchd.interfaces.cli.rights import login_name
from xnat_watchd.sandbox import Options, Sandbox

COLUMNS, LINES = 80, 40  #: of the terminal on which the commands are typed
DEADLINE = 30.0  #: seconds after which what has not happened never will
LOGIN = ("tech", "secret")
PERSON = "anna"  #: who types
PROJECTS = ("MYPROJECT", "BRAIN", "READERS")
SERVER, ROOT, CONFIG = "https://xnat.example.org", "/srv/xnat", "/etc/xnat-watchd/config.toml"
STATE, BACKUPS = "/var/lib/xnat-watchd", "/var/backups"
AS_ITS_USER = "-o xnat-watchd -g xnat-watchd "  #: what needs root
NEW_SERVER = "https://images.example.org"  #: where XNAT answers once it has moved
QUIET = "500ms"  #: for how long a ZIP stands still here, and not ten seconds

SETTINGS = """\
[xnat]
server = "{server}"
project = "MYPROJECT"

[folders]
root = "{root}"

[intake]
quiet_for = "{quiet}"

[limits]
keep_free = "1MB"
"""


@dataclass
class Stage:
    """One workstation. Its folder has a name as long as `/srv/xnat`, so that lines end where a reader's end."""

    options: Options | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self.root = self._folder()
        self.home = self.root.with_name(f"{self.root.name}.home")
        self.home.mkdir(mode=0o700)
        self._stack.callback(shutil.rmtree, self.home, ignore_errors=True)
        self.config = self.home / "config.toml"
        self.xnat = self._stack.enter_context(
            Sandbox(self.home / "xnat", users=dict([LOGIN]), projects=PROJECTS, options=self.options)
        )
        self.addresses = {SERVER: self.xnat.url}
        self.service: _Service | None = None
        (self.root / "drop").mkdir()
        self.write(SETTINGS)
        self.environment = _environment(self.home, self.config)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._stack.__exit__(kind, error, trace)

    def _folder(self) -> Path:
        path = _short_folder()
        self._stack.callback(shutil.rmtree, path, ignore_errors=True)
        return path

    def write(self, settings: str) -> None:
        """Write the settings."""
        text = settings.format(server=self.xnat.url, root=self.root, quiet=QUIET)
        self.config.write_text(text, "utf-8")

    def log_in(self) -> None:
        """Store the login, as `xnat-watchd login` does."""
        typed = "".join(f"{line}\n" for line in LOGIN)
        done = warm.run(["login"], self.environment, typed=typed, timeout=DEADLINE)
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start the service, and wait until it takes ZIPs."""
        self.service = _Service(self)
        self.service.wait_for("READY=1")

    def stop(self) -> None:
        """Stop the service, if it runs."""
        if self.service is not None:
            self.service.stop()
            self.service = None

    def wait_for_an_answer(self) -> None:
        """Wait until the service has had an answer of XNAT: else it may meet what comes next without any ZIP."""
        self.settle(lambda now: now["daemon"]["heard"] is not None)

    def settle(self, until: Callable[[Mapping[str, Any]], bool] = lambda _: True) -> None:
        """Wait until the service has done what it can do now, and until its status is so."""
        late = time.monotonic() + DEADLINE
        while self.service is not None and not (until(now := self.status()) and self._is_idle(now)):
            assert time.monotonic() < late, now
            self.service.wait_for("=")

    def _is_idle(self, now: Mapping[str, Any]) -> bool:
        if now["daemon"]["settling"] or now["daemon"]["uploads"] or now["studies"] != self._studies():
            return False  # what is published is older than what is known
        if now["paused"] or is_full(now):
            return True
        dropped = [path for path in (self.root / "drop").rglob("[!.]*") if path.is_file()]
        if len(dropped) > len(now["ignored"]) or now["deliveries"].get("arriving", 0):
            return False
        if not now["gate"]["open"]:
            return not (now["gate"]["login"] and self._has_new_login(now["gate"]["since"]))
        return not [row for row in now["under_way"] if row["standing"] in {"ready", "busy"}]

    def _has_new_login(self, since: str) -> bool:
        """Return whether a login was stored since then, which the service tries within a second."""
        stored = [path.stat().st_mtime for path in self.root.rglob("credentials.json")]
        return any(at - datetime.fromisoformat(since).timestamp() > 1.0 for at in stored)  # the time is whole seconds

    def _studies(self) -> dict[str, dict[str, int]]:
        """Return how many studies the ledger has of each progress and standing."""
        found: dict[str, dict[str, int]] = {}
        with closing(sqlite3.connect(f"file:{self.root}/ledger.sqlite?mode=ro", uri=True)) as db:
            for progress, standing, count in db.execute(
                "SELECT progress, standing, count FROM study_counts WHERE count > 0"
            ):
                found.setdefault(progress, {})[standing] = count
        return found

    def status(self) -> dict[str, Any]:
        """Return what `status --json` prints."""
        said = warm.run(["status", "--json"], self.environment, timeout=DEADLINE).stdout
        found: dict[str, Any] = json.loads(said)
        return found

    def move_server(self) -> None:
        """Have XNAT answer at another address from now on."""
        self.wait_for_an_answer()
        self.xnat.stop()
        self.xnat.start()
        self.addresses[NEW_SERVER] = self.xnat.url

    def move_here(self) -> None:
        """Copy all of it to another workstation, and go on there."""
        old, self.root = self.root, self._folder()
        shutil.copytree(old, self.root, dirs_exist_ok=True)
        shutil.rmtree(old)
        self.write(SETTINGS)

    def here(self, text: str) -> str:
        """Return what a page says, with the places of this workstation."""
        for said, real in self.addresses.items():
            text = text.replace(said, real)
        text = text.replace(STATE, str(self.root)).replace(BACKUPS, str(self.home)).replace(AS_ITS_USER, "")
        return text.replace(CONFIG, str(self.config)).replace(ROOT, str(self.root))

    def there(self, text: str) -> str:
        """Return what was printed, with the places that the page names."""
        text = text.replace(str(self.config), CONFIG)
        for said, real in self.addresses.items():
            text = text.replace(real, said)
        text = text.replace(str(self.home), "~").replace(str(self.root), ROOT)
        return re.sub(rf"\bby {re.escape(login_name())}\b", f"by {PERSON}", text)

    def type(self, command: str, answers: Sequence[str] = ()) -> tuple[int, str]:
        """Type a command at a shell on a terminal, with answers to what it asks; return its code and what it showed."""
        code, shown = _on_terminal(self.here(command), self.environment, self.home, answers)
        return code, self.there(shown)


def is_full(now: Mapping[str, Any]) -> bool:
    """Return whether a status says that the disk is full."""
    return any(row["item"] == "disk" for row in now["attention"])


class _Service:
    """`run`, which tells by notifications when it is ready, and several times a second that it is well."""

    def __init__(self, stage: Stage) -> None:
        path = stage.home / "notify"
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(DEADLINE)
        environment = {**stage.environment, "NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "1000000"}
        self._journal = stage.home / "journal.txt"
        with self._journal.open("ab") as journal:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "xnat_watchd", "run"], stderr=journal, env=environment
            )

    def wait_for(self, words: str) -> None:
        while words not in self._socket.recv(65536).decode():
            if self.process.poll() is not None:
                raise AssertionError(self._journal.read_text("utf-8"))

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(DEADLINE)
        self._socket.close()


def _short_folder() -> Path:
    while True:
        path = Path("/tmp") / secrets.token_hex(2)  # noqa: S108 - made here, and nobody else's
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return path


def _environment(home: Path, config: Path) -> dict[str, str]:
    """Return the environment of who types: a home, the settings, and `xnat-watchd` where a shell finds it."""
    programs = home / "bin"
    programs.mkdir()
    for name, words in {"xnat-watchd": " -m xnat_watchd", "python": ""}.items():
        command = programs / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}"{words} "$@"\n', "utf-8")
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XNAT_WATCHD_", "XDG_"))}
    return {
        **kept,
        "HOME": str(home), "PATH": f"{programs}:{os.environ['PATH']}", "TZ": "UTC", "LC_ALL": "C.UTF-8", "TERM": "dumb",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "XNAT_WATCHD_CONFIG": str(config),
    }  # fmt: skip


def _on_terminal(command: str, environment: Mapping[str, str], folder: Path, answers: Sequence[str]) -> tuple[int, str]:
    """Run a command whose output is a terminal. What it says on the way is no terminal's, and so comes line by line."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    said, says = os.pipe()
    stdin = theirs if answers else subprocess.DEVNULL
    stderr = theirs if answers else says  # a question and its answer stand on one line
    process = subprocess.Popen(  # noqa: S603 - what a page of ours says
        ["/bin/bash", "-o", "pipefail", "-c", command], env=dict(environment), cwd=folder,
        stdin=stdin, stdout=theirs, stderr=stderr, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    os.close(says)
    if answers:
        os.close(said)
    shown = _read_all(process, [ours, *([] if answers else [said])], answers)
    return process.wait(DEADLINE), shown.replace("\r\n", "\n")


def _read_all(process: subprocess.Popen[bytes], ends: Sequence[int], answers: Sequence[str]) -> str:
    """Return what comes through these until all are closed, in the order in which it came. Questions are answered."""
    shown, left, to_say = b"", [*ends], [*answers]
    while left:
        ready, _, _ = select.select(left, [], [], DEADLINE)
        if not ready:
            process.kill()
            raise AssertionError(f"nothing was said for {DEADLINE} seconds: {shown!r}")
        for end in ready:
            try:
                data = os.read(end, 65536)
            except OSError as error:
                if error.errno != errno.EIO:  # so a terminal says that it was closed
                    raise
                data = b""
            shown += data
            if not data:
                left.remove(end)
                os.close(end)
        if to_say and shown.endswith(b": "):
            os.write(ends[0], to_say.pop(0).encode() + b"\n")
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode("utf-8", "replace"))
