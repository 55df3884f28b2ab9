"""The same wheel where there is no service: an ordinary user who runs it by hand."""

from __future__ import annotations

import json
from pathlib import Path

from tests.whole.systemd.machine import Machine
from tests.whole.systemd.service import OUTSIDER
from xnat_watchd.sandbox import Sandbox
from xnat_watchd.sandbox.samples import CANARIES, study, uid, write_zip

HOME = f"/home/{OUTSIDER}"
PROGRAM = "/opt/xnat-watchd/bin/xnat-watchd"


def test_a_user_without_rights_or_systemd_can_work_off_a_folder(machine: Machine, tmp_path: Path) -> None:
    with Sandbox(tmp_path / "xnat", users={"tech": "secret"}, projects=["P1"]) as xnat:
        settings = f'[xnat]\nserver = "{xnat.url}"\nproject = "P1"\n[folders]\nroot = "{HOME}/images"\n'
        machine.write(f"{HOME}/own.toml", settings + '[intake]\nquiet_for = "200ms"\n', OUTSIDER)
        machine.run("mkdir", "-p", f"{HOME}/images/drop", user=OUTSIDER)
        write_zip(machine.path(f"{HOME}/images/drop/scan.zip"), study(1))
        machine.run("chown", f"{OUTSIDER}:", f"{HOME}/images/drop/scan.zip")
        login = {"XNAT_WATCHD_XNAT__USER": "tech", "XNAT_WATCHD_XNAT__PASSWORD": "secret"}
        own = (PROGRAM, "--config", f"{HOME}/own.toml")
        done = machine.run(*own, "run", "--once", user=OUTSIDER, environ=login)
        assert sorted(one.sop_uid for one in xnat.instances()) == sorted(uid(1, 1, n) for n in (1, 2, 3))
        picture = machine.run(*own, "status", "--json", user=OUTSIDER)
    assert json.loads(picture.stdout)["deliveries"] == {"finished": 1}
    everything = (done.stdout + done.stderr + picture.stdout).lower()
    assert not [canary for canary in CANARIES if canary.lower() in everything]
