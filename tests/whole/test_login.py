"""Logins as an administrator deals with them, with the real process and the practice XNAT in both dialects."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.whole.administered import Administered
from tests.whole.conftest import PASSWORD
from xnat_watchd.sandbox import Options, Sandbox

Scan = Callable[..., bytes]
ROTATED = "another-that-is-nobodys"
AUTH = "/data/services/auth"


@pytest.fixture
def moment() -> list[datetime]:
    """Return the time of the practice XNAT; the program's time is real."""
    return [datetime.now().astimezone()]


@pytest.fixture
def xnat(tmp_path: Path, dialect: str, moment: list[datetime]) -> Iterator[Sandbox]:
    users, options = {"tech": PASSWORD}, Options(token_life=timedelta(hours=10))
    with Sandbox(
        tmp_path / "xnat", dialect, users=users, projects=["P1"], clock=lambda: moment[0], options=options
    ) as sandbox:
        yield sandbox


@pytest.fixture
def program(tmp_path: Path, xnat: Sandbox) -> Iterator[Administered]:
    one = Administered(tmp_path / "watchd", tmp_path / "config.toml", xnat.url)
    one.root.mkdir()
    one.write()
    yield one
    assert one.secrets_told() == []
    assert ROTATED not in "\n".join(one.said)


def tries(xnat: Sandbox) -> int:
    return sum(path == AUTH for _, path, *_ in xnat.requests)


def rotate(xnat: Sandbox) -> None:
    xnat.add_user("tech", ROTATED)
    xnat.grant("tech", "P1", "member")


# -- the commands ------------------------------------------------------------------------------------------


def test_what_is_typed_is_proved_kept_for_the_service_alone_and_used(
    program: Administered, xnat: Sandbox, scan: Scan
) -> None:
    said = program.login()
    assert "knows you as tech" in said
    assert str(program.stored()) in said
    assert stat.S_IMODE(program.stored().stat().st_mode) == 0o600
    assert tries(xnat) == 1
    assert f"tech on {xnat.url}, by the file {program.stored()}" in program.type("whoami")
    program.drop("scan.zip", scan())
    program.once()
    assert {one.where for one in xnat.instances()} == {"archive"}


def test_a_user_may_be_named_and_the_password_comes_alone(program: Administered) -> None:
    program.type("login", "--user", "tech", typed=f"{PASSWORD}\n")
    assert json.loads(program.stored().read_text())["servers"].popitem()[1]["user"] == "tech"


@pytest.mark.parametrize("typed", ["", "tech\n", "\n\n", "\nx\n"])
def test_half_a_login_is_a_usage_error_and_nothing_is_asked(program: Administered, xnat: Sandbox, typed: str) -> None:
    program.type("login", typed=typed, expect=2)
    assert tries(xnat) == 0


def test_a_wrong_password_is_tried_once_and_not_kept(program: Administered, xnat: Sandbox) -> None:
    program.login()
    before = program.stored().read_text()
    assert "refuses" in program.login("wrong", expect=77)
    assert "refuses" in program.login("wrong", "--token", expect=77)
    assert tries(xnat) == 3
    assert program.stored().read_text() == before


def test_a_server_that_is_down_proves_nothing_so_nothing_is_kept(program: Administered, xnat: Sandbox) -> None:
    xnat.stop()
    program.login(expect=69)
    assert not program.stored().exists()


def test_the_first_command_of_all_may_be_login(program: Administered, scan: Scan) -> None:
    program.root.rmdir()
    program.login()
    assert stat.S_IMODE(program.root.stat().st_mode) == 0o750
    program.drop("scan.zip", scan())
    program.once()


def test_a_folder_that_cannot_be_made_is_said_before_anything_is_tried(program: Administered, xnat: Sandbox) -> None:
    program.root.rmdir()
    program.root.write_text("no folder")
    assert "cannot be made: File exists" in program.login(expect=78)
    assert tries(xnat) == 0


