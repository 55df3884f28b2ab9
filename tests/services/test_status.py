"""The snapshot: for the service's user, and for everybody who may drop files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.dicom import CANARIES, instance
from tests.engine import settings_of
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.station import Notes, Station, Time, zipped
from xnat_watchd.adapters.credentials import Credential, Secret
from xnat_watchd.core.errors import Impossible, Transient, Unusable
from xnat_watchd.core.gate import Gate
from xnat_watchd.core.incidents import IncidentKind
from xnat_watchd.core.sharing.row_state import RowState
from xnat_watchd.core.sharing.state import RowResult
from xnat_watchd.core.sharing.table import ShareRow
from xnat_watchd.daemon.composition import build
from xnat_watchd.interfaces.cli.status_screen import screen
from xnat_watchd.operator.alert_texts import observed
from xnat_watchd.operator.current_status import status_of
from xnat_watchd.operator.status import (
    Exit,
    attention_row,
    delivery_of,
    sentence,
    take_snapshot,
    verdict,
    without_names,
)
from xnat_watchd.operator.status_sentences import waiting_sentence
from xnat_watchd.settings import load

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FOLDER = "Quokka_Zenobia"  #: the name of a folder that somebody made, and a patient's


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    """Yield a workstation without a project of its own: the folder below drop names it. XNAT has only P1."""
    time = Time()
    station = Station(tmp_path, FakeGateway(FakeXnat(time, projects=["P1"]), time), time, project="")
    yield station
    station.close()


def scan(study: int = 1) -> bytes:
    return zipped([("1.dcm", instance(study, 1, 1))])


def snapshots(station: Station) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the snapshot for the service's user, and the one for everybody."""
    full = take_snapshot(station.ledger, "https://x", NOW, running=True, daemon={"pid": 1})
    known = set(station.ledger.views.confirmed_projects())
    return full, without_names(full, known.__contains__)


def test_everybody_sees_items_and_projects_and_what_to_do(station: Station) -> None:
    station.drop("P1/scan.zip", scan())
    station.drop("P1/notes.zip", zipped([("notes.txt", b"nothing")]))
    station.run()
    _, told = snapshots(station)
    assert told["deliveries"] == {"finished": 1, "rejected": 1}
    (row,) = told["attention"]
    assert (row["item"], row["project"]) == ("1", "P1")
    assert row["why"]
    assert row["advice"]


def test_a_file_in_the_drop_folder_hides_no_trouble_that_is_called_as_it_is(station: Station) -> None:
    station.drop("P1/notes.zip", zipped([("notes.txt", b"nothing")]))
    station.run()
    for name in ("1", "work"):  # as an export without an extension may be called
        station.drop(name, b"no image")
    station.intake.sweep()
    full, _ = snapshots(station)
    full["attention"] = [attention_row("work", "the work folder cannot be reached", "Mount it."), *full["attention"]]
    told = without_names(full, lambda _: True)
    assert {"1", "work"} <= {row["item"] for row in told["attention"]}


@pytest.mark.parametrize(
    "name", ["5 Doe Jane.zip", "5.zip", "1", "1.1", "7T/scan.rar", "\u00b2.zip", "project", "disk"]
)
def test_a_file_of_any_name_needs_somebody_and_is_taken_for_nothing_else(station: Station, name: str) -> None:
    station.drop("P1/notes.zip", zipped([("notes.txt", b"nothing")]))
    station.run()
    station.ledger.deliveries.ignore({name: ("no project", "Move it into the folder of a project.")}, NOW)
    full, told = snapshots(station)
    rejected, file = full["attention"]
    assert (rejected["about"], rejected["item"], rejected["name"]) == ("item", "1", "P1/notes.zip")
    assert (file["about"], file["item"], file["name"]) == ("file", name, "")
    assert [(row["about"], row["item"]) for row in told["attention"]] == [("item", "1"), ("file", "drop")]
    assert {key.kind: len(rows) for key, rows in observed(told).items()} == {
        IncidentKind.STUDIES: 1, IncidentKind.DROP: 1,
    }  # fmt: skip


