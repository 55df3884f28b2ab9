"""What is written together, so that a disk that is slow to say that all is safe is waited for as rarely as may be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.dicom import instance
from tests.engine import asked, location_of
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.ledgers import connection_of
from tests.station import QUIET, Station, Time, zipped
from xnat_watchd.adapters.ledger.location import Location
from xnat_watchd.adapters.ledger.pauses import Activity
from xnat_watchd.core.delivery import Place
from xnat_watchd.core.errors import InDoubt
from xnat_watchd.core.gate import Gate
from xnat_watchd.core.ports import Progressed
from xnat_watchd.studies.steps.commits import COMMITS

WRITES = re.compile(r"\s*(?:INSERT (?:OR \w+ )?INTO|UPDATE|DELETE FROM) (\w+)")


@pytest.fixture(params=["1.6", "1.8"])
def station(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Station]:
    time = Time()
    station = Station(tmp_path, FakeGateway(FakeXnat(time, dialect=request.param), time), time)
    station.start()
    station.takes_ahead = True
    yield station
    station.close()


def carry(station: Station, number: int) -> list[tuple[str, ...]]:
    """Carry one new study to its end. Return the tables that each commit which changed something has written to."""
    commits, tables, connection = list[tuple[str, ...]](), set[str](), connection_of(station.ledger.views._db)
    changes = connection.total_changes

    def note(sql: str) -> None:
        nonlocal changes
        if found := WRITES.match(sql):
            tables.add(found[1])
        if sql == "COMMIT":
            if connection.total_changes != changes:
                commits.append(tuple(sorted(tables)))
            changes = connection.total_changes
            tables.clear()

    connection.set_trace_callback(note)
    who = {"time": f"10{number:02}00", "name": f"Quoll^Zenobia{number}", "patient": f"ZQ-{number}"}
    station.drop(f"{number}.zip", zipped([("1.dcm", instance(number, 1, 1, **who))]))
    station.take_in()
    station.work()
    connection.set_trace_callback(None)
    return commits


def test_a_new_study_takes_the_commits_of_the_table_and_no_other(station: Station) -> None:
    carry(station, 1)
    assert carry(station, 2) == [one.tables for one in COMMITS]
    assert len(COMMITS) == 9
    assert {standing for _, _, standing in station.standings()} == {"done"}
    station.close()


def test_the_next_study_is_taken_with_the_last_progress_and_given_back_where_no_step_follows(station: Station) -> None:
    station.drop("1.zip", zipped([("1.dcm", instance(1, 1, 1))]))
    station.take_in()
    station.pipeline.step()
    assert station.standings() == [("1.1", "uploaded", "busy")]
    station.pipeline.release()
    assert station.standings() == [("1.1", "uploaded", "ready")]
    assert not station.ledger.studies.get(1).in_doubt
    station.pipeline.release()
    station.work()
    assert station.standings() == [("1.1", "complete", "done")]
    station.close()


def test_nothing_is_taken_ahead_of_a_gate_that_is_shut(station: Station) -> None:
    station.drop("1.zip", zipped([("1.dcm", instance(1, 1, 1))]))
    station.take_in()
    station.ledger.gates.set("P2", Gate(trial=True, why="it was in trouble"))
    station.pipeline.step()
    assert station.standings() == [("1.1", "uploaded", "ready")]
    station.close()


def test_what_was_taken_ahead_is_not_begun_once_a_person_has_paused_the_work(station: Station) -> None:
    station.drop("1.zip", zipped([("1.dcm", instance(1, 1, 1))]))
    station.take_in()
    station.pipeline.step()
    assert station.standings() == [("1.1", "uploaded", "busy")]
    station.ledger.pauses.begin(Activity.WORK, "ada has paused it", "Type `xnat-watchd resume`.", station.time.now())
    assert not station.pipeline.step()
    assert station.standings() == [("1.1", "uploaded", "ready")]
    station.close()


class LateRow(FakeGateway):
    """An XNAT that lists an earlier import of a study only when its demographics are asked for."""

    place = Place("P1", "20251231_120000000", "watchd-1-1-abcdefghij")

    def header(self, project: str, accession: str, study_uid: str) -> Mapping[str, str] | None:
        (session,) = self.xnat.sessions.values()
        self.xnat.store(self.place, session.files(self.clock.now()))
        return super().header(project, accession, study_uid)


def test_a_study_that_has_given_up_a_place_ends_its_delivery_only_after_another_look_there(tmp_path: Path) -> None:
    time = Time()
    xnat, place = FakeXnat(time, dialect="1.6"), LateRow.place
    station = Station(tmp_path, LateRow(xnat, time), time)
    station.start()
    station.drop("1.zip", zipped([("1.dcm", instance(1, 1, 1))]))
    station.take_in()
    with station.ledger.studies._db.change() as db:
        db.execute(
            "INSERT INTO places (study, project, timestamp, folder, chosen, last_sent, ended)"
            " VALUES (1, ?1, ?2, ?3, ?4, ?4, ?4)",
            (place.project, place.timestamp, place.folder, time.now().isoformat()),
        )
    station.work()
    assert station.standings() == [("1.1", "complete", "done")]
    assert station.ledger.views.deliveries() == {"finished": 1}
    assert [where for where, *_ in xnat.instances()] == ["archive"]
    station.close()


INTENTS = {
    "take": "SELECT 1 FROM deliveries WHERE state = 'arriving'",
    "upload": "SELECT 1 FROM studies JOIN places ON study = key WHERE standing = 'busy' AND ended IS NULL",
    "archive": "SELECT 1 FROM studies JOIN places ON study = key WHERE label <> '' AND claimed <> '' AND before = '{}'",
    "write_subject": "SELECT 1 FROM studies WHERE standing = 'busy' AND progress = 'archived' AND session <> ''",
    "move": "SELECT 1 FROM deliveries WHERE state = 'finished' AND kept_as LIKE 'done/%'",
}
"""What a program that starts after a kill must find in the ledger, by the act before which it must be there."""


class Watched:
    """A part before each act of which another connection to the ledger looks what is on the disk."""

    def __init__(self, part: Any, ledger: Location, seen: dict[str, bool]) -> None:
        self._part, self._ledger, self._seen = part, ledger, seen

    def __getattr__(self, name: str) -> Any:
        if name in INTENTS:
            self._seen[name] = bool(asked(self._ledger, INTENTS[name]))
        return getattr(self._part, name)


@pytest.mark.parametrize("dialect", ["1.6", "1.8"])
def test_what_is_about_to_be_done_is_on_the_disk_before_it_is_done(
    tmp_path: Path, dialect: Literal["1.6", "1.8"]
) -> None:
    time, seen = Time(), dict[str, bool]()

    def around(part: str, thing: Any) -> Any:
        return Watched(thing, location_of(tmp_path), seen) if part in {"disk", "gateway"} else thing

    station = Station(tmp_path, FakeGateway(FakeXnat(time, dialect=dialect), time), time, around=around)
    station.takes_ahead = True
    station.drop("1.zip", zipped([("1.dcm", instance(1, 1, 1))]))
    station.run()
    station.close()
    assert seen == dict.fromkeys(INTENTS, True)


def recorded(station: Station) -> tuple[float | None, int]:
    """Return how many seconds after the start something was sent last, and how often all was."""
    (row,) = station.ledger.views._db.rows("SELECT last_sent, uploads FROM places JOIN studies ON key = study")
    if row["last_sent"] is None:
        return None, row["uploads"]
    return (datetime.fromisoformat(row["last_sent"]) - Time().at).total_seconds() - QUIET, row["uploads"]


def test_an_upload_that_takes_longer_than_a_moment_is_recorded_as_it_goes(tmp_path: Path) -> None:
    time, told = Time(), list[tuple[float | None, int]]()

    class Slow(FakeGateway):
        def upload(self, place: Place, zip_path: str, progressed: Progressed, *, alone: bool) -> None:
            for sent, size in [(0, 0), (0, 0), (0, 90), (0, 90), (30, 90), (60, 90), (90, 90)]:
                progressed(sent, size)
                told.append(recorded(slow))
                time.pass_(seconds=5)
            super().upload(place, zip_path, progressed, alone=alone)

    slow = Station(tmp_path, Slow(FakeXnat(time), time), time)
    slow.drop("1.zip", zipped([("1.dcm", instance(1, 1, 1))]))
    slow.start()
    slow.take_in()
    slow.pipeline.step()
    waiting, first, part, whole = (None, 0), (10.0, 1), (15.0, 0), (30.0, 1)
    assert told == [(0.0, 1), waiting, first, part, part, part, whole]
    assert slow.standings() == [("1.1", "uploaded", "ready")]
    slow.close()


@pytest.mark.parametrize("sent", [0, 30])
def test_an_upload_that_breaks_off_within_a_moment_is_none_of_the_whole_study(tmp_path: Path, sent: int) -> None:
    time = Time()

    class Broken(FakeGateway):
        def upload(self, place: Place, zip_path: str, progressed: Progressed, *, alone: bool) -> None:
            del place, zip_path, alone
            progressed(sent, 90)
            raise InDoubt("the connection to XNAT broke")

    station = Station(tmp_path, Broken(FakeXnat(time), time), time)
    station.drop("1.zip", zipped([("1.dcm", instance(1, 1, 1))]))
    station.start()
    station.take_in()
    station.pipeline.step()
    assert recorded(station) == (0.0, 0)
    station.close()
