"""What `check` makes of a server's answers that the practice XNAT does not give."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests.adapters.gateway.scripted_xnat import ScriptedXnat, scripted_xnat
from xnat_watchd.adapters.clock import SystemClock
from xnat_watchd.adapters.credentials import Credential, Secret
from xnat_watchd.operator.machine_checks import Check, CheckState
from xnat_watchd.operator.server_checks import check_server
from xnat_watchd.settings import load

WHO = Credential("tech", Secret("secret"), "a test")
P1 = '{"ResultSet": {"Result": [{"ID": "P1", "id": "P1"}]}}'
NOWHERE = Path("/nonexistent/config.toml")


def found(server: ScriptedXnat, url: str = "") -> dict[str, Check]:
    environ = {
        "XNAT_WATCHD_XNAT__SERVER": url or server.url,
        "XNAT_WATCHD_XNAT__PROJECT": "P1",
        "XNAT_WATCHD_FOLDERS__ROOT": "/srv/xnat",
    }
    server.on("GET", "/data/projects[?]", content=P1)
    settings = load(None, environ, NOWHERE)
    return {one.name: one for one in check_server(settings, lambda: WHO, SystemClock())}


@pytest.mark.parametrize(
    ("site", "project", "state"),
    [
        ("true", "false", CheckState.OK),
        ("false", "true", CheckState.OK),
        ("false", "false", CheckState.WARNING),
        ("?", "?", CheckState.UNKNOWN),
    ],
)
def test_whether_names_are_taken_out_is_said(site: str, project: str, state: CheckState) -> None:
    with scripted_xnat() as xnat:
        xnat.on("GET", "/xapi/anonymize/site/enabled", content=site)
        xnat.on("GET", "/xapi/anonymize/projects/P1/enabled", content=project)
        assert found(xnat)["project P1, anonymisation"].state is state


@pytest.mark.parametrize(
    ("count", "state"), [(1, CheckState.OK), (12, CheckState.OK), (13, CheckState.WARNING), (0, CheckState.OK)]
)
def test_login_sessions_that_this_machine_did_not_begin_point_to_another(count: int, state: CheckState) -> None:
    with scripted_xnat() as xnat:
        xnat.on("GET", "/xapi/users/active/tech", content=str(["X"] * count).replace("'", '"'))
        one = found(xnat)["other machines"]
    assert one.state is state
    assert str(count) in one.said


@pytest.mark.parametrize(
    ("seconds", "state"), [(0, CheckState.OK), (-3600, CheckState.WARNING), (3600, CheckState.WARNING)]
)
def test_clocks_that_differ_are_said(seconds: int, state: CheckState) -> None:
    at = format_datetime(datetime.fromtimestamp(time.time() + seconds, UTC), usegmt=True)
    with scripted_xnat() as xnat:
        xnat.on("GET", "/data/version$", lambda asked: _answer_at(asked, at))
        assert found(xnat)["clock"].state is state


def _answer_at(asked: object, at: str) -> None:
    from tests.adapters.gateway.scripted_xnat import Asked

    assert isinstance(asked, Asked)
    asked.send_response_only(404)
    asked.send_header("Date", at)
    asked.send_header("Content-Length", "0")
    asked.end_headers()


def test_a_server_that_is_no_xnat_is_doubted() -> None:
    with scripted_xnat() as xnat:
        xnat.on("GET", "/deeper/xapi", status=404)
        one = found(xnat, f"{xnat.url}/deeper")["server"]
    assert one.state is CheckState.WARNING
    assert "deeper" in one.advice


def test_an_xnat_that_answers_pages_to_everything_is_no_crash() -> None:
    with scripted_xnat() as xnat:
        xnat.on("GET", "/data/projects", content="<!DOCTYPE html><html>Log in")
        told = found(xnat)
    assert told["project P1"].state is CheckState.UNKNOWN
    assert told["other machines"].state is CheckState.UNKNOWN