def test_each_row_that_needs_somebody_has_the_same_keys_for_everybody(station: Station) -> None:
    station.drop("P1/notes.zip", zipped([("notes.txt", b"nothing")]))
    station.run()
    station.ledger.deliveries.ignore({"a.zip": ("no project", "Move it into the folder of a project.")}, NOW)
    station.ledger.shares.refuse("table.csv", Unusable("it has no column `subject`"), NOW)
    for seen in snapshots(station):
        assert len(seen["attention"]) == 3
        assert all({"item", "about", "project", "name", "why", "advice"} <= row.keys() for row in seen["attention"])


def test_a_share_table_of_any_name_needs_somebody_and_is_no_delivery(station: Station) -> None:
    station.ledger.shares.refuse("2026 March.csv", Unusable("it has no column `subject`"), NOW)
    full, told = snapshots(station)
    (row,) = full["attention"]
    assert (row["about"], row["item"], row["name"]) == ("share table", "2026 March.csv", "")
    assert [key.kind for key in observed(told)] == [IncidentKind.TABLE]


def test_file_names_are_for_the_services_user_alone(station: Station) -> None:
    for name in ("Quokka Zenobia.zip.part", "Quokka Zenobia.zip", "P1/readme of Quokka.txt", "Quokka too.zip"):
        station.drop(name, b"")
    station.run()
    full, told = snapshots(station)
    assert {"Quokka Zenobia.zip", "P1/readme of Quokka.txt"} < {one["name"] for one in full["ignored"]}
    assert "Quokka" not in json.dumps(told)
    assert len(told["ignored"]) == 4
    (row,) = told["attention"]
    assert (row["item"], row["why"]) == ("drop", "2 files: no project")
    assert "folder" in row["advice"]
    assert verdict(told, finished=False) is verdict(full, finished=False) is Exit.ATTENTION


def test_a_folder_that_is_no_project_is_not_named_to_everybody(station: Station) -> None:
    station.drop(f"{FOLDER}/scan.zip", scan())
    station.run()
    full, told = snapshots(station)
    assert FOLDER in json.dumps(full)
    assert not [canary for canary in (*CANARIES, FOLDER) if canary in json.dumps(told)]
    (row,) = told["attention"]
    assert (row["item"], row["project"]) == ("1.1", "")
    assert row["why"]


def test_a_projects_gate_is_shown_under_a_mark_where_its_name_is_a_secret(station: Station) -> None:
    gate = Gate(until=NOW, why=f"XNAT lists no project {FOLDER}", advice="Make it.")
    station.ledger.gates.set(FOLDER, gate)
    station.drop("P1/scan.zip", scan())
    station.run()
    station.ledger.gates.set("P1", Gate(until=NOW, why="no right", advice="Ask."))
    _, told = snapshots(station)
    assert FOLDER not in json.dumps(told)
    assert set(told["projects_shut"]) == {"…", "P1"}


def test_a_name_within_a_longer_word_is_left_alone(station: Station) -> None:
    full, _ = snapshots(station)
    full["under_way"] = [{"item": "1.1", "project": "of", "why": "half of it, offered of-late"}]
    (row,) = without_names(full, lambda _: False)["under_way"]
    assert row == {"item": "1.1", "project": "", "why": "half … it, offered of-late"}


def test_the_snapshot_for_the_services_user_is_left_as_it_is(station: Station) -> None:
    station.drop(f"{FOLDER}/scan.zip", scan())
    station.run()
    full, _ = snapshots(station)
    before = json.dumps(full)
    without_names(full, lambda _: False)
    assert json.dumps(full) == before


