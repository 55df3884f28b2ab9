"""What is written together, so that a disk that is slow to say that all is safe is waited for as rarely as may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dicom import instance
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.station import Station, Time, zipped
from xnat_watchd.core.gate import Gate

MOST = 13  #: commits of a new study with one series, from its ZIP in the drop folder to its ZIP in `done`


@pytest.fixture(params=["1.6", "1.8"])
def station(request: pytest.FixtureRequest, tmp_path: Path) -> Station:
    time = Time()
    station = Station(tmp_path, FakeGateway(FakeXnat(time, dialect=request.param), time), time)
    station.start()
    station.takes_ahead = True
    return station


def carry(station: Station, number: int) -> int:
    """Carry one new study to its end, and return how many commits changed something."""
    commits, connection = 0, station.ledger.views._db._db
    written = connection.total_changes

    def count(sql: str) -> None:
        nonlocal commits, written
        if sql == "COMMIT" and connection.total_changes != written:
            commits, written = commits + 1, connection.total_changes

    connection.set_trace_callback(count)
    who = {"time": f"10{number:02}00", "name": f"Quoll^Zenobia{number}", "patient": f"ZQ-{number}"}
    station.drop(f"{number}.zip", zipped([("1.dcm", instance(number, 1, 1, **who))]))
    station.take_in()
    station.work()
    connection.set_trace_callback(None)
    return commits


def test_a_new_study_takes_few_commits(station: Station) -> None:
    carry(station, 1)
    assert carry(station, 2) <= MOST
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
