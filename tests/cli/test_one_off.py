"""Where a command keeps what it remembers when no configuration says it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from xnat_watchd.core.errors import Refusal
from xnat_watchd.interfaces.cli import one_off
from xnat_watchd.interfaces.cli.options import CommandOptions

SERVER = "https://xnat.example.org/xnat"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [*os.environ]:
        if name.startswith(("XNAT_WATCHD_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_folder_of_zips_has_its_ledger_inside(tmp_path: Path) -> None:
    settings = CommandOptions(server=SERVER, drop=tmp_path).settings()
    assert settings.folders.drop == tmp_path
    assert settings.ledger.path == tmp_path / ".xnat-watchd" / "ledger.sqlite"
    assert settings.folders.done == tmp_path / ".xnat-watchd" / "done"
    assert settings.intake.watch == "poll"


def test_nothing_of_the_services_own_folders_holds_there(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f'[xnat]\nserver = "{SERVER}"\n[folders]\nroot = "/srv/xnat"\nwork = "/srv/work"\n'
        '[ledger]\npath = "/srv/l"\n[labels]\nsubject = "{PatientID}"\n',
        "utf-8",
    )
    settings = CommandOptions(config=config, drop=tmp_path).settings()
    assert settings.folders.work == tmp_path / ".xnat-watchd" / "work"
    assert settings.ledger.path == tmp_path / ".xnat-watchd" / "ledger.sqlite"
    assert settings.labels.subject == "{PatientID}"


def test_what_was_chosen_for_a_folder_is_remembered_and_an_option_wins(tmp_path: Path) -> None:
    one_off.remember(tmp_path, SERVER, "P1")
    assert CommandOptions(drop=tmp_path).settings().xnat.server == SERVER
    assert CommandOptions(drop=tmp_path).settings().xnat.project == "P1"
    assert CommandOptions(drop=tmp_path, project="P2").settings().xnat.project == "P2"
    assert (tmp_path / ".xnat-watchd").stat().st_mode & 0o077 == 0


def test_a_folder_that_was_sent_to_one_server_is_not_sent_to_another(tmp_path: Path) -> None:
    one_off.remember(tmp_path, SERVER, "P1")
    one_off.remember(tmp_path, SERVER, "P2")
    with pytest.raises(Refusal, match=r"for that server only"):
        one_off.remember(tmp_path, "https://elsewhere.example.org", "P1")


def test_a_memo_that_others_may_write_is_not_believed(tmp_path: Path) -> None:
    one_off.remember(tmp_path, SERVER, "P1")
    (tmp_path / ".xnat-watchd").chmod(0o777)
    assert one_off.remembered(tmp_path) == {}


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"server": 1}', "[" * 100_000])
def test_a_memo_that_cannot_be_understood_says_nothing(tmp_path: Path, text: str) -> None:
    one_off.remember(tmp_path, SERVER, "P1")
    (tmp_path / ".xnat-watchd" / "chosen.json").write_text(text, "utf-8")
    assert one_off.remembered(tmp_path) == {}


def test_a_command_without_zips_has_one_ledger_for_each_server_and_makes_nothing_yet(home: Path) -> None:
    path = CommandOptions(server=SERVER).locations().ledger.path
    assert path == home / ".local/state/xnat-watchd/xnat.example.org_xnat/ledger.sqlite"
    assert CommandOptions(server="http://other:8080").locations().ledger.path.parent.name == "other_8080"
    assert not home.exists()


def test_a_configured_root_counts_also_for_another_server(home: Path) -> None:
    config = home.with_name("config.toml")
    config.write_text('[xnat]\nserver = "https://a.example.org"\n[folders]\nroot = "/srv/xnat"\n', "utf-8")
    assert CommandOptions(config=config, server=SERVER).locations().ledger.path == Path("/srv/xnat/ledger.sqlite")


def test_a_folder_where_nothing_may_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".xnat-watchd").write_text("a file", "utf-8")
    with pytest.raises(Refusal, match="cannot be written"):
        one_off.remember(tmp_path, SERVER, "P1")
