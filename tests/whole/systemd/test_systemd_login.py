"""Logins under a real systemd: each source, what `login` keeps, and what cures a login that has died."""

from __future__ import annotations

import json
from datetime import timedelta

from tests.whole.systemd.machine import SUITE, until
from tests.whole.systemd.service import PASSWORD, ROTATED, TECH, USER, Service
from xnat_watchd.sandbox.samples import THADDAEUS, study

KEPT = "/var/lib/xnat-watchd/login/credentials.json"
TYPE = "xnat-watchd login"


def wait_until_refused(service: Service) -> None:
    """Wait until the service has said, to everybody, that its login is refused and what to type."""
    until(lambda: service.snapshot()["gate"].get("login"), 20, "a gate that is shut")
    assert TYPE in service.says("status", user=TECH, expect=77)
    until(lambda: TYPE in service.shows("StatusText"), 5, "the line that says what to type")


def test_what_root_types_is_kept_for_the_service_alone_and_used(service: Service) -> None:
    service.take_login_away()
    assert f"knows you as {USER}" in service.log_in()
    assert service.machine.says("stat", "--format=%a %U", KEPT) == "600 xnat-watchd"
    service.start()
    service.drop("scan.zip", study(1))
    service.wait_for("scan.zip")
    assert f"by the file {KEPT}" in service.says("whoami")
    for what in ("environ", "cmdline"):
        assert PASSWORD not in service.of_process(what)


def test_what_systemd_hands_over_is_used_and_stays_out_of_the_environment(service: Service) -> None:
    service.start()
    service.drop("scan.zip", study(1))
    service.wait_for("scan.zip")
    assert "CREDENTIALS_DIRECTORY=" in service.of_process("environ")
    for what in ("environ", "cmdline"):
        assert PASSWORD not in service.of_process(what)
    assert PASSWORD not in service.machine.says("systemctl", "show", "xnat-watchd")


def test_a_password_that_root_has_encrypted_is_used(service: Service) -> None:
    service.take_login_away()
    lines = ["LoadCredential="]
    for name, secret in (("xnat_user", USER), ("xnat_password", PASSWORD)):
        there = f"/etc/credstore.encrypted/{name}"
        service.machine.run("mkdir", "-p", "/etc/credstore.encrypted")
        service.machine.run("systemd-creds", "encrypt", f"--name={name}", "-", there, typed=secret)
        assert secret.encode() not in service.machine.path(there).read_bytes()
        lines.append(f"LoadCredentialEncrypted={name}:{there}")
    if SUITE == "bookworm":  # systemd 254 and later find and decrypt it without a word
        service.drop_in(*lines)
    service.start()
    service.drop("scan.zip", study(1))
    service.wait_for("scan.zip")


def test_a_credential_that_a_site_asks_for_and_that_is_missing_is_no_restart_loop(service: Service) -> None:
    service.drop_in("LoadCredential=xnat_password:/etc/credstore/nothing")
    assert service.systemctl("start", check=False).returncode != 0
    assert service.is_(ActiveState="failed", ExecMainStatus="243", NRestarts="0")


def test_a_password_that_was_changed_is_cured_by_a_login_without_a_restart(service: Service) -> None:
    service.take_login_away()
    service.log_in()
    service.start()
    process = service.shows("MainPID")
    service.rotate_password()
    service.drop("scan.zip", study(1))
    wait_until_refused(service)
    assert service.held() == []
    assert "uses it from now on" in service.log_in(ROTATED)
    service.wait_for("scan.zip")
    assert "login.changed" in service.journal()
    assert service.is_(MainPID=process, NRestarts="0")


def test_a_token_that_ended_is_cured_by_a_login_without_a_restart(service: Service) -> None:
    service.take_login_away()
    assert "as a token until 20" in service.log_in("", "--token")
    assert PASSWORD not in service.machine.path(KEPT).read_text()
    service.start()
    process = service.shows("MainPID")
    service.drop("friday.zip", study(1))
    service.wait_for("friday.zip")
    assert "as a token until 20" in service.says("whoami")
    service.later[0] = timedelta(days=3)
    service.drop("monday.zip", study(2, patient=THADDAEUS))
    wait_until_refused(service)
    service.log_in("", "--token")
    service.wait_for("friday.zip", "monday.zip")
    assert service.is_(MainPID=process, NRestarts="0")


def test_a_logout_leaves_nothing_behind_and_the_service_waits(service: Service) -> None:
    service.take_login_away()
    service.log_in("", "--token")
    service.start()
    assert "XNAT has deleted the token" in service.says("logout")
    assert json.loads(service.machine.path(KEPT).read_text()) == {"servers": {}}
    until(lambda: TYPE in service.shows("StatusText"), 10, "the line that says what to type")
    service.drop("scan.zip", study(1))
    until(lambda: service.snapshot()["deliveries"] == {"taken": 1}, 20, "a ZIP that was collected")
    service.log_in()
    service.wait_for("scan.zip")


def test_only_root_and_the_service_can_log_it_in(service: Service) -> None:
    assert "sudo" in service.says("login", typed=f"{USER}\n{PASSWORD}\n", user=TECH, expect=78)
    assert service.xnat.requests == []


def test_a_look_at_everything_with_sudo_is_one_with_the_services_eyes(service: Service) -> None:
    service.take_login_away()
    service.log_in()
    found = {one["name"]: one for one in json.loads(service.says("check", "--json"))["checks"]}
    assert "looked at as the user xnat-watchd" in found["configuration"]["said"]
    assert {one["state"] for one in found.values()} <= {"ok", "unknown"}
    assert KEPT in found["login"]["said"]
    assert not service.machine.path("/var/lib/xnat-watchd/ledger.sqlite").exists()