def test_a_login_elsewhere_that_comes_first_is_said(program: Administered, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    program.login()
    program.given["STATE_DIRECTORY"] = str(state)
    assert "comes first" not in program.login()
    before = (state / "login" / "credentials.json").read_text()
    assert str(state) in program.type("whoami")
    assert json.loads(before)["servers"]


def test_without_any_login_the_service_says_what_to_type_and_does_not_start(program: Administered) -> None:
    assert " login`, or give the login" in program.type("run", "--once", expect=78)
    assert " login`, or give the login" in program.type("whoami", expect=78)


def test_after_a_logout_nothing_is_known_and_another_one_is_an_error(program: Administered) -> None:
    program.login()
    assert "no longer" in program.type("logout")
    program.type("whoami", expect=78)
    assert "no login is stored" in program.type("logout", expect=1)


def test_after_a_logout_the_next_source_is_used_and_named(program: Administered) -> None:
    program.login()
    program.given |= {"XNAT_WATCHD_XNAT__USER": "tech", "XNAT_WATCHD_XNAT__PASSWORD": PASSWORD}
    assert "XNAT_WATCHD_XNAT__USER" in program.type("logout")
    assert "XNAT_WATCHD_XNAT__USER" in program.type("whoami")


# -- tokens ------------------------------------------------------------------------------------------------


def test_a_token_is_kept_instead_of_the_password(program: Administered, xnat: Sandbox, dialect: str) -> None:
    said = program.login("", "--token")
    assert "as a token" in said
    assert PASSWORD not in program.stored().read_text()
    told = program.type("whoami")
    assert told.startswith(f"tech on {xnat.url}")
    assert (" until 20" in told) == (dialect == "1.8")


def test_a_logout_has_xnat_forget_the_token(program: Administered) -> None:
    program.login("", "--token")
    kept = program.stored().read_text()
    assert "XNAT has deleted the token" in program.type("logout")
    program.stored().write_text(kept)
    program.type("whoami", expect=77)
    assert "did not know the token any more" in program.type("logout")


def test_a_logout_from_a_server_that_is_down_forgets_here_and_says_what_holds_on(
    program: Administered, xnat: Sandbox
) -> None:
    program.login("", "--token")
    xnat.stop()
    assert "could not be asked to delete the token" in program.type("logout")
    assert json.loads(program.stored().read_text()) == {"servers": {}}


def test_a_token_that_ended_is_refused_and_a_login_cures_it_without_a_restart(
    program: Administered, xnat: Sandbox, scan: Scan, moment: list[datetime]
) -> None:
    program.login("", "--token")
    moment[0] += timedelta(hours=11)
    program.drop("scan.zip", scan())
    with program.start() as service:
        service.wait_for("waiting for XNAT: XNAT refuses")
        program.login("", "--token")
        service.wait_for("1 complete")
    assert {one.where for one in xnat.instances()} == {"archive"}


def test_a_token_that_is_old_is_exchanged_by_the_service_while_it_runs(
    program: Administered, xnat: Sandbox, moment: list[datetime], scan: Scan
) -> None:
    program.login("", "--token")
    written = json.loads(program.stored().read_text())
    token = written["servers"][xnat.url]["token"]
    for name in ("issued", "expires"):  # as if it had been stored long ago
        if token[name]:
            token[name] = (datetime.fromisoformat(token[name]) - timedelta(hours=30)).isoformat()
    alias = written["servers"][xnat.url]["user"]
    program.stored().write_text(json.dumps(written))
    program.drop("scan.zip", scan())
    with program.start() as service:
        service.wait_for("1 complete")
        service.stop()
    assert "login.renewed" in program.logged()
    assert json.loads(program.stored().read_text())["servers"][xnat.url]["user"] != alias
    moment[0] += timedelta(hours=9)
    program.type("whoami")


# -- without a restart -------------------------------------------------------------------------------------


def test_a_rotated_password_shuts_the_gate_and_a_login_opens_it_without_a_restart(
    program: Administered, xnat: Sandbox, scan: Scan
) -> None:
    program.login()
    with program.start() as service:
        service.wait_for("READY=1")
        rotate(xnat)
        before = xnat.login_tries
        program.drop("scan.zip", scan())
        service.wait_for("waiting for XNAT: XNAT refuses")
        snapshot = program.status()
        assert snapshot["gate"]["login"] is True
        assert "xnat-watchd login" in snapshot["gate"]["advice"]
        assert xnat.login_tries == before + 1
        assert "uses it from now on" in program.login(ROTATED)
        service.wait_for("1 complete")
        assert service.stop() == 0
    assert {one.where for one in xnat.instances()} == {"archive"}
    assert "login.changed" in program.logged()


def test_a_logout_stops_the_service_from_asking_and_a_login_lets_it_go_on(
    program: Administered, xnat: Sandbox, scan: Scan
) -> None:
    program.login()
    with program.start() as service:
        service.wait_for("READY=1")
        program.type("logout")
        service.wait_for("no user and password any more")
        program.drop("scan.zip", scan())
        service.wait_for("1 under way")
        assert xnat.instances() == []
        program.login()
        service.wait_for("1 complete")