def test_what_only_the_running_service_knows_needs_attention_first(station: Station) -> None:
    full = attention_row("disk", "too little room is left", "Free some space.")
    snapshot = take_snapshot(station.ledger, "https://x", NOW, running=True, daemon={}, attention=[full])
    assert snapshot["attention"] == [{**full, "name": ""}]
    assert verdict(snapshot, finished=False) is Exit.ATTENTION
    assert sentence(snapshot) == "0 under way, 0 held, 0 complete; too little room is left"


def test_programs_find_the_same_keys_whether_a_service_runs_or_not(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f'[xnat]\nserver = "http://127.0.0.1:9"\n[folders]\nroot = "{tmp_path}"\n{settings_of(tmp_path)}', "utf-8"
    )
    daemon = build(load(config, {}), Credential("tech", Secret("secret"), "test"), Notes())
    runs = daemon.take_snapshot()
    stands = status_of(daemon.ledger, "http://127.0.0.1:9", None, NOW, running=False, names=True)
    assert {*runs, "age"} == {*stands}  # whoever reads what a service has published adds its age
    assert {*runs["daemon"]} == {*stands["daemon"]}
    assert (runs["daemon"]["running"], stands["daemon"]["running"]) == (True, False)
    daemon.server.close()
    daemon.ledger.close()


def test_a_file_whose_name_begins_like_an_item_is_taken_for_none(station: Station) -> None:
    """Scanners call files so. One that nobody takes needs somebody, and is not the delivery of that number."""
    station.drop("P1/scan.zip", scan())
    for number, name in enumerate(("20240301-export.dcm", "1.dcm", "1.1", "²-1.dcm"), 1):
        station.drop(name, instance(9, 1, number))
    station.run()
    for _ in range(2):
        station.time.pass_(hours=3)
        station.intake.sweep()
    seen, told = snapshots(station)
    rows = [row for row in seen["attention"] if not row.get("at")]
    assert {row["item"] for row in rows} == {"20240301-export.dcm", "1.dcm", "1.1", "²-1.dcm"}
    assert {(delivery_of(row), row["name"]) for row in rows} == {(None, "")}
    shown = screen({**seen, "age": 0, "daemon": {**seen["daemon"], "settling": 0, "uploads": []}})
    assert "xnat-watchd show" not in shown
    assert sentence(seen).count("DICOM without a ZIP") == 4
    assert "export" not in json.dumps(told)


def test_a_folder_that_is_called_like_a_part_of_a_time_spoils_none(station: Station) -> None:
    """Anybody who may drop files may make a folder `00`, whose name is hidden as long as it is no project."""
    station.drop("00/scan.zip", scan())
    station.run()
    station.ledger.gates.set("00", Gate(until=NOW, since=NOW, why="no project 00", advice="Make it."))
    station.ledger.gates.set("", Gate(until=NOW, since=NOW, why="XNAT is down, says 00", advice="Wait."))
    _, told = snapshots(station)
    for gate in (told["gate"], *told["projects_shut"].values()):
        assert (gate["since"], gate["until"]) == (NOW.isoformat(), NOW.isoformat())
        assert "00" not in gate["why"]
    assert "It is asked again now." in waiting_sentence({**told, "at": NOW.isoformat()})


def test_who_waits_for_xnat_is_told_since_when_and_when_it_is_asked_next(station: Station) -> None:
    yesterday, soon = NOW - timedelta(hours=30), NOW + timedelta(minutes=5)
    station.ledger.gates.set("", Gate(until=soon, since=yesterday, why="XNAT cannot be reached", advice="Look."))
    _, told = snapshots(station)
    assert waiting_sentence(told) == (
        f"Waiting for XNAT since {yesterday.astimezone():%Y-%m-%d %H:%M:%S}: XNAT cannot be reached. "
        f"It is asked again at {soon.astimezone():%H:%M:%S}."
    )
    station.ledger.gates.set("", Gate())
    assert waiting_sentence(snapshots(station)[1]) == ""


