"""A study that was dropped into the wrong folder goes to another project by `retry --project`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dicom import instance
from tests.services.desk import Desk, scan, whole
from tests.station import Station, zipped
from xnat_watchd.core.errors import Impossible, InDoubt


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    one = Desk(tmp_path)
    yield one
    one.close()


def held(desk: Desk, data: bytes) -> Station:
    station = desk.station(project="")
    station.drop("p1/scan.zip", data)
    station.take_in()
    station.work()
    assert {standing for *_, standing in station.standings()} == {"held"}
    return station


def moved(station: Station, key: int = 1, project: str = "P1") -> None:
    station.ledger.decisions.retry(key, station.time.now(), project=project)


def test_a_held_study_goes_to_the_project_that_a_person_names(desk: Desk) -> None:
    station = held(desk, scan())
    moved(station)
    station.work()
    assert (desk.archived(), station.files()) == (whole(), ["done/2026-01/1_scan.zip"])
    row = station.ledger.views._db.rows("SELECT project FROM deliveries")[0]
    assert row["project"] == "P1"


def test_a_delivery_goes_along_with_the_last_of_its_studies(desk: Desk) -> None:
    station = held(desk, zipped([(f"{n}.dcm", instance(n, 1, 1, time=f"10{n:02}30")) for n in (1, 2)]))
    moved(station, 1)
    assert station.ledger.views._db.rows("SELECT project FROM deliveries")[0]["project"] == "p1"
    moved(station, 2)
    assert station.ledger.views._db.rows("SELECT project FROM deliveries")[0]["project"] == "P1"
    station.work()
    assert desk.archived() == whole(1, 1) + whole(2, 1)


def test_what_was_decided_for_the_old_project_is_decided_anew(desk: Desk) -> None:
    station = held(desk, scan())
    station.ledger.decisions.retry(1, station.time.now(), subject="OLD", label="OLD_MR")
    station.work()
    moved(station)
    row = station.ledger.views._db.rows("SELECT subject, label, session, server_uid FROM studies")[0]
    assert tuple(row) == (None, None, None, None)


def test_one_of_which_xnat_may_hold_something_stays_where_it_is(desk: Desk) -> None:
    station = desk.station()
    station.drop("scan.zip", scan())
    station.take_in()
    desk.xnat.before["upload"] = [InDoubt("the line died")]
    station.pipeline.step()
    with station.ledger.views._db.change() as db:
        db.execute("UPDATE places SET last_sent = chosen")
        db.execute("UPDATE studies SET standing = 'held', why = 'a person looks at it', due = NULL")
    before = [tuple(row) for row in station.ledger.views._db.rows("SELECT * FROM studies")]
    with pytest.raises(Impossible, match="XNAT may hold something of it"):
        moved(station, project="P2")
    assert [tuple(row) for row in station.ledger.views._db.rows("SELECT * FROM studies")] == before


def test_the_same_zip_that_is_under_way_there_is_not_joined_by_another(desk: Desk) -> None:
    station = held(desk, scan())
    station.drop("P1/scan.zip", scan())
    station.take_in()
    with pytest.raises(Impossible, match="the same ZIP is under way for that project as delivery 2"):
        moved(station)
