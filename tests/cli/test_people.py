"""The commands about studies as people type them: what is said, where, and the exit code."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.dicom import instance, sop_uid
from tests.others import beside_others, restored_without
from tests.station import Station, zipped
from xnat_watchd.adapters.ledger import opening
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.core.errors import NoLedger, WatchdError
from xnat_watchd.core.project_rules import ProjectRules
from xnat_watchd.interfaces.cli import commands
from xnat_watchd.sandbox import Sandbox


@dataclass
class Desk:
    """A workstation whose service does not run, an XNAT, and a terminal."""

    xnat: Sandbox
    station: Station
    config: Path

    def type(self, *words: str, code: int = 0) -> str:
        done = CliRunner().invoke(commands, words, env={"XNAT_WATCHD_CONFIG": str(self.config)})
        assert done.exit_code == code, done.output
        return done.output

    def changes(self) -> list[str]:
        """Return the requests that may change something on XNAT, except login and logout."""
        asked = [path for method, path, _, _ in self.xnat.requests if method not in ("GET", "HEAD")]
        return [path for path in asked if "/auth" not in path and "/JSESSION" not in path]

    def carry(self, name: str = "scan.zip", **about: Any) -> None:
        self.station.drop(name, zipped([(f"{n}.dcm", instance(1, 1, n, **about)) for n in (1, 2)]))
        self.station.run()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with beside_others(tmp_path, "1.8", ProjectRules) as (xnat, _, station):
        config = tmp_path / "config.toml"
        root = tmp_path / "watchd"
        config.write_text(f'[xnat]\nserver = "{xnat.url}"\nproject = "P1"\n[folders]\nroot = "{root}"\n', "utf-8")
        monkeypatch.setenv("XNAT_WATCHD_XNAT__USER", "tech")
        monkeypatch.setenv("XNAT_WATCHD_XNAT__PASSWORD", "secret")
        yield Desk(xnat, station, config)


def test_a_misspelt_project_or_command_is_told_with_the_one_that_may_be_meant(desk: Desk) -> None:
    for words in (("list", "--project", "p1"), ("archive", "--project", "p1"), ("demographics", "--project", "p1")):
        done = CliRunner().invoke(commands, words, env={"XNAT_WATCHD_CONFIG": str(desk.config)})
        assert isinstance(done.exception, WatchdError), done.output
        assert done.exception.advice.startswith("If you meant P1, type that. Check the project's ID")
    assert "No such command 'statsu'. Did you mean `status`?" in desk.type("statsu", code=2)
    assert "Did you mean" not in desk.type("xyzzy", code=2)


def test_who_has_configured_nothing_is_told_how_to_begin_whatever_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("XNAT_WATCHD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.setattr("xnat_watchd.adapters.config.SYSTEM_FILE", tmp_path / "none.toml")
    (tmp_path / "scans").mkdir()
    for words in (("list", "--project", "P1"), ("run", "--once", "--drop", str(tmp_path / "scans"), "--project", "P1")):
        done = CliRunner().invoke(commands, words)
        assert str(done.exception) == "there is no configuration yet", done.output
        assert "xnat-watchd login --server" in getattr(done.exception, "advice", "")
    done = CliRunner().invoke(commands, ["--drop", str(tmp_path / "scans"), "status"])
    assert isinstance(done.exception, NoLedger)
    assert f"`xnat-watchd --drop {tmp_path / 'scans'} run --once` does it" in done.exception.advice


def test_verify_says_what_xnat_holds_writes_it_down_and_changes_nothing(desk: Desk) -> None:
    desk.carry()
    before = desk.station.standings(), desk.changes()
    assert desk.type("verify", "1") == "1.1 XNAT holds all 2 images\n1 of 1 whole\n"
    restored_without(desk.xnat, sop_uid(1, 1, 2))
    lacks = "XNAT lacks 1 of 2 images: series 1 (MR) has 1 of 2"
    assert desk.type("verify", "--since", "1d", code=0) == "0 of 0 whole\n"  # the station's clock stands in the past
    assert desk.type("verify", "1.1", code=1) == f"1.1 {lacks}\n0 of 1 whole\n"
    assert (desk.station.standings(), desk.changes()) == before
    story = desk.station.ledger.views.delivery(1) or {}
    assert [event["why"] for event in story["events"] if event["event"] == "verified"] == [
        "XNAT holds all 2 images", lacks,
    ]  # fmt: skip


def test_verify_since_asks_about_what_was_archived_since(desk: Desk) -> None:
    desk.carry()
    assert "1 of 1 whole" in desk.type("verify", "--since", "3000d")


def test_what_is_lost_is_sent_again_by_resend(desk: Desk) -> None:
    desk.carry()
    restored_without(desk.xnat, sop_uid(1, 1, 2))
    said = desk.type("resend", "1.1", "--why", "an old backup")
    assert "1.1 starts again: XNAT is asked what it has, and what it lacks is sent" in said
    assert "no service runs here" in said
    desk.station.work()
    desk.type("verify", "1.1")


def test_what_is_advised_names_the_settings_that_its_reader_named(desk: Desk) -> None:
    desk.carry(date="")
    typed = f"xnat-watchd --config {shlex.quote(str(desk.config))} show 1.1"
    done = CliRunner().invoke(commands, ["--config", str(desk.config), "status"])
    assert f"`{typed}`" in done.output.replace("\n", " ")
    assert CliRunner().invoke(commands, shlex.split(typed)[1:]).exit_code == 0
    assert "`xnat-watchd show 1.1`" in desk.type("status", code=1)


def test_whatever_names_a_command_names_the_configuration_that_its_reader_typed(desk: Desk) -> None:
    here = ["--config", str(desk.config)]
    desk.carry()
    for words, said in ((["pause"], "resume"), (["retry", "99"], "status"), (["show", "xyzzy"], "deliveries"),
                        (["skip", "1.1", "--why", "x"], "show")):  # fmt: skip
        told = CliRunner().invoke(commands, [*here, *words]).output
        assert f"`xnat-watchd --config {desk.config} {said}" in told or "`" not in told, told
    desk.type("resume")


def test_a_refusal_names_the_folder_of_zips_that_its_reader_named(desk: Desk, tmp_path: Path) -> None:
    scans = tmp_path / "two words"
    scans.mkdir()
    done = CliRunner().invoke(
        commands, ["--drop", str(scans), "show", "1"], env={"XNAT_WATCHD_CONFIG": str(desk.config)}
    )
    assert isinstance(done.exception, NoLedger)
    assert f"`xnat-watchd --drop '{scans}' run --once`" in done.exception.advice


def test_a_held_study_is_skipped_with_a_reason_and_only_once(desk: Desk) -> None:
    desk.carry(date="")
    desk.type("skip", "1.1", code=2)
    desk.type("skip", "2", "--why", "no such", code=2)
    assert "1.1 will be skipped" in desk.type("skip", "1.1", "--why", "Zenobia came again")
    desk.station.work()
    assert "1.1: it is skipped already" in desk.type("skip", "1", "--why", "twice", code=1)
    assert "Zenobia came again" in desk.type("show", "1.1")
    assert "1.1 is not archived: it is received" in desk.type("verify", "1.1", code=1)
    assert "1.1 starts again" in desk.type("resend", "1.1")


def test_what_cannot_be_accepted_is_said_with_what_to_type(desk: Desk) -> None:
    desk.carry(date="")
    said = desk.type("accept", "1.1", "--why", "no matter", code=1)
    assert "XNAT has not left out the same series of it twice. `xnat-watchd show 1.1`" in said


BAD = zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 2)[:-100])])
DAMAGED = "1 of 2 images is damaged (cut short)"


def bad(desk: Desk, content: bytes = BAD) -> None:
    desk.station.drop("bad.zip", content)
    desk.station.run()


@pytest.mark.parametrize("words", [["1"], ["1.1"], ["--all-held"], ["1.1", "--label", "VISIT_1"]])
def test_retry_passes_over_what_is_wrong_with_a_content_and_says_what_to_type(desk: Desk, words: list[str]) -> None:
    bad(desk)
    said = desk.type("retry", *words, "--later", code=1)
    assert f"1.1 stays as it is: {DAMAGED}. " in said
    assert "`xnat-watchd accept 1.1 --why TEXT`" in said
    desk.station.work()
    assert desk.station.standings() == [("1.1", "received", "held")]
    assert desk.xnat.instances() == []


def test_retry_of_all_that_is_held_takes_the_others(desk: Desk) -> None:
    bad(desk)
    desk.station.drop("scan.zip", zipped([("1.dcm", instance(2, 1, 1, date=""))]))
    desk.station.run()
    said = desk.type("retry", "--all-held", "--later", code=1)
    assert "2.1 goes on" in said
    assert "1.1 stays as it is" in said


def test_accept_says_what_exactly_it_accepts_and_who_did_it_is_written_down(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "nobody")
    bad(desk)
    assert f"1.1 accepted: {DAMAGED}" in desk.type("accept", "1", "--why", "the scanner deleted it")
    desk.station.work()
    said = desk.type("show", "1")
    assert "1 of 2; 1 left behind in the ZIP" in said
    assert DAMAGED in said
    assert " by nobody: the scanner deleted it" in said
    assert "left behind 1 image of 1 study, as a person has accepted" in desk.type("status")
    said = desk.type("verify", "1")
    assert "1.1 XNAT holds all 1 images; 1 of 2 were left behind in its ZIP, as a person has accepted" in said


def test_images_that_are_packed_once_more_are_told_how_to_come(desk: Desk) -> None:
    packed = zipped([("3.dcm", instance(1, 1, 3))])
    bad(desk, zipped([("1.dcm", instance(1, 1, 1)), ("more.zip", packed)]))
    unpack = "Unpack the archive that is inside, and drop its images as a ZIP of their own."
    assert unpack in desk.type("status", code=1).replace("\n           ", "")
    desk.station.drop("more.zip", packed)
    desk.station.run()
    desk.type("accept", "1", "--why", "the rest came by itself")
    desk.station.work()
    assert len(desk.xnat.instances()) == 2


def test_verify_tells_what_is_clutter_in_the_zip(desk: Desk) -> None:
    notes = [("notes.txt", b"as the radiographer wrote\n"), ("more.txt", b"and wrote again\n")]
    desk.station.drop("scan.zip", zipped([("1.dcm", instance()), *notes]))
    desk.station.run()
    assert "1.1 XNAT holds all 1 images; clutter in its ZIP: 2 text\n" in desk.type("verify", "1")
    assert "clutter      2 text" in desk.type("show", "1")


def test_what_could_not_be_decided_is_said_to_be_done_by_nobody(desk: Desk) -> None:
    bad(desk, zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 2, patient="OTHER"))]))
    assert "no service runs here" not in desk.type("accept", "1.1", "--why", "I am sure", code=1)
    assert "no service runs here" in desk.type("skip", "1.1", "--why", "two people")


def test_accept_is_for_one_study_at_a_time(desk: Desk) -> None:
    bad(desk, zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(2, 1, 1, time="113000")), ("3.dcm", b"")]))
    assert "name one of 1.1, 1.2, 1.3" in desk.type("accept", "1", "--why", "no matter", code=2)
    desk.type("accept", "1.1", "1.2", "--why", "no matter", code=2)
    assert "1.1: it is not held." in desk.type("accept", "1.1", "--why", "no matter", code=1)


def test_two_people_in_one_study_are_accepted_by_nobody(desk: Desk) -> None:
    bad(desk, zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 2, patient="OTHER"))]))
    said = desk.type("accept", "1.1", "--why", "I am sure", code=1)
    assert "`xnat-watchd skip 1.1 --why TEXT`" in said
    assert desk.station.standings() == [("1.1", "received", "held")]


def test_pause_and_resume_say_what_they_found(desk: Desk) -> None:
    assert "paused: nothing more is sent" in desk.type("pause")
    assert "it was paused already" in desk.type("pause")
    assert "PAUSED: work, since " in desk.type("status")
    assert desk.type("resume") == "work goes on\n"
    assert desk.type("resume") == "nothing was paused\n"
    assert "PAUSED" not in desk.type("status")


def test_items_or_a_time_must_be_named(desk: Desk) -> None:
    for words in (["verify"], ["verify", "1", "--since", "1d"], ["skip", "--why", "x"], ["resend"]):
        desk.type(*words, code=2)


@pytest.mark.parametrize("command", [["skip", "1.1", "--why", "x"], ["pause"], ["retry", "1.1"]])
def test_a_ledger_that_another_program_holds_is_said_to_be_held(
    desk: Desk, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from xnat_watchd.core.errors import LedgerUnusable

    desk.carry(date="")
    path = desk.config.with_name("watchd") / "ledger.sqlite"
    opened: Callable[..., Any] = open_database
    monkeypatch.setattr(opening, "open_database", lambda *a, **k: opened(*a, **k, patience=0.05))
    holder = Ledger(open_database(path))
    with holder.studies._db.change():
        done = CliRunner().invoke(commands, ["--config", str(desk.config), *command])
    holder.close()
    assert isinstance(done.exception, LedgerUnusable)
    assert "is held by another program" in str(done.exception)