def test_a_shut_gate_says_until_when(station: Station) -> None:
    gate = Gate(until=NOW + timedelta(minutes=5), login=True, why="refused", advice="Log in.", since=NOW)
    station.ledger.gates.set("", gate)
    _, told = snapshots(station)
    assert told["gate"] == {
        "open": False, "login": True, "why": "refused", "advice": "Log in.", "since": "2026-01-01T00:00:00+00:00",
        "until": "2026-01-01T00:05:00+00:00",
    }  # fmt: skip
    assert verdict(told, finished=False) is Exit.LOGIN


# -- what was rejected ------------------------------------------------------------------------------------


def rejected(station: Station) -> list[str]:
    return [row["item"] for row in station.ledger.views.attention()]


def test_a_zip_that_was_put_aside_stays_in_the_list_although_another_of_its_name_arrives(station: Station) -> None:
    station.drop("P1/scan.zip", zipped([("notes.txt", b"nothing")]))
    station.run()
    station.drop("P1/scan.zip", scan())  # perhaps somebody else's
    station.run()
    assert station.ledger.views.deliveries() == {"rejected": 1, "finished": 1}
    (row,) = station.ledger.views.attention()
    assert row["item"] == "1"
    assert row["advice"] == "Export the study again and drop the new ZIP. Then `xnat-watchd skip 1 --why TEXT`."


def test_the_same_bytes_again_stand_for_what_was_put_aside_whatever_their_name(station: Station) -> None:
    nothing = zipped([("notes.txt", b"nothing")])
    for name in ("P1/a.zip", "P1/b.zip", "P2/a.zip"):
        station.drop(name, nothing)
        station.run()
    assert rejected(station) == ["3", "2"]


def test_a_person_settles_what_was_put_aside_and_its_zip_stays_where_it_lies(station: Station) -> None:
    for name in ("P1/a.zip", "P1/b.zip"):
        station.drop(name, zipped([(f"{name}.txt", b"nothing")]))
    station.run()
    files = station.files()
    station.ledger.decisions.settle(1, "exported again", NOW)
    assert rejected(station) == ["2"]
    assert station.files() == files
    story = station.ledger.views.delivery(1) or {}
    assert (story["state"], story["events"][-1]["event"]) == ("rejected", "settled")
    with pytest.raises(Impossible, match="it is settled already"):
        station.ledger.decisions.settle(1, "exported again", NOW)


def test_what_was_not_put_aside_cannot_be_settled(station: Station) -> None:
    station.drop("P1/scan.zip", scan())
    station.run()
    with pytest.raises(Impossible, match="it was not rejected"):
        station.ledger.decisions.settle(1, "no", NOW)


# -- share tables ------------------------------------------------------------------------------------------


def keep(station: Station, name: str, *states: RowState) -> None:
    rows = [ShareRow(line=n, subject=f"S{n}", source="P1", destination="P2") for n, _ in enumerate(states, 2)]
    results = [RowResult(row=row, state=state) for row, state in zip(rows, states, strict=True)]
    station.ledger.shares.keep(name, results, NOW)


def test_each_share_table_has_its_rows_by_state_and_no_name_for_everybody(station: Station) -> None:
    keep(station, "Quokka.csv", RowState.SHARED, RowState.SHARED, RowState.WAITING)
    keep(station, "Aardvark.csv", RowState.FAILED, RowState.REMOVED)
    full, told = snapshots(station)
    assert [(one["name"], one["rows"]) for one in full["shares"]] == [
        ("Aardvark.csv", {"removed by someone": 1, "failed": 1}),
        ("Quokka.csv", {"shared": 2, "waiting": 1}),
    ]
    assert [one["name"] for one in told["shares"]] == ["table 1", "table 2"]
    assert not [name for name in ("Quokka", "Aardvark") if name in json.dumps(told)]
    assert [one["item"] for one in full["attention"]] == ["Aardvark.csv"]
    assert [(one["item"], one["why"]) for one in told["attention"]] == [("table 1", "1 row of a share table failed")]
    assert "share rows: 1 removed by someone, 1 failed, 2 shared, 1 waiting" in sentence(told)


