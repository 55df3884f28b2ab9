"""The hardening of the unit, by what a process in the service's place can and cannot do."""

from __future__ import annotations

import json
from pathlib import Path

from tests.whole.systemd.service import Service

PROBE = Path(__file__).parent / "probe.py"
NEEDED = {
    "write state": "done",
    "write drop": "done",
    "write run": "done",
    "write tmp": "done",
    "rename from drop to work": "done",
    "rename from work to done": "done",
    "read configuration": "done",
    "resolve a name": "done",
    "watch a folder": "done",
    "start a thread": "done",
}
REFUSED = {
    "write configuration": "EROFS",
    "write program": "EROFS",
    "write system": "EROFS",
    "write outside": "EROFS",
    "read a home": "EACCES",
    "read root's home": "EACCES",
    "read other credentials": "EACCES",
    "run what was dropped": "EACCES",
    "run from state": "EACCES",
    "make setuid": "EPERM",
    "give a file away": "EPERM",
    "make a user namespace": "EPERM",
    "take real-time priority": "EPERM",
    "rename the machine": "EPERM",
    "set the clock": "EPERM",
    "open netlink": "EAFNOSUPPORT",
    "open raw packets": "EAFNOSUPPORT",
    "see other processes": "ENOENT",
    "see the machine's memory": "ENOENT",
    "read the kernel's log": "ENOENT",
    "see files of others in /tmp": "ENOENT",
}
HAS = {"effective capabilities": 0, "possible capabilities": 0, "can gain privileges": False, "mask": 0o027}


def test_a_process_of_the_service_can_do_what_it_needs_and_nothing_else(service: Service) -> None:
    machine = service.machine
    machine.write("/usr/local/lib/probe.py", PROBE.read_bytes())
    machine.write("/tmp/of-others", b"")  # noqa: S108 - the service must not see it
    run = "/opt/xnat-watchd/bin/python /usr/local/lib/probe.py"
    service.drop_in("Type=oneshot", "Restart=no", "ExecStart=", f"ExecStart={run}")
    service.start()
    found = json.loads(machine.path("/var/lib/xnat-watchd/probe.json").read_text())
    assert found.pop("write and run memory") in {
        "EPERM",
        "EACCES",
    }  # 252 filters the call, 254 and later ask the kernel
    assert found == NEEDED | REFUSED | HAS
