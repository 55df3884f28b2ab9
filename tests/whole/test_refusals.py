"""What cannot work is said in one sentence, with an exit code, and costs nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.whole.conftest import Program
from xnat_watchd.sandbox import Sandbox

Scan = Callable[..., bytes]


@pytest.fixture(params=["1.8"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.thorough
def test_a_server_that_is_down_holds_nothing(program: Program, scan: Scan, xnat: Sandbox) -> None:
    xnat.stop()
    program.drop("scan.zip", scan())
    assert "XNAT cannot be reached. " in program.once(expect=69)
    snapshot = program.status()
    assert snapshot["studies"] == {"received": {"ready": 1}}
    assert not snapshot["gate"]["open"]
    assert snapshot["gate"]["advice"]


@pytest.mark.parametrize("dialect", ["1.8", "1.6"], indirect=True)
def test_a_wrong_password_is_tried_once_each_time_that_a_person_asks_and_never_more_than_four_times_an_hour(
    program: Program, scan: Scan, xnat: Sandbox
) -> None:
    program.password = "wrong"
    program.drop("scan.zip", scan())
    program.once(expect=77)
    assert xnat.login_tries == 1
    for tries in (2, 3, 4, 4, 4):
        program.once(expect=77)
        assert xnat.login_tries == tries


def test_two_services_never_share_a_root(program: Program) -> None:
    with program.start() as service:
        service.wait_for("READY=1")
        program.run("run", expect=75)
        assert "works on this root already" in program.said[-1]


def test_a_setting_that_does_not_exist_is_named_with_the_nearest(program: Program) -> None:
    program.write("[pipeline]\nworker = 3\n")
    program.run("run", "--once", expect=78)
    assert "workers" in program.said[-1]


def test_a_project_that_xnat_does_not_list_is_held_before_anything_is_sent(
    program: Program, scan: Scan, xnat: Sandbox
) -> None:
    program.write("[projects.ELSEWHERE]\n")
    (program.root / "drop" / "ELSEWHERE").mkdir(parents=True)
    program.drop("ELSEWHERE/scan.zip", scan())
    program.once(expect=1)
    assert xnat.instances() == []
    assert not any(method == "POST" for method, *_ in xnat.requests)


def test_an_item_that_does_not_exist_is_a_usage_error(program: Program, scan: Scan) -> None:
    program.drop("scan.zip", scan())
    program.once()
    program.run("show", "99", expect=2)
    program.run("show", "twelve", expect=2)


def test_there_is_no_status_before_there_was_a_service(program: Program) -> None:
    program.run("status", expect=78)
    assert "no ledger" in program.said[-1]