def test_a_share_table_without_a_row_has_none_and_needs_nobody(station: Station) -> None:
    keep(station, "table.csv")
    _, told = snapshots(station)
    assert told["attention"] == []
    shown = screen({**told, "age": 0, "daemon": {"running": True, "uploads": []}})
    assert "  shares      table 1: 0 rows" in shown.splitlines()


def test_a_share_table_that_cannot_be_read_needs_somebody_and_says_how_it_stood_before(station: Station) -> None:
    keep(station, "Quokka.csv", RowState.SHARED)
    station.ledger.shares.refuse("Quokka.csv", Unusable("the table is empty", advice="Correct it."), NOW)
    _, told = snapshots(station)
    assert [(one["item"], one["why"]) for one in told["attention"]] == [("table 1", "the table is empty")]
    shown = screen({**told, "age": 0, "daemon": {"running": True, "uploads": []}})
    assert "  shares      table 1: the table is empty; before: 1 shared" in shown.splitlines()


@pytest.mark.parametrize(
    ("states", "once", "meanwhile"),
    [
        ([RowState.SHARED, RowState.THERE], Exit.FINE, Exit.FINE),
        ([RowState.SHARED, RowState.WAITING], Exit.WAITING, Exit.FINE),
        ([RowState.WAITING, RowState.REMOVED], Exit.ATTENTION, Exit.FINE),
        ([RowState.FAILED, RowState.SHARED], Exit.ATTENTION, Exit.ATTENTION),
    ],
)
def test_rows_that_are_not_true_are_told_by_the_exit_code(
    station: Station, states: list[RowState], once: Exit, meanwhile: Exit
) -> None:
    keep(station, "table.csv", *states)
    full, told = snapshots(station)
    assert verdict(full, finished=True) is verdict(told, finished=True) is once
    assert verdict(full, finished=False) is verdict(told, finished=False) is meanwhile


@pytest.mark.parametrize(("passes", "once"), [(True, Exit.WAITING), (False, Exit.ATTENTION)])
def test_a_project_that_is_shut_needs_attention_while_studies_wait_for_it(
    tmp_path: Path, *, passes: bool, once: Exit
) -> None:
    time = Time()
    station = Station(tmp_path, FakeGateway(FakeXnat(time), time), time)
    gate = Gate(until=time.now() + timedelta(hours=1), why="no right", advice="Ask.", passes=passes)
    station.ledger.gates.set("P1", gate)
    empty = take_snapshot(station.ledger, "https://x", time.now(), running=True, daemon={})
    assert empty["attention"] == []
    station.drop("a.zip", zipped([("1.dcm", instance())]))
    station.start()
    station.take_in()
    snapshot = take_snapshot(station.ledger, "https://x", time.now(), running=True, daemon={})
    assert [(one["item"], one["why"], one["advice"]) for one in snapshot["attention"]] == [
        ("project", "project P1 waits: no right", "Ask.")
    ]
    assert (verdict(snapshot, finished=False), verdict(snapshot, finished=True)) == (Exit.ATTENTION, once)
    assert "P1" not in str(without_names(snapshot, lambda _: False)["attention"])
    station.close()


def test_a_study_that_has_met_trouble_for_an_hour_needs_attention_by_name(tmp_path: Path) -> None:
    time = Time()
    xnat = FakeXnat(time)
    xnat.before["sessions"] = [Transient("XNAT answered 500 to a question")] * 100
    station = Station(tmp_path, FakeGateway(xnat, time), time)
    station.drop("a.zip", zipped([("1.dcm", instance())]))
    station.start()
    station.take_in()
    station.work(hours=0.5)
    assert take_snapshot(station.ledger, "https://x", time.now(), running=True, daemon={})["attention"] == []
    station.work(hours=1)
    (row,) = take_snapshot(station.ledger, "https://x", time.now(), running=True, daemon={})["attention"]
    assert (row["item"], "does not get on" in row["why"]) == ("1.1", True)
    station.close()
