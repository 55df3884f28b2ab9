"""The first commands of somebody who has configured nothing, and of somebody at a terminal who mistypes a password."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dicom import instance
from tests.station import zipped
from tests.whole.administered import Administered
from tests.whole.conftest import PASSWORD
from tests.whole.user import TECH, Terminal, User
from xnat_watchd.adapters import config
from xnat_watchd.sandbox import Sandbox

AUTH = "/data/services/auth"


class Newcomer(Administered):
    """Somebody with an empty home and no configuration; only what the machine has could be found."""

    def _words(self, *command: str) -> list[str]:
        return [*command]


@pytest.fixture
def xnat(tmp_path: Path, dialect: str) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "xnat", dialect, users=dict([TECH]), projects=["P1"]) as sandbox:
        yield sandbox


@pytest.fixture
def newcomer(tmp_path: Path, xnat: Sandbox) -> Newcomer:
    if config.SYSTEM_FILE.exists():
        pytest.skip("this machine has a configuration of its own")
    home = tmp_path / "home"
    home.mkdir()
    return Newcomer(home, home / ".config/xnat-watchd/config.toml", xnat.url)


def test_where_nothing_is_configured_a_command_says_what_to_type(newcomer: Newcomer) -> None:
    for command in ("whoami", "status", "list"):
        said = newcomer.type(command, expect=78)
        assert said.splitlines()[0] == "there is no configuration yet"
        assert "xnat-watchd login --server" in said


def test_a_login_with_a_server_is_all_that_the_other_commands_need(newcomer: Newcomer, xnat: Sandbox) -> None:
    said = newcomer.login(PASSWORD, "--server", xnat.url)
    assert f"it stands in {newcomer.config}" in said
    assert stat.S_IMODE(newcomer.config.stat().st_mode) == 0o600
    assert f"tech on {xnat.url}" in newcomer.type("whoami")
    assert "P1" in newcomer.type("list")
    assert f"ok        server: {xnat.url}" in (found := newcomer.type("check", expect=None))
    assert "ok        login: " in found
    assert newcomer.secrets_told() == []


def test_a_folder_of_zips_is_sent_with_the_login_that_was_stored(
    newcomer: Newcomer, xnat: Sandbox, tmp_path: Path
) -> None:
    newcomer.login(PASSWORD, "--server", xnat.url)
    scans = tmp_path / "scans"
    scans.mkdir()
    (scans / "one.zip").write_bytes(zipped([("1.dcm", instance())]))
    send = ("run", "--once", "--drop", str(scans), "--project", "P1")
    newcomer.given |= {"XNAT_WATCHD_INTAKE__QUIET_FOR": "500ms", "XNAT_WATCHD_LIMITS__KEEP_FREE": "1MB"}
    assert "everything is complete" in newcomer.type(*send)
    assert {one.where for one in xnat.instances()} == {"archive"}


def test_a_wrong_password_configures_nothing(newcomer: Newcomer, xnat: Sandbox) -> None:
    newcomer.login("wrong", "--server", xnat.url, expect=77)
    assert not newcomer.config.exists()


def test_a_configuration_that_is_there_is_never_written_over(newcomer: Newcomer, xnat: Sandbox, tmp_path: Path) -> None:
    newcomer.config.parent.mkdir(parents=True)
    newcomer.config.write_text(before := f'[folders]\nroot = "{tmp_path / "root"}"\n', encoding="utf-8")
    newcomer.login(PASSWORD, "--server", xnat.url)
    assert newcomer.config.read_text(encoding="utf-8") == before


def test_each_problem_of_the_settings_is_a_line_of_its_own(newcomer: Newcomer) -> None:
    newcomer.config.parent.mkdir(parents=True)
    newcomer.config.write_text('[xnat]\nservr = "x"\n[labels]\nsession = "fixed"\n', encoding="utf-8")
    lines = newcomer.type("whoami", expect=78).splitlines()
    assert [line.partition(":")[0] for line in lines[:-1]] == [
        f"[xnat] server is not set, in {newcomer.config} or as XNAT_WATCHD_XNAT__SERVER",
        str(newcomer.config),
        f"[folders] root is not set, in {newcomer.config} or as XNAT_WATCHD_FOLDERS__ROOT",
        str(newcomer.config),
    ]


def test_what_is_typed_on_a_terminal_is_tried_before_anything_is_taken(xnat: Sandbox, tmp_path: Path) -> None:
    user = User(tmp_path / "home", xnat.url)
    scans = tmp_path / "scans"
    scans.mkdir()
    (scans / "one.zip").write_bytes(zipped([("1.dcm", instance())]))
    words = ("run", "--once", "--drop", str(scans), "--project", "P1", "--server", xnat.url, "--user", "tech")
    shell = Terminal(user.environment(), *words)
    shell.wait_for("Password")
    shell.type("mistyped\n")
    assert shell.end() == 77
    assert (scans / "one.zip").exists()
    assert sum(path == AUTH for _, path, *_ in xnat.requests) == 1
