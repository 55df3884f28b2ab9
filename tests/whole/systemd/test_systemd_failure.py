"""Under a real systemd: people are told once that the service stays down, and of no end after which it comes back."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from json import loads

import pytest

from tests.channels import Other, hook, listening
from tests.whole.systemd.machine import until
from tests.whole.systemd.service import Service

UNIT = "xnat-watchd-failed"


@pytest.fixture
def told(service: Service) -> Iterator[list[bytes]]:
    """Yield what a webhook gets that is set in [alerts]."""
    with listening(Other("takes it"), hook) as web:
        service.configure(alerts={"webhook": f"http://127.0.0.1:{web.port}/x"})
        yield web.got
        service.machine.run("systemctl", "stop", UNIT, check=False)


def test_wrong_settings_are_told_once(service: Service, told: list[bytes]) -> None:
    service.configure(pipeline={"workers": 99})
    assert service.systemctl("start", check=False).returncode != 0
    until(lambda: told, 30, "a message")
    assert "only a person can start it" in loads(told[0].partition(b"\r\n\r\n")[2])["subject"]
    until(
        lambda: service.machine.run("systemctl", "is-active", UNIT, check=False).stdout == "inactive\n", 20, "its end"
    )
    assert len(told) == 1
    assert service.is_(ActiveState="failed", ExecMainStatus="78", NRestarts="0")


def test_a_credential_that_is_missing_is_told(service: Service, told: list[bytes]) -> None:
    service.drop_in("LoadCredential=xnat_password:/etc/credstore/nothing")
    assert service.systemctl("start", check=False).returncode != 0
    until(lambda: told, 30, "a message")
    assert b"a credential that systemd is to hand over is missing" in told[0]


def test_neither_crashes_nor_kills_nor_an_orderly_stop_are_told(service: Service, told: list[bytes]) -> None:
    service.drop_in("RestartSec=100ms", "RestartSteps=0")
    service.start()
    for number in (1, 2):
        service.systemctl_kill(signal.SIGKILL)
        until(lambda number=number: service.is_(NRestarts=str(number), ActiveState="active"), 30, "a restart")  # type: ignore[misc]
    service.systemctl("stop")
    service.drop_in("ExecStart=", "ExecStart=/bin/false", "RestartSec=20ms", "RestartSteps=0")
    service.systemctl("start", check=False)
    until(lambda: int(service.shows("NRestarts")) > 5, 20, "restarts")
    service.systemctl("stop")
    until(
        lambda: service.machine.run("systemctl", "is-active", UNIT, check=False).stdout == "inactive\n", 20, "its end"
    )
    assert told == []


def test_the_unit_is_exposed_to_little(service: Service) -> None:
    path = f"/usr/local/lib/systemd/system/{UNIT}.service"
    verified = service.machine.run("systemd-analyze", "verify", "--man=no", path)
    assert verified.stdout + verified.stderr == ""
    said = service.machine.says("systemd-analyze", "security", "--offline=true", "--threshold=13", "--no-pager", path)
    assert f"Overall exposure level for {UNIT}.service" in said
