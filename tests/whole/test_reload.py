"""Other settings for a service that runs: all of them hold, or none."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.whole.administered import Administered
from tests.whole.conftest import PASSWORD, Service
from xnat_watchd.sandbox import Sandbox

Scan = Callable[..., bytes]


@pytest.fixture(params=["1.8"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def program(tmp_path: Path, xnat: Sandbox) -> Iterator[Administered]:
    one = Administered(tmp_path / "watchd", tmp_path / "config.toml", xnat.url)
    one.given = {"XNAT_WATCHD_XNAT__USER": "tech", "XNAT_WATCHD_XNAT__PASSWORD": PASSWORD}
    one.root.mkdir()
    one.write()
    yield one
    assert one.secrets_told() == []


@pytest.fixture
def service(program: Administered) -> Iterator[Service]:
    with program.start() as service:
        service.wait_for("READY=1")
        yield service


def test_changed_settings_hold_when_reload_returns(
    program: Administered, service: Service, xnat: Sandbox, scan: Scan
) -> None:
    program.write('[labels]\nsession = "{subject}_RELOADED"\n')
    assert "in force" in program.type("reload")
    assert "daemon.reloaded" in program.logged()
    program.drop("scan.zip", scan())
    service.wait_for("1 complete")
    assert {one.session for one in xnat.instances()} == {"Quokka_Zenobia_RELOADED"}


def test_systemd_is_told_when_a_reload_begins_and_when_it_is_over(program: Administered, service: Service) -> None:
    program.type("reload")
    assert "MONOTONIC_USEC=" in service.wait_for("RELOADING=1")
    service.wait_for("READY=1")


def test_a_service_that_was_suspended_goes_on_as_before(program: Administered, service: Service) -> None:
    for _ in range(3):
        service.process.send_signal(signal.SIGSTOP)
        time.sleep(1)  # longer than it waits for a signal
        service.process.send_signal(signal.SIGCONT)
        service.wait_for("WATCHDOG=1")
    assert "daemon.reloaded" not in program.logged()
    program.type("reload")
    assert program.logged().count("daemon.reloaded") == 1


def test_a_wrong_configuration_is_refused_and_the_old_one_goes_on(
    program: Administered, service: Service, xnat: Sandbox, scan: Scan
) -> None:
    program.write("[pipeline]\nworker = 3\n")
    assert "workers" in program.type("reload", expect=78)
    service.process.send_signal(signal.SIGHUP)  # by somebody who does not know `reload`
    service.wait_for("RELOADING=1")
    service.wait_for("READY=1")
    program.drop("scan.zip", scan())
    service.wait_for("1 complete")
    assert program.logged().count("daemon.reload_refused") == 1
    assert {one.where for one in xnat.instances()} == {"archive"}


def test_what_needs_a_restart_is_named_and_nothing_of_the_rest_is_taken(
    program: Administered, service: Service, xnat: Sandbox, scan: Scan
) -> None:
    program.write('[pipeline]\nworkers = 3\n[labels]\nsession = "{subject}_RELOADED"\n')
    said = program.type("reload", expect=78)
    assert "[pipeline] workers" in said
    assert "restart" in said
    assert "reload` again" not in said  # it would be refused again
    program.drop("scan.zip", scan())
    service.wait_for("1 complete")
    assert {one.session for one in xnat.instances()} == {"Quokka_Zenobia_20240229T101530_MR"}


def test_after_a_refusal_right_settings_are_taken(program: Administered, service: Service) -> None:
    program.write("[pipeline]\nworkers = 3\n")
    program.type("reload", expect=78)
    program.write("[pipeline]\npatience = 3\n")
    program.type("reload")
    del service


def test_until_may_be_raised_and_what_waited_for_it_goes_on(
    program: Administered, service: Service, xnat: Sandbox, scan: Scan
) -> None:
    program.write('[pipeline]\nuntil = "uploaded"\n')
    program.type("reload")
    program.drop("scan.zip", scan())
    service.wait_for("1 under way")
    program.write()
    program.type("reload")
    service.wait_for("1 complete")
    assert {one.where for one in xnat.instances()} == {"archive"}


def test_where_no_service_runs_there_is_nothing_to_reload(program: Administered) -> None:
    assert "no service runs here" in program.type("reload", expect=78)


def test_a_process_that_has_the_number_of_a_service_that_died_is_left_alone(program: Administered) -> None:
    with program.start() as service:
        service.wait_for("READY=1")
        service.process.kill()
    published = program.root / "status.json"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        snapshot = json.loads(published.read_text())
        snapshot["daemon"]["pid"] = other.pid
        published.write_text(json.dumps(snapshot))
        assert "no service runs here" in program.type("reload", expect=78)
        other.communicate(b"\n")
    assert other.returncode == 0
