"""Other settings for the service under a real systemd: all of them hold when `systemctl reload` returns, or none."""

from __future__ import annotations

from tests.whole.systemd.service import TECH, Service
from xnat_watchd.sandbox.samples import study


def label_of_what_arrives(service: Service) -> str:
    service.drop("scan.zip", study(1))
    service.wait_for("scan.zip")
    (session,) = service.xnat.sessions("P1")
    return str(session["label"])


def test_right_settings_hold_when_a_reload_returns_and_the_process_stays(service: Service) -> None:
    service.start()
    process = service.shows("MainPID")
    service.configure(labels={"session": "{subject}_RELOADED"})
    service.systemctl("reload")
    assert "daemon.reloaded" in service.journal()
    assert service.is_(ActiveState="active", SubState="running", MainPID=process)
    assert label_of_what_arrives(service).endswith("_RELOADED")


def test_wrong_settings_fail_the_reload_and_the_service_goes_on_as_before(service: Service) -> None:
    service.start()
    process = service.shows("MainPID")
    service.configure(labels={"session": "{subject}_RELOADED"}, pipeline={"workers": 99})
    assert service.systemctl("reload", check=False).returncode != 0
    assert "[pipeline] workers" in service.journal(priority=3)
    assert service.is_(ActiveState="active", SubState="running", MainPID=process)
    assert not label_of_what_arrives(service).endswith("_RELOADED")


def test_settings_that_need_a_restart_are_named_and_not_taken(service: Service) -> None:
    service.start()
    service.configure(pipeline={"workers": 3})
    said = service.says("reload", expect=78)
    assert "[pipeline] workers" in said
    assert "systemctl restart xnat-watchd" in said
    assert service.is_(ActiveState="active", SubState="running")


def test_only_root_and_the_service_can_reload_it(service: Service) -> None:
    service.start()
    assert "sudo" in service.says("reload", user=TECH, expect=78)
    assert "daemon.reloaded" not in service.journal()
