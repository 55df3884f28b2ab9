"""Who may see and do what through the service's socket: root, the admin group, the drop group, and strangers."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

from tests.whole.systemd.machine import Machine, until
from tests.whole.systemd.service import (
    COORDINATOR,
    OPERATOR_SOCKET,
    OPERATOR_UNIT,
    OUTSIDER,
    TECH,
    UNIT_FILE,
    WEB_SOCKET,
    WEB_UNIT,
    Service,
)
from xnat_watchd.sandbox.samples import CANARIES, study

KEPT = "/var/lib/xnat-watchd/login/credentials.json"
UNITS = UNIT_FILE.rpartition("/")[0]
SLICE = "system-xnatwatchd.slice"
PATH = "/run/xnat-watchd-operator.socket"
BROWSER = """
import sys, urllib.request
print(urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(sys.argv[1]).read())
"""
FLOOD = f"""
import socket, sys
kept = []
for n in range(300):
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(1)
    try:
        one.connect("{PATH}")
        one.send(b"x" * 100_000 if n % 2 else b"")
    except OSError:
        pass
    kept.append(one)
"""


def held(service: Service) -> None:
    """Let the service meet a study that a person must decide about."""
    service.start()
    service.drop("scan.zip", study(1, date=""))
    until(lambda: service.snapshot()["studies"] == {"received": {"held": 1}}, 20, "a held study")


def words(service: Service, user: str, *typed: str, expect: int = 0) -> str:
    """Type a command without keeping what it says for the check of privacy: some users may see names."""
    done = service.machine.run("xnat-watchd", *typed, user=user, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_has_nothing_to_say_about_the_units(machine: Machine) -> None:
    for unit in (OPERATOR_SOCKET, OPERATOR_UNIT, SLICE, WEB_SOCKET, WEB_UNIT):
        done = machine.run("systemd-analyze", "verify", "--man=no", f"{UNITS}/{unit}")
        assert done.stdout + done.stderr == ""


def test_the_process_that_answers_is_exposed_to_little(machine: Machine) -> None:
    said = machine.says(
        "systemd-analyze", "security", "--offline=true", "--threshold=13", "--no-pager", f"{UNITS}/{OPERATOR_UNIT}"
    )
    assert re.search(r"Overall exposure level for xnat-watchd-operator@[\w-]*\.service: (1\.[0-3]|0\.\d) OK", said)


def test_installing_lets_the_drop_group_ask_and_nobody_else(machine: Machine) -> None:
    assert machine.says("systemctl", "is-active", OPERATOR_SOCKET) == "active"
    assert machine.says("systemctl", "is-enabled", OPERATOR_SOCKET) == "enabled"
    assert machine.says("stat", "--format=%a %U:%G", PATH) == "660 root:xnat-drop"


def test_the_page_starts_for_who_may_look_and_does_not_see_the_zips(machine: Machine, service: Service) -> None:
    held(service)
    assert machine.says("systemctl", "is-active", WEB_SOCKET) == "active"
    link = words(service, COORDINATOR, "web", "--open").strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:8642/enter/[\w-]{22}", link)
    assert "this user may not see the page" in words(service, OUTSIDER, "web", "--open", expect=78)
    done = machine.run("python3", "-c", BROWSER, link, user=COORDINATOR, check=False)
    assert "xnat-watchd" in done.stdout, done.stderr
    pid = machine.says("systemctl", "show", "--property=MainPID", "--value", WEB_UNIT)
    seen = machine.run("nsenter", "--target", pid, "--mount", "stat", "--format=%a", "/srv/xnat/drop", check=False)
    assert seen.stdout.strip() in ("0", "000"), seen.stdout + seen.stderr


def test_the_page_never_sees_the_login_also_when_it_is_replaced(machine: Machine, service: Service) -> None:
    service.start()
    machine.run("systemctl", "stop", WEB_UNIT)  # it began when there was another state folder
    words(service, COORDINATOR, "web", "--open")
    pid = machine.says("systemctl", "show", "--property=MainPID", "--value", WEB_UNIT)
    for _ in range(2):
        service.log_in()
        assert machine.path(KEPT).exists()
        seen = machine.run("nsenter", "--target", pid, "--mount", "cat", KEPT, check=False)
        assert (seen.returncode, seen.stdout) == (1, "")
        assert "No such file" in seen.stderr
    assert machine.says("systemctl", "show", "--property=MainPID", "--value", WEB_UNIT) == pid


def test_those_who_ask_share_what_one_slice_allows(machine: Machine) -> None:
    code = f"import socket, time; kept = socket.socket(socket.AF_UNIX); kept.connect('{PATH}'); time.sleep(3)"
    shown = "systemctl show --property=Slice --value 'xnat-watchd-operator@*'"
    said = machine.says("sh", "-c", f'python3 -c "{code}" & sleep 1; {shown}; wait')
    assert set(said.split()) == {SLICE}
    assert machine.says("systemctl", "show", "--property=MemoryMax", "--value", SLICE) == str(768 << 20)


def test_the_drop_group_sees_items_without_names_and_is_told_who_decides(service: Service) -> None:
    held(service)
    show = service.says("show", "1", user=TECH)  # and no name is in it: see the end of every test
    assert "Study 1.1: received, held" in show
    assert "xnat-watchd retry 1.1" in show
    assert "scan.zip" not in show + service.status(TECH).stdout
    for typed in (("retry", "1.1", "--label", "X"), ("skip", "1.1", "--why", "no"), ("pause",)):
        assert "are for the group `xnat-admin`: ask somebody of it" in service.says(*typed, user=TECH, expect=78)
    assert service.snapshot()["studies"] == {"received": {"held": 1}}


def test_the_admin_group_sees_names_and_decides_without_being_root(service: Service) -> None:
    held(service)
    assert "scan.zip" in words(service, COORDINATOR, "show", "1")
    assert "scan.zip" in words(service, COORDINATOR, "status", expect=1)
    assert "scan.zip" not in words(service, COORDINATOR, "status", "--json", expect=1)  # others may read that, too
    assert "paused" in words(service, COORDINATOR, "pause")
    assert "PAUSED" in words(service, COORDINATOR, "status", expect=1)
    assert "work goes on" in words(service, COORDINATOR, "resume")
    assert "1.1 goes on" in words(service, COORDINATOR, "retry", "1.1", "--label", "VISIT_1")
    service.wait_for("scan.zip")
    assert "XNAT holds all 3 images" in words(service, COORDINATOR, "verify", "1.1")
    assert f"operator.request user={COORDINATOR} command=retry items=1.1 exit=0" in _journal(service)


def test_each_group_watches_the_status_as_it_may_see_it_and_changes_come_as_new_blocks(
    machine: Machine, service: Service
) -> None:
    held(service)
    before = _looks(service)
    watch = ("timeout", "--signal=INT", "17", "xnat-watchd", "status", "--watch")
    with ThreadPoolExecutor() as pool:
        seen = {user: pool.submit(machine.run, *watch, user=user, check=False) for user in (TECH, COORDINATOR)}
        until(lambda: all(_looks(service)[user] > before[user] for user in seen), 10, "a first look of both")
        words(service, COORDINATOR, "pause")
        told = {user: one.result().stdout for user, one in seen.items()}
    words(service, COORDINATOR, "resume")
    for said in told.values():
        assert "1 thing needs attention" in said.partition("PAUSED")[0]
        assert "PAUSED" in said
        assert 2 <= said.count("as of") <= 4  # not one for each look
    assert "scan.zip" in told[COORDINATOR]
    assert "scan.zip" not in told[TECH]
    assert "group `xnat-admin`" in told[TECH]
    assert _looks(service)[TECH] - before[TECH] <= 2


def _looks(service: Service) -> dict[str, int]:
    """Return how often the status that each of them has asked for is in the journal."""
    said = _journal(service)
    return {user: said.count(f"user={user} command=status") for user in (TECH, COORDINATOR)}


def test_root_types_the_same_words(service: Service) -> None:
    held(service)
    assert "scan.zip" in words(service, "root", "show", "1")
    assert "will be skipped" in words(service, "root", "skip", "1.1", "--why", "no")


def test_a_stranger_reaches_nothing(service: Service) -> None:
    held(service)
    done = service.machine.run("python3", "-c", f"import socket; socket.socket(1).connect('{PATH}')",
                               user=OUTSIDER, check=False)  # fmt: skip
    assert "PermissionError" in done.stderr
    said = service.says("show", "1", user=OUTSIDER, expect=78)
    assert "`xnat-drop`" in said


def test_who_floods_the_socket_neither_hurts_the_service_nor_shuts_the_socket(service: Service) -> None:
    service.start()
    machine = service.machine
    machine.run("/opt/xnat-watchd/bin/python", "-c", FLOOD, user=TECH)
    service.drop("scan.zip", study(1))
    service.wait_for("scan.zip")
    assert machine.says("systemctl", "is-active", OPERATOR_SOCKET) == "active"
    until(lambda: machine.run("xnat-watchd", "show", "1", user=TECH, check=False).returncode == 0, 30, "an answer")
    failed = machine.says("systemctl", "list-units", "--state=failed", "--plain", "--no-legend", "xnat-watchd*")
    assert failed == ""


def test_the_ledger_stays_the_services_own(service: Service) -> None:
    held(service)
    words(service, COORDINATOR, "retry", "1.1", "--label", "VISIT_1")
    service.wait_for("scan.zip")
    modes = service.machine.says("sh", "-c", "stat --format='%a %U %n' /var/lib/xnat-watchd/ledger.sqlite*")
    assert {line.rpartition(" ")[0] for line in modes.splitlines()} == {"600 xnat-watchd"}
    for user in (TECH, COORDINATOR):
        assert service.machine.run("ls", "/var/lib/xnat-watchd", user=user, check=False).returncode != 0


def _journal(service: Service) -> str:
    told = "\n".join(
        str(one["MESSAGE"]) for one in service.entries() if "operator" in str(one.get("SYSLOG_IDENTIFIER"))
    )
    assert not [canary for canary in CANARIES if canary.lower() in told.lower()]
    return told
