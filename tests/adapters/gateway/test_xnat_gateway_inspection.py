"""What `check` asks a server, from both dialects and from a server that says what it likes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.adapters.gateway.gateway_kit import Site, failure, server_at
from tests.adapters.gateway.scripted_xnat import ScriptedXnat
from xnat_watchd.adapters.xnat.inspection import Inspection, identify_server
from xnat_watchd.core.errors import Unavailable

ANON = "/xapi/anonymize"


def test_a_server_says_which_it_is_and_what_time_without_a_login(either: Site) -> None:
    hello = identify_server(server_at(either.xnat.url, user="nobody"))
    assert hello.dialect.version in ("1.6.5", "1.8.10")
    assert hello.at is not None
    assert abs((datetime.now(UTC) - hello.at).total_seconds()) < 60
    assert either.asked("PUT", "/data/services/auth") == 0


def test_a_server_that_is_not_there_is_unavailable(either: Site) -> None:
    either.xnat.stop()
    failure(Unavailable, lambda: identify_server(server_at("http://127.0.0.1:9")))


@pytest.mark.parametrize("said", ["", "yesterday", "Sun, 22 Nov 2026 09:00:00"])
def test_a_time_that_is_none_is_not_known(scripted: ScriptedXnat, said: str) -> None:
    scripted.on("GET", "/data/version$", lambda asked: asked.answer(404, "", Date=said))
    assert identify_server(server_at(scripted.url)).at is None


@pytest.mark.parametrize("role", ["owner", "member", "collaborator"])
def test_our_role_is_told_as_far_as_xnat_shows_it(either: Site, role: str) -> None:
    either.xnat.grant("tech", "P1", role)
    with Inspection(either.server) as inspection:
        assert inspection.role("P1", "tech") == role


def test_no_role_is_none(either: Site) -> None:
    either.xnat.grant("tech", "P1", None)
    with Inspection(either.server) as inspection:
        assert inspection.role("P1", "tech") is None
        assert inspection.role("NOPE", "tech") is None


@pytest.mark.parametrize("code", [0, 4, 5])
def test_how_a_project_archives_is_told(either: Site, code: int) -> None:
    either.xnat.add_project("P2", prearchive_code=code)
    either.xnat.grant("tech", "P2", "member")
    with Inspection(either.server) as inspection:
        assert inspection.prearchive_code("P2") == code
        assert inspection.prearchive_code("NOPE") is None


@pytest.mark.parametrize(
    ("site", "project", "expected"),
    [
        ("true", "false", True),
        ("false", "true", True),
        ("true", None, True),
        ("false", "false", False),
        ("false", None, None),
        (None, None, None),
        ('"true"', "{}", None),
        ("<html>", "[", None),
    ],
)
def test_whether_our_route_meets_a_script(
    scripted: ScriptedXnat, site: str | None, project: str | None, *, expected: bool | None
) -> None:
    for where, said in ((f"{ANON}/site/enabled$", site), (f"{ANON}/projects/P1/enabled$", project)):
        scripted.on("GET", where, **({"status": 403} if said is None else {"content": said}))
    with Inspection(server_at(scripted.url)) as inspection:
        assert inspection.anonymises("P1") is expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [('["A", "B"]', 2), ('{"count": 1, "sessions": ["A"]}', 1), ("[]", 0), ("{}", None), ("7", None), ("<", None)],
)
def test_the_login_sessions_of_the_account_are_counted(scripted: ScriptedXnat, said: str, expected: int | None) -> None:
    scripted.on("GET", "/xapi/users/active/tech$", content=said)
    with Inspection(server_at(scripted.url)) as inspection:
        assert inspection.open_sessions("tech") == expected


def test_a_server_that_tells_nothing_is_not_guessed_at(either: Site) -> None:
    with Inspection(either.server) as inspection:
        assert inspection.anonymises("P1") is None
        assert inspection.open_sessions("tech") is None


def test_nothing_but_questions_is_asked(either: Site) -> None:
    with Inspection(either.server) as inspection:
        inspection.role("P1", "tech")
        inspection.prearchive_code("P1")
        inspection.anonymises("P1")
        inspection.open_sessions("tech")
    acts = {(method, path) for method, path, *_ in either.xnat.requests if method != "GET"}
    assert acts == {("PUT", "/data/services/auth"), ("DELETE", "/data/JSESSION")}
