"""A study that another station was given while this one worked on it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.dicom import instance
from tests.engine import opened
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.station import Station, Time, zipped
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.stations import StationProcess
from xnat_watchd.core.delivery import Item
from xnat_watchd.core.errors import InDoubt


def begun(root: Path) -> Station:
    time = Time()
    station = Station(root, FakeGateway(FakeXnat(time), time), time)
    station.start()
    station.drop("1.zip", zipped([("1.dcm", instance(1, 1, 1))]))
    station.take_in()
    return station


def given_to_another(root: Path, station: Station) -> Item:
    with closing(Ledger(opened(root))) as other:
        other.studies.recover(station.time.now())
        item = other.studies.take(station.time.now())
        assert item is not None
        return item


@pytest.mark.parametrize("answer", ["came", "lost"])
def test_it_is_dropped_with_a_line_in_the_log_and_nothing_else(tmp_path: Path, answer: str) -> None:
    station = begun(tmp_path)
    found: list[Item] = []
    upload = station.tools.gateway.upload

    def thawed(*args: object, **named: object) -> object:
        found.append(given_to_another(tmp_path, station))
        if answer == "lost":
            raise InDoubt("the connection to XNAT broke")
        return upload(*args, **named)  # type: ignore[arg-type]

    station.tools.gateway.upload = thawed  # type: ignore[method-assign, assignment]
    assert station.pipeline.step()
    (item,) = found
    assert station.ledger.studies.get(item.key) == item
    assert station.log.lines[-1] == ("study.taken_over", {"item": item.name, "project": "P1"})
    assert "study.failed" not in station.log.events()
    assert not station.pipeline.step()
    assert station.standings() == [(item.name, "received", "busy")]
    station.close()


def test_what_was_taken_ahead_is_not_given_back_either(tmp_path: Path) -> None:
    station = begun(tmp_path)
    station.takes_ahead = True
    assert station.pipeline.step()  # its next step is taken with the progress
    item = given_to_another(tmp_path, station)
    station.pipeline.release()
    assert station.ledger.studies.get(item.key) == item
    assert station.log.events()[-1] == "study.taken_over"
    station.close()


@pytest.mark.parametrize("company", [True, False])
def test_a_start_leaves_alone_what_another_station_of_the_root_may_be_writing(tmp_path: Path, company: bool) -> None:  # noqa: FBT001
    station = begun(tmp_path)
    if company:
        with closing(Ledger(opened(tmp_path))) as other:
            other.stations.shared = True
            other.stations.enroll(StationProcess("ct-2", "0.2.0"))
            other.stations.serve("")
    files = [station.folders.work / "7.1.zip", station.folders.work / ".8.zip.part"]
    for file in files:
        file.touch()
    station.intake.recover()
    assert {file.exists() for file in files} == {company}
    station.close()


def test_a_zip_that_another_station_takes_over_while_it_is_opened_is_left_to_it(tmp_path: Path) -> None:
    time = Time()
    station: Station

    def frozen(part: str, thing: Any) -> Any:
        if part != "zip.open":
            return thing

        def open_slowly(path: Path, *observer: object) -> object:
            with closing(Ledger(opened(tmp_path))) as other:
                other.stations.shared = True
                other.stations.enroll(StationProcess("ct-2", "0.2.0"))
                other.stations.lease = 0.0
                assert other.gone_stations.put_in_doubt(time.now()) == ["ct-1"]
                assert other.deliveries.take_over()
            return thing(path, *observer)

        return open_slowly

    station = Station(tmp_path, FakeGateway(FakeXnat(time), time), time, around=frozen)
    station.ledger.stations.enroll(StationProcess("ct-1", "0.2.0"))
    station.start()
    station.drop("1.zip", zipped([("1.dcm", instance(1, 1, 1))]))
    station.take_in()
    assert station.log.events()[-1] == "delivery.taken_over"
    assert station.standings() == []
    assert station.folders.zip_of(1).exists()
    station.close()
