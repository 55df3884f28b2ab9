"""`check`: each thing with its state and its next step, and nothing changed anywhere. The real program."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.whole.administered import Administered
from xnat_watchd.adapters.files.watcher import Watcher
from xnat_watchd.core.gate import REFUSALS_AN_HOUR
from xnat_watchd.operator.machine_checks import CheckState, check_machine, check_operator_socket, check_unit
from xnat_watchd.sandbox import Sandbox
from xnat_watchd.settings import load

Found = dict[str, tuple[str, str, str]]


@pytest.fixture
def program(tmp_path: Path, xnat: Sandbox) -> Iterator[Administered]:
    one = Administered(tmp_path / "watchd", tmp_path / "config.toml", xnat.url)
    one.root.mkdir()
    one.write()
    one.login()
    yield one
    assert one.secrets_told() == []


def check(program: Administered, expect: int = 0) -> Found:
    rows = json.loads(program.type("check", "--json", expect=expect))["checks"]
    assert all(row["advice"] for row in rows if row["state"] != "ok"), rows
    assert all(row["said"] for row in rows)
    return {row["name"]: (row["state"], row["said"], row["advice"]) for row in rows}


def states(found: Found, state: str) -> set[str]:
    return {name for name, (is_, *_) in found.items() if is_ == state}


def test_a_file_for_metrics_that_cannot_be_written_is_an_error(program: Administered, tmp_path: Path) -> None:
    file = tmp_path / "collector" / "xnat-watchd.prom"
    program.write(f'[metrics]\nfile = "{file}"\n')
    assert check(program, expect=78)["metrics"][0] == "error"
    assert not file.parent.exists()
    file.parent.mkdir()
    assert check(program)["metrics"][:2] == ("ok", f"written to {file}, which everybody may read")
    assert not file.exists()


def test_where_all_is_well_nothing_is_an_error(program: Administered, dialect: str) -> None:
    program.once()
    found = check(program)
    told_nothing = {"project P1, anonymisation", "other machines"} if dialect == "1.8" else {"other machines"}
    assert states(found, "unknown") == told_nothing
    assert states(found, "warning") == (set() if dialect == "1.8" else {"project P1, anonymisation"})
    assert states(found, "ok") == {
        "configuration", "drop folder", "shares folder", "work folder", "done folder", "failed folder",
        "one file system", "free space", "ledger", "file events", "alerts", "server", "clock", "login", "project P1",
        "project P1, auto-archive",
    }  # fmt: skip
    assert "member" in found["project P1"][1]
    assert {"1.6": "1.6.5", "1.8": "1.8.10"}[dialect] in found["server"][1]


def test_nothing_is_changed_here_or_there(program: Administered, xnat: Sandbox) -> None:
    before, asked = sorted(program.root.rglob("*")), len(xnat.requests)
    check(program)
    assert sorted(program.root.rglob("*")) == before
    assert {(method, path) for method, path, *_ in xnat.requests[asked:] if method != "GET"} == {
        ("PUT", "/data/services/auth"),
        ("DELETE", "/data/JSESSION"),
    }


def test_before_the_first_run_it_says_what_the_service_will_make(program: Administered) -> None:
    found = check(program)
    assert found["drop folder"][0] == "ok"  # nobody needs to do anything about it
    assert found["drop folder"][1].endswith("/drop is not there yet: the service makes it")
    assert "will be made" in found["ledger"][1]


def test_for_people_each_thing_is_a_line_with_its_next_step_below(program: Administered) -> None:
    lines = program.type("check").splitlines()
    assert lines[0].startswith("ok        configuration: ")
    file_system = next(number for number, line in enumerate(lines) if "one file system: " in line)
    assert lines[file_system + 1] == " " * 10 + "Check again when the service has run."


def test_a_wrong_configuration_is_the_only_answer(program: Administered) -> None:
    program.write("[pipeline]\nworker = 3\n")
    (name,) = found = check(program, expect=78)
    assert (name, found[name][0]) == ("configuration", "error")
    assert "workers" in found[name][1]


def test_a_server_that_is_down_is_said_and_the_rest_of_it_is_not_guessed_at(
    program: Administered, xnat: Sandbox
) -> None:
    xnat.stop()
    found = check(program, expect=69)
    assert found["server"][0] == "error"
    assert found["server"][1].endswith("XNAT cannot be reached (Connection refused)")
    assert "login" not in found


def test_a_wrong_password_is_tried_once(program: Administered, xnat: Sandbox) -> None:
    xnat.add_user("tech", "another")
    before = len(xnat.requests)
    found = check(program, expect=77)
    assert found["login"][0] == "error"
    assert "xnat-watchd login" in found["login"][2]
    assert sum(path == "/data/services/auth" for _, path, *_ in xnat.requests[before:]) == 1


def test_a_wrong_password_is_tried_four_times_an_hour_however_often_it_is_asked(
    program: Administered, xnat: Sandbox
) -> None:
    program.once()
    xnat.add_user("tech", "another")
    before = len(xnat.requests)
    told = [check(program, expect=77)["login"] for _ in range(6)]
    assert sum(path == "/data/services/auth" for _, path, *_ in xnat.requests[before:]) == REFUSALS_AN_HOUR
    assert [state for state, *_ in told] == ["error"] * 6
    assert "four times within an hour" in told[-1][1]
    assert "xnat-watchd login" in told[-1][2]
    program.login("another")
    assert check(program)["login"][0] == "ok"
    program.once()


def test_without_a_login_everything_that_needs_none_is_said(program: Administered) -> None:
    program.type("logout")
    found = check(program)
    assert found["login"][0] == "unknown"
    assert found["server"][0] == "ok"


@pytest.mark.parametrize("role", [None, "collaborator"])
def test_a_project_that_we_may_not_write_to_is_an_error(program: Administered, xnat: Sandbox, role: str | None) -> None:
    xnat.grant("tech", "P1", role)
    found = check(program, expect=1)
    assert found["project P1"][0] == "error"
    assert "owner" in found["project P1"][2] or "member" in found["project P1"][2]


def test_a_project_that_does_not_exist_is_an_error_and_others_are_looked_at(program: Administered) -> None:
    program.write("[projects.NOPE]\n")
    found = check(program, expect=1)
    assert (found["project NOPE"][0], found["project P1"][0]) == ("error", "ok")
    assert "project NOPE, auto-archive" not in found


def test_the_project_that_was_meant_is_named(program: Administered, xnat: Sandbox) -> None:
    xnat.add_project("BRAIN")
    xnat.grant("tech", "BRAIN", "member")
    program.write("[projects.brian]\n")
    assert "If you meant BRAIN, correct it in the settings." in check(program, expect=1)["project brian"][2]


def test_a_project_that_archives_by_itself_is_a_warning_where_it_matters(
    program: Administered, xnat: Sandbox, dialect: str
) -> None:
    xnat.add_project("P1", prearchive_code=4)
    xnat.grant("tech", "P1", "owner")
    found = check(program)
    assert found["project P1, auto-archive"][0] == ("warning" if dialect == "1.8" else "ok")  # F16


def test_too_little_room_and_a_ledger_that_is_none_are_errors(program: Administered) -> None:
    text = program.config.read_text("utf-8")
    program.config.write_text(text.replace('keep_free = "1MB"', 'keep_free = "900000GiB"'), "utf-8")
    (program.root / "ledger.sqlite").write_bytes(b"no database" * 100)
    found = check(program, expect=78)
    assert {"free space", "ledger"} == states(found, "error")


def test_a_token_near_its_end_is_a_warning(program: Administered, xnat: Sandbox, dialect: str) -> None:
    program.login("", "--token")
    written = json.loads(program.stored().read_text())
    token = written["servers"][xnat.url]["token"]
    for name in ("issued", "expires"):
        if token[name]:
            token[name] = (datetime.fromisoformat(token[name]) - timedelta(hours=40)).isoformat()
    program.stored().write_text(json.dumps(written))
    assert check(program)["login"][0] == ("warning" if dialect == "1.8" else "ok")


def test_done_by_root_it_looks_with_the_eyes_of_the_services_user(program: Administered) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    os.chown(program.root, 65534, 65534)
    program.config.chmod(0o600)
    found = check(program, expect=78)
    assert "cannot be read: Permission denied" in found["configuration"][1]


def test_a_kernel_that_has_no_watch_left_for_this_user_is_a_warning(
    program: Administered, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Watcher) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    program.once()
    monkeypatch.setattr(Watcher, "_observe", full)
    found = {one.name: one for one in check_machine(load(program.config, {}))}
    assert found["file events"].state is CheckState.WARNING
    assert "max_user_instances" in found["file events"].said


@pytest.mark.parametrize("other", ["shares", "work"])
def test_a_folder_that_may_not_be_written_to_is_an_error(
    program: Administered, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.once()
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, *how, **more: path.name != other and allowed(path, *how, **more))
    found = {one.name: one for one in check_machine(load(program.config, {}))}
    assert found[f"{other} folder"].state is CheckState.ERROR
    assert found[f"{other} folder"].advice


def test_a_socket_that_is_missing_where_the_service_is_installed_is_a_warning(tmp_path: Path) -> None:
    unit, path = tmp_path / "unit", tmp_path / "socket"
    assert list(check_operator_socket(unit, path)) == []
    unit.touch()
    path.touch()
    (missing,) = check_operator_socket(unit, path)
    assert missing.state is CheckState.WARNING
    assert "systemctl enable --now xnat-watchd-operator.socket" in missing.advice
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        (there,) = check_operator_socket(unit, path)
    assert there.state is CheckState.OK


def test_a_unit_that_does_not_name_a_folder_of_the_settings_is_an_error(program: Administered, tmp_path: Path) -> None:
    unit, drop_ins = tmp_path / "xnat-watchd.service", tmp_path / "drop-ins"
    drop_ins.mkdir()
    program.write(f'[metrics]\nfile = "{tmp_path}/collector/xnat-watchd.prom"\n')
    settings = load(program.config, {})
    assert [*check_unit(settings, unit, drop_ins)] == []
    unit.write_text(f"[Service]\nReadWritePaths=-{program.root}\n")
    (one,) = check_unit(settings, unit, drop_ins)
    assert (one.state, one.said) == ("error", f"it does not let the service write to {tmp_path}/collector")
    assert "xnat-watchd install" in one.advice
    (drop_ins / "ours.conf").write_text(f"[Service]\nReadWritePaths=+{tmp_path}/collector /elsewhere\n")
    (one,) = check_unit(settings, unit, drop_ins)
    assert one.state == "ok"
    unit.write_text("[Service]\n")
    (one,) = check_unit(settings, unit, drop_ins)
    assert str(program.root / "drop") in one.said
