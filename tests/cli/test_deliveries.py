"""`deliveries` and `show NAME` tell whether something arrived."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.dicom import instance
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.station import Station, Time, zipped
from xnat_watchd.adapters.ledger.listing import DeliveryOutcome
from xnat_watchd.core.errors import Unusable
from xnat_watchd.core.sharing.row_state import RowState
from xnat_watchd.core.sharing.state import RowResult
from xnat_watchd.core.sharing.table import read
from xnat_watchd.core.states import DeliveryState, Event
from xnat_watchd.interfaces.cli import commands
from xnat_watchd.interfaces.cli.deliveries import STATES
from xnat_watchd.operator.story import _UNTOLD, OF_DELIVERY, OF_STUDY

SCAN = zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 2))])
NONE_FITS = "no delivery fits\n"
Type = Callable[..., Result]


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    """Yield a workstation where one of each kind was dropped."""
    time = Time()
    station = Station(tmp_path, FakeGateway(FakeXnat(time), time), time)
    station.drop("mri_17.zip", SCAN)
    station.run()
    station.drop("mri_17 (1).zip", SCAN)
    station.drop("100%_half.zip", zipped([("notes.txt", b"nothing")]))
    two_people = [("1.dcm", instance(2, 1, 1)), ("2.dcm", instance(2, 1, 2, name="Bilby^Theodora", patient="ZQ-9"))]
    station.drop("both.zip", zipped(two_people))
    station.run()
    station.drop("growing.zip", SCAN[:-30])
    station.drop("late.zip", zipped([("1.dcm", instance(3, 1, 1))]))
    station.take_in()
    yield station
    station.close()


@pytest.fixture
def type_(station: Station, tmp_path: Path) -> Type:
    config = tmp_path / "config.toml"
    config.write_text(f'[folders]\nroot = "{station.folders.drop.parent}"\n', "utf-8")
    return lambda *words: CliRunner().invoke(commands, words, env={"XNAT_WATCHD_CONFIG": str(config)})


def listed(type_: Type, *words: str) -> dict[str, str]:
    rows = json.loads(type_("deliveries", "--json", *words).stdout)
    assert not any("ITEM" in (row["advice"] or "") for row in rows)
    return {row["name"]: row["state"] for row in rows}


def test_every_delivery_is_listed_with_where_it_is_the_newest_first(type_: Type) -> None:
    assert list(listed(type_).items()) == [
        ("growing.zip", "not taken"), ("late.zip", "under way"), ("mri_17 (1).zip", "duplicate"),
        ("both.zip", "held"), ("100%_half.zip", "failed"), ("mri_17.zip", "complete"),
    ]  # fmt: skip


def test_the_screen_says_below_each_what_keeps_it_and_what_it_repeats(type_: Type) -> None:
    lines = type_("deliveries").stdout.splitlines()
    assert lines[0].split() == ["ITEM", "STATE", "IMAGES", "PROJECT", "ARRIVED", "NAME"]
    repeats = next(n for n, line in enumerate(lines) if line.endswith("mri_17 (1).zip"))
    assert lines[repeats + 1].strip() == "the same as delivery 1"
    held = next(n for n, line in enumerate(lines) if line.endswith("both.zip"))
    assert "two patients" in lines[held + 1]
    assert lines[held + 1].endswith(f"`xnat-watchd show {lines[held].split()[0]}` tells what to do.")
    assert lines[-1].split()[:4] == ["1", "complete", "2", "P1"]
    assert lines[1].split()[:3] == ["not", "taken", "0"]
    assert "not complete yet" in lines[2]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["mri_17"], ["mri_17 (1).zip", "mri_17.zip"]),
        (["MRI", "(1)"], ["mri_17 (1).zip"]),
        (["%"], ["100%_half.zip"]),  # no sign has a meaning of its own
        (["_h"], ["100%_half.zip"]),
        (["Quokka_Zenobia", "T10"], ["mri_17 (1).zip", "mri_17.zip"]),  # by the label of the session
        (["--state", "under-way"], ["late.zip"]),
        (["grow"], ["growing.zip"]),
        (["--project", "P2"], []),
        (["--state", "complete", "half"], []),
    ],
)
def test_the_list_is_narrowed_by_words_state_and_project(type_: Type, words: list[str], names: list[str]) -> None:
    assert list(listed(type_, *words)) == names
    assert type_("deliveries", *words).exit_code == (0 if names else 1)


def test_however_many_words_are_typed_the_list_is_narrowed_by_each(type_: Type) -> None:
    """A shell makes as many words of `*` as there are files."""
    assert list(listed(type_, *["mri"] * 999, "(1)")) == ["mri_17 (1).zip"]
    for words in (["mri"] * 999 + ["nothing"], ["mri" * 20_000]):
        found = type_("deliveries", *words)
        assert (found.exit_code, found.stderr) == (1, NONE_FITS)
    assert "no delivery and no share table has" in type_("show", "mri" * 20_000).stderr


def test_a_file_that_has_just_come_is_listed_before_anything_takes_it(
    type_: Type, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    station.drop("fresh_23.zip", SCAN)
    station.drop("below/Fresh_24.ZIP", SCAN)
    for name in (".hidden.zip", "#recycle/gone.zip", "notes.txt"):
        station.drop(name, SCAN)
    assert listed(type_, "fresh") == {"below/Fresh_24.ZIP": "not taken", "fresh_23.zip": "not taken"}
    assert "no service runs here, so it is not taken" in type_("show", "fresh_23").stdout
    monkeypatch.setattr("xnat_watchd.interfaces.cli.deliveries.is_served", lambda _: True)
    assert listed(type_, "--state", "arriving") == {"below/Fresh_24.ZIP": "arriving", "fresh_23.zip": "arriving"}
    assert listed(type_, "--state", "held", "fresh") == listed(type_, "--project", "P1", "fresh") == {}
    shown = type_("deliveries", "fresh_23").stdout
    assert "it is taken once nobody has changed it for some seconds" in shown
    monkeypatch.setattr("xnat_watchd.operator.arriving.LATE", timedelta(0))
    assert "`xnat-watchd status` may tell what keeps the service from it" in type_("deliveries", "fresh_23").stdout
    station.run()
    assert "fresh_23.zip" not in listed(type_, "--state", "arriving")
    assert listed(type_, "fresh_23") != {}


def test_what_fits_nothing_is_told_with_the_nearest(type_: Type) -> None:
    for words, said in (
        (["--project", "p1"], "no delivery fits; the nearest project is P1"),
        (["mri17"], "no delivery fits; the nearest name is mri_17.zip"),
        (["QuokaZenobia"], "no delivery fits; the nearest name is Quokka_Zenobia"),
        (["--state", "skipped", "mri_17"], "no delivery fits"),
        (["xyzzy" * 100], "no delivery fits"),
    ):
        found = type_("deliveries", *words)
        assert (found.exit_code, found.stderr) == (1, f"{said}\n")
    assert "'mri17' in its name; the nearest name is mri_17.zip" in type_("show", "mri17").stderr


def test_no_name_that_may_be_meant_orders_the_terminal_about(type_: Type, station: Station) -> None:
    station.drop("wri\x1b]0;owned\x07st_31.zip", SCAN)
    station.run()
    for words in (("show", "owned_st_31.zip"), ("deliveries", "owned_st_31.zip")):
        told = type_(*words).stderr
        assert "st_31.zip" in told
        assert [sign for sign in told if not sign.isprintable() and sign != "\n"] == []


def test_only_what_came_lately_is_listed_on_demand(type_: Type, station: Station) -> None:
    assert station.time.now().year < 2030  # the station's clock stands; the program's does not
    assert listed(type_, "--since", "365d") != {}
    assert type_("deliveries", "--since", "1s").exit_code == 1


def test_a_spreadsheet_gets_the_same_rows(type_: Type) -> None:
    rows = list(csv.DictReader(io.StringIO(type_("deliveries", "--csv").stdout)))
    assert [row["state"] for row in rows] == ["not taken", "under way", "duplicate", "held", "failed", "complete"]
    assert (rows[0]["size"], rows[-1]["why"], rows[-1]["same_as"]) == ("", "", "")  # what there is not


def test_a_delivery_is_shown_by_the_name_of_its_file_or_a_part_of_it(type_: Type) -> None:
    assert type_("show", "mri_17.zip").stdout.startswith("Delivery 1: mri_17.zip")
    assert "both.zip" in type_("show", "both").stdout
    several = type_("show", "mri")
    assert several.exit_code == 2
    assert "mri_17 (1).zip" in several.stdout
    assert "give the number of one" in several.stderr
    assert "no delivery and no share table has 'nothing_like_it'" in type_("show", "nothing_like_it").stderr
    assert "not complete yet" in type_("show", "growing").stdout


def test_who_sees_a_session_in_xnats_prearchive_is_told_of_which_zip_it_is(type_: Type, station: Station) -> None:
    (place,) = station.ledger.views.delivery(1)["studies"][0]["places"]  # type: ignore[index]
    name = place["folder"]
    assert type_("show", name).stdout.startswith("Delivery 1: mri_17.zip")
    assert [*listed(type_, name)] == ["mri_17.zip"]
    assert listed(type_, name[:-1]) == listed(type_, "watchd") == {}  # its random part may hold any word
    other = type_("show", "watchd-1-1-abcdefghij")
    assert "another xnat-watchd chose this name" in other.stderr


def test_the_states_that_one_may_ask_for_are_those_that_there_are() -> None:
    assert [*STATES] == [*DeliveryOutcome]


def test_a_story_is_told_in_sentences_and_says_what_a_duplicate_repeats(type_: Type) -> None:
    told = [line.split("  ")[-1] for line in type_("show", "1").stdout.partition("What happened")[2].splitlines()]
    assert "uploaded: every image is there" in told
    assert "its subject is new on XNAT: Quokka_Zenobia" in told
    assert "finished: nothing of it is left to do" in told
    assert not any(line.startswith("taken") and line != "taken: it was read to its end" for line in told)
    assert "  same as      delivery 1" in type_("show", "mri_17 (1).zip").stdout.splitlines()
    assert json.loads(type_("show", "mri_17 (1).zip", "--json").stdout)["same_as"] == 1


def test_each_event_of_a_study_that_people_see_has_its_words() -> None:
    assert [event for event in Event if event not in OF_STUDY and event != _UNTOLD] == []
    assert [state for state in DeliveryState if state not in OF_DELIVERY] == []


def test_a_shell_offers_to_retry_what_can_be_retried(type_: Type) -> None:
    (offered,) = type_("items", "--stuck").stdout.split()
    assert type_("show", offered).stdout.startswith(f"Delivery {offered[0]}: both.zip")
    assert len(type_("items").stdout.split()) > 1


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def table_of(station: Station, *states: RowState) -> None:
    rows = read(b"subject,source,destination\nQuokka,P1,P2\nBilby,P1,P2\n").rows
    results = [
        RowResult(row=row, state=state, reason="" if state is RowState.SHARED else "Numbat")
        for row, state in zip(rows, states, strict=True)
    ]
    station.ledger.shares.keep("mri_17.csv", results, NOW)


def test_a_share_table_is_shown_by_its_name_row_by_row(station: Station, type_: Type) -> None:
    table_of(station, RowState.SHARED, RowState.FAILED)
    lines = type_("show", "mri_17.csv").stdout.splitlines()
    assert lines[0] == "Share table mri_17.csv"
    assert "  rows         1 shared, 1 failed" in lines
    second = lines[next(n for n, line in enumerate(lines) if line.startswith("Line 3: failed, 0 sessions shared")) :]
    assert second[1:] == [
        "  share        Bilby from P1 into P2",
        "  why          Numbat",
        "  what to do   Do what the reason says. It is tried again when the table or one of the two projects changes.",
    ]
    told = json.loads(type_("show", "mri_17.csv", "--json").stdout)
    assert [row["state"] for row in told["rows"]] == ["shared", "failed"]
    station.ledger.shares.refuse("mri_17.csv", Unusable("a reason", advice="Correct it.", detail="`subjct`"), NOW)
    lines = type_("show", "mri_17.csv").stdout.splitlines()
    assert "  why          `subjct`" in lines
    assert "  rows         1 shared, 1 failed, before it became unreadable" in lines
    assert type_("show", "mri_17.zip").stdout.startswith("Delivery 1: mri_17.zip")
    assert type_("show", "17.C").stdout.startswith("Share table mri_17.csv")
    station.ledger.shares.refuse("mri_17 old.csv", Unusable("a reason", advice="Correct it."), NOW)
    assert "2 share tables have 'csv' in their names: mri_17 old.csv, mri_17.csv" in type_("show", "csv").stderr


@pytest.mark.parametrize("on_terminal", [True, False])
def test_a_column_that_is_almost_right_is_named_by_share_on_a_terminal_only(
    type_: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, on_terminal: bool
) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: on_terminal, raising=False)
    (tmp_path / "table.csv").write_text("subjct,source,destination\n", "utf-8")
    said = type_("share", str(tmp_path / "table.csv")).stderr
    assert ("`subjct` is no column; did you mean `subject`?" in said) is on_terminal


def test_a_delivery_is_called_held_wherever_it_is_shown(type_: Type) -> None:
    held = type_("show", "both.zip").stdout
    assert "  state        held" in held.splitlines()
    for row in json.loads(type_("deliveries", "--json").stdout):
        if row["item"]:
            assert f"  state        {row['state']}" in type_("show", row["item"]).stdout.splitlines()
    assert type_("show", "growing").exit_code == 1
    assert type_("show", "growing").stderr == ""


def test_of_a_zip_without_a_study_it_is_said_why_nothing_can_be_retried(type_: Type) -> None:
    item = next(row["item"] for row in json.loads(type_("deliveries", "--json").stdout) if row["state"] == "failed")
    assert f"drop a sound ZIP, then `xnat-watchd skip {item} --why TEXT`" in type_("retry", item).stderr
