"""The same wheel where there is no systemd: an ordinary user who runs it by hand."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.whole.systemd.machine import Machine
from tests.whole.systemd.service import OUTSIDER, PASSWORD, USER
from xnat_watchd.sandbox import Sandbox
from xnat_watchd.sandbox.samples import CANARIES, study, uid, write_zip

HOME = f"/home/{OUTSIDER}"
PROGRAM = "/opt/xnat-watchd/bin/xnat-watchd"
AS_THEM = f"exec setpriv --reuid={OUTSIDER} --regid={OUTSIDER} --init-groups"
WITHOUT = f'mount -t tmpfs none /run && {AS_THEM} env HOME={HOME} "$@"'
"""Neither a running systemd nor a journal can be reached where /run is empty."""


@dataclass
class Person:
    """Somebody who types our commands on a machine without systemd."""

    machine: Machine
    heard: list[str] = field(default_factory=list)

    def types(self, *words: str, typed: str = "", expect: int = 0) -> str:
        """Run one command; give all that it prints."""
        own = (PROGRAM, "--config", f"{HOME}/own.toml", *words)
        done = self.machine.run("unshare", "--mount", "sh", "-c", WITHOUT, "sh", *own, typed=typed, check=False)
        self.heard += [done.stdout, done.stderr]
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr

    def owns(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the system as them."""
        return self.machine.run(*command, user=OUTSIDER)


def test_a_user_without_rights_or_systemd_can_work_off_a_folder(machine: Machine, tmp_path: Path) -> None:
    bob = Person(machine)
    with Sandbox(tmp_path / "xnat", users={USER: PASSWORD}, projects=["P1"]) as xnat:
        settings = f'[xnat]\nserver = "{xnat.url}"\nproject = "P1"\n[folders]\nroot = "{HOME}/images"\n'
        machine.write(f"{HOME}/own.toml", settings + '[intake]\nquiet_for = "200ms"\n', OUTSIDER)
        bob.owns("mkdir", "-p", f"{HOME}/images/drop")
        write_zip(machine.path(f"{HOME}/images/drop/scan.zip"), study(1))
        machine.run("chown", f"{OUTSIDER}:", f"{HOME}/images/drop/scan.zip")
        assert f"knows you as {USER}" in bob.types("login", typed=f"{USER}\n{PASSWORD}\n")
        assert "ok        login" in bob.types("check")
        bob.types("run", "--once")
        assert sorted(one.sop_uid for one in xnat.instances()) == sorted(uid(1, 1, n) for n in (1, 2, 3))
        assert json.loads(bob.types("status", "--json"))["deliveries"] == {"finished": 1}
        assert "no service runs here" in bob.types("reload", expect=78)
        assert "only root" in bob.types("install", expect=2)
        bob.types("logout")
    for name in ("ledger.sqlite", "login/credentials.json"):
        assert bob.owns("stat", "--format=%a", f"{HOME}/images/{name}").stdout == "600\n"
    everything = "\n".join(bob.heard).lower()
    assert not [canary for canary in (*CANARIES, PASSWORD) if canary.lower() in everything]
