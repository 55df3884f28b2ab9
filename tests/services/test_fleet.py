"""What people are told of all stations of a ledger that several share: what is wrong first, and no names."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.dicom import CANARIES
from tests.ledger_conformance.engines import ENGINES, Recorder
from tests.stations import SharedLedger
from xnat_watchd.adapters.ledger.fleet import _CONTENTS, RootContents
from xnat_watchd.adapters.ledger.stations import StationProcess
from xnat_watchd.core.errors import Permanent, Refusal
from xnat_watchd.core.incidents import Incident, IncidentKey, IncidentKind
from xnat_watchd.core.station_report import StationReport, read_report
from xnat_watchd.operator.alert_texts import observed
from xnat_watchd.operator.fleet import fleet_sentence, fleet_status, forget_station, report_of, verdict
from xnat_watchd.operator.metrics import LedgerTotals, exposition
from xnat_watchd.operator.status import Exit, attention_row, take_snapshot

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DOWN = StationReport(
    free=5_000_000_000, waits=True, why="XNAT cannot be reached", advice="Nothing to do.", since="2026-01-01T11:00:00"
)
FULL = StationReport(
    free=1_000_000, waits=True, why="too little room is left, so nothing is taken", advice="Free some."
)


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[SharedLedger]:
    """Yield a ledger that several stations share."""
    made = SharedLedger(tmp_path)
    yield made
    made.close()


def of(shared: SharedLedger) -> dict[str, Any]:
    return fleet_status(shared.ledger.fleet, NOW)


def conditions(shared: SharedLedger) -> list[tuple[str, str]]:
    return [(row["name"], row["condition"]) for row in of(shared)["stations"]]


def hold(recorder: Recorder) -> None:
    recorder.receive()
    recorder.ledger.studies.hold(recorder.take(), recorder.now, Permanent("the study date is missing"))


def test_two_stations_that_are_well_are_said_to_be(shared: SharedLedger) -> None:
    shared.be("ct-1", report=StationReport(free=9_000_000_000))
    shared.be("mr-2").receive()
    fleet = of(shared)
    assert fleet_sentence(fleet) == "2 stations, all well."
    assert verdict(fleet) is Exit.FINE
    second, first = fleet["stations"]  # what has waited for longest comes first
    assert (first["name"], first["free"], first["under_way"], first["oldest"]) == ("ct-1", 9_000_000_000, 0, None)
    assert (second["name"], second["under_way"], second["free"]) == ("mr-2", 1, None)
    assert 0 <= first["age"] < 30


def test_the_worst_comes_first(shared: SharedLedger) -> None:
    shared.be("well")
    hold(shared.be("held"))
    shared.be("full", report=FULL)
    shared.be("down", report=DOWN)
    shared.be("found-gone", heard=7200, ended=7100).receive()
    shared.be("stopped", heard=50, ended=45)
    shared.be("cut-off", heard=300)
    shared.be("moved", root="old").receive()
    shared.be("moved", root="new")
    assert conditions(shared) == [
        ("found-gone", "silent"), ("cut-off", "silent"), ("stopped", "ended"), ("", "unserved"), ("down", "waits"),
        ("full", "waits"), ("held", "attention"), ("moved", "well"), ("well", "well"),
    ]  # fmt: skip
    fleet = of(shared)
    assert fleet_sentence(fleet) == (
        "8 stations: 2 silent, 1 ended, 2 waiting, 1 with something for a person; 1 root that none serves."
    )
    told = {row["name"]: row["why"] for row in fleet["stations"]}
    assert told["cut-off"] == "it was not heard of for 5 minutes"
    assert told["down"] == "XNAT cannot be reached"
    assert told["held"] == "1 held, 0 failed"
    assert told[""] == "no station serves root old"
    assert verdict(fleet) is Exit.ATTENTION


def test_a_station_that_will_not_come_back_is_listed_no_more(shared: SharedLedger) -> None:
    shared.be("gone", heard=7200, ended=7100)
    shared.be("stopped", heard=50, ended=45)
    shared.be("silent", heard=300)
    shared.be("here")
    for name in ("gone", "stopped", "silent"):
        forget_station(shared.ledger, name)
    assert conditions(shared) == [("here", "well")]
    assert verdict(of(shared)) is Exit.FINE
    assert shared.ledger.fleet.silent() == []
    assert shared.ledger.fleet.names() == ["gone", "here", "silent", "stopped"]  # what they did can still be asked for
    shared.ledger.stations.enroll(StationProcess("stopped", "0.2.0"))
    assert conditions(shared) == [("here", "well"), ("stopped", "well")]


def test_a_station_that_is_there_or_has_something_left_is_not_forgotten(shared: SharedLedger) -> None:
    recorder = shared.be("lost", heard=7200, ended=7100)
    delivery = recorder.receive()
    shared.be("here")
    refused = {
        "here": "works with this",
        "lost": "1 under way, 0 held, 0 failed",
        "nobody": "no station",
    }
    for name, why in refused.items():
        with pytest.raises(Refusal, match=why):
            forget_station(shared.ledger, name)
    recorder.ledger.decisions.skip(recorder.key(delivery), "its disk is broken", recorder.now)
    forget_station(shared.ledger, "lost")
    assert conditions(shared) == [("here", "well")]


def test_one_of_two_stations_of_a_root_may_be_forgotten_although_the_root_has_something_left(
    shared: SharedLedger,
) -> None:
    shared.be("old-host", root="share", heard=7200, ended=7100).receive()
    shared.be("new-host", root="share")
    forget_station(shared.ledger, "old-host")
    assert conditions(shared) == [("new-host", "well")]


def test_a_station_of_an_older_version_is_told_and_well(shared: SharedLedger) -> None:
    shared.be("new", version="0.10.0")
    shared.be("old", version="0.9.1")
    rows = {row["name"]: row for row in of(shared)["stations"]}
    assert (rows["old"]["condition"], rows["old"]["why"]) == ("well", "another station has a newer version")
    assert (rows["new"]["condition"], rows["new"]["why"]) == ("well", "")


def test_what_two_stations_of_one_root_have_is_counted_once(shared: SharedLedger) -> None:
    shared.be("host-1", root="share").receive()
    shared.be("host-2", root="share")
    fleet = of(shared)
    assert [row["under_way"] for row in fleet["stations"]] == [1, 1]
    assert fleet["totals"]["under_way"] == 1


def test_a_zip_that_failed_is_counted_until_somebody_settles_it_or_it_comes_again(shared: SharedLedger) -> None:
    recorder = shared.be("ct-1")
    deliveries, now = recorder.ledger.deliveries, recorder.now
    failed = deliveries.expect("a.zip", "P1", "identity", now)
    deliveries.reject(failed, Permanent("it holds no images"), "failed/a.zip", now, None)
    assert shared.ledger.fleet.contents()["root-of-ct-1"].failed == 1
    shared.change("UPDATE xnat_watchd.deliveries SET settled = ended WHERE id = %s", failed)
    assert shared.ledger.fleet.contents() == {}


def test_thirty_stations_stand_in_order_and_say_nothing_of_patients(shared: SharedLedger) -> None:
    for number in range(30):
        recorder = shared.be(f"station-{number:02}", heard=300 if number % 7 == 3 else 2)
        if number % 5 == 2:
            hold(recorder)
    found = conditions(shared)
    assert [condition for _, condition in found] == ["silent"] * 4 + ["attention"] * 5 + ["well"] * 21
    assert [name for name in (*CANARIES, "Quoll", "ZQ-1", ".zip") if name in json.dumps(of(shared))] == []


def test_a_silent_station_is_a_row_of_the_status_of_the_others_and_one_incident(shared: SharedLedger) -> None:
    shared.be("ct-1", heard=300)
    shared.be("ct-2", heard=400)
    shared.be("found-gone", heard=400, ended=300)
    shared.be("ended", heard=400, ended=395)
    shared.be("mr-2")
    status = take_snapshot(shared.ledger, "", NOW, running=True, daemon={})
    assert [(row["item"], row["about"]) for row in status["attention"]] == [
        ("ct-1", "station"), ("ct-2", "station"), ("found-gone", "station"),
    ]  # fmt: skip
    assert status["attention"][0]["why"].startswith("station ct-1 is silent since 20")
    assert [*observed(status)] == [IncidentKey(IncidentKind.STATION)]


def test_one_of_the_others_tells_of_a_silent_station(shared: SharedLedger) -> None:
    silent = IncidentKey(IncidentKind.STATION)
    shared.be("ct-1")
    shared.ledger.messages.keep({silent: Incident(NOW, told=NOW)})
    shared.be("mr-2")
    assert shared.ledger.messages.told_elsewhere() == {silent}


def test_the_metrics_count_stations_by_how_they_are(shared: SharedLedger, tmp_path: Path) -> None:
    shared.be("ct-1", heard=300)
    shared.be("mr-2")
    status = {**take_snapshot(shared.ledger, "", NOW, running=True, daemon={}), "age": 0}
    said = exposition(status, LedgerTotals.of(shared.ledger.totals, shared.ledger.fleet)).decode()
    assert 'xnat_watchd_stations{condition="silent"} 1.0' in said
    assert 'xnat_watchd_stations{condition="well"} 1.0' in said
    alone = Recorder(ENGINES[0], tmp_path)
    assert LedgerTotals.of(alone.ledger.totals, alone.ledger.fleet).fleet is None
    alone.ledger.close()


def test_what_a_root_has_is_asked_on_both_engines_alike(shared: SharedLedger, tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    file = Recorder(ENGINES[0], tmp_path / "file")
    found = []
    for recorder in (shared.recorder, file):
        recorder.ledger.stations.serve("root-1")
        hold(recorder)
        recorder.receive()
        found.append(recorder.ledger.fleet.contents())
    assert found[0] == found[1] == {"root-1": RootContents(1, 1, 0, NOW)}
    file.ledger.close()


# -- what a station tells of itself ------------------------------------------------------------------------


def published(**told: Any) -> dict[str, Any]:
    return {"gate": {"open": True}, "paused": [], "of_service": [], **told}


def test_a_station_tells_why_it_takes_or_sends_nothing() -> None:
    shut = {"open": False, "login": True, "why": "the login is refused", "advice": "Type it.", "since": None}
    pause = {"of": "work", "since": "2026-01-01T00:00:00", "why": "by ada", "advice": "Resume."}
    rows = [
        attention_row("alerts", "nobody is told", ""),
        attention_row("disk", "too little room is left", "Free some."),
    ]
    told = [
        report_of(published(**one), 7)
        for one in ({}, {"gate": shut}, {"paused": [pause]}, {"paused": [{**pause, "of": "retention"}]},
                    {"of_service": rows}, {"of_service": rows[:1]})
    ]  # fmt: skip
    assert [(one.waits, one.why) for one in told] == [
        (False, ""), (True, "the login is refused"), (True, "paused: by ada"), (False, ""),
        (True, "too little room is left"), (False, "nobody is told"),
    ]  # fmt: skip
    assert {one.free for one in told} == {7}


def test_a_report_is_read_as_it_was_written_and_a_strange_one_tells_nothing() -> None:
    assert read_report(FULL.as_text()) == FULL
    long = StationReport(why="x" * 10_000, advice="y" * 10_000)
    assert len(long.as_text()) < 1000
    strange = ("", "{", "[]", "7", '{"free": "much"}', json.dumps({"free": 1, "waits": 2}), "[" * 100_000)
    assert {read_report(text) for text in strange} == {StationReport()}


# -- what it costs -----------------------------------------------------------------------------------------

MOST = 0.25  #: seconds on a busy machine; alone it takes 0.05


def test_a_thousand_stations_and_a_hundred_thousand_studies_are_told_at_once(shared: SharedLedger) -> None:
    shared.be("first").receive()
    shared.change(_MANY_STATIONS)
    shared.change("ALTER TABLE xnat_watchd.studies DISABLE TRIGGER USER")
    shared.change("ALTER TABLE xnat_watchd.deliveries DISABLE TRIGGER USER")
    shared.change(_MANY_DELIVERIES)
    shared.change(_MANY_STUDIES)
    shared.change("ANALYZE")
    fleet, took = of(shared), list[float]()
    for _ in range(7):
        began = time.monotonic()
        of(shared)
        took.append(time.monotonic() - began)
    assert (fleet["totals"]["stations"], fleet["totals"]["held"]) == (1001, 1010)
    assert statistics.median(took) < MOST
    plan = " ".join(row[0] for row in shared.ledger.fleet._db.rows(f"EXPLAIN {_CONTENTS}"))
    assert "Seq Scan on studies" not in plan


_MANY_STATIONS = """
INSERT INTO xnat_watchd.stations (name, root, version, seen)
SELECT 's' || n, 'r' || n, '0.2.0', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US+00:00')
FROM generate_series(1, 1000) n
"""
_MANY_DELIVERIES = """
INSERT INTO xnat_watchd.deliveries (name, project, identity, state, sha256, size, arrived, ended, root)
SELECT n || '.zip', 'P' || n % 20, n::text, 'finished', lpad(n::text, 64, '0'), 10, '2026-01-01T00:00:00.000000+00:00',
  '2026-01-01T00:00:00.000000+00:00', 'r' || (n % 1000 + 1)
FROM generate_series(1, 100000) n
"""
_MANY_STUDIES = """
INSERT INTO xnat_watchd.studies (delivery, number, project, study_uid, patient_name, patient_id, birth_date, age, sex,
  date, time, modalities, progress, standing, why, session, received, changed, root)
SELECT id, 1, project, '1.2.' || id, 'X', 'X', '', '', '', '', '', '[]',
  CASE WHEN id % 33 = 0 THEN 'received' ELSE 'complete' END,
  CASE WHEN id % 33 <> 0 THEN 'done' WHEN id % 99 = 0 THEN 'held' ELSE 'ready' END,
  CASE WHEN id % 99 = 0 THEN 'the study date is missing' END, CASE WHEN id % 33 <> 0 THEN 'E' || id END,
  arrived, arrived, root
FROM xnat_watchd.deliveries WHERE state = 'finished'
"""
