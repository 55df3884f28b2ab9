"""The answer to a change of the ledger is lost, as with a connection: it was written, and the intake was not told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from tests.dicom import instance
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.station import Station, Time, zipped
from xnat_watchd.core.errors import LedgerUnusable
from xnat_watchd.core.states import LINE


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    """Yield a service that has begun."""
    time = Time()
    made = Station(tmp_path, FakeGateway(FakeXnat(time), time), time)
    made.start()
    yield made
    made.close()


def lose_answer(station: Station, change: str) -> None:
    """Have the next change of this name written, and its answer lost."""
    deliveries = station.ledger.deliveries
    real = getattr(deliveries, change)

    @wraps(real)
    def untold(*values: Any, **named: Any) -> Any:
        delattr(deliveries, change)
        real(*values, **named)
        raise LedgerUnusable("the line was cut", advice="", passes=True)

    setattr(deliveries, change, untold)


@pytest.mark.parametrize("change", ["expect", "record"])
def test_a_zip_of_which_it_was_not_told_that_it_is_recorded_is_taken_once(station: Station, change: str) -> None:
    station.drop("a.zip", zipped([("1.dcm", instance())]))
    lose_answer(station, change)
    with pytest.raises(LedgerUnusable):
        station.take_in()
    station.run()
    assert [progress for _, progress, _ in station.standings()] == ["complete"]
    assert [file for file in station.files() if file.startswith(("drop/", "work/"))] == []


def test_a_zip_of_which_it_was_not_told_that_it_is_rejected_lies_in_failed(station: Station) -> None:
    station.drop("a.zip", zipped([("notes.txt", b"no image")]))
    lose_answer(station, "reject")
    with pytest.raises(LedgerUnusable):
        station.take_in()
    assert any(file.startswith("work/") for file in station.files())
    station.take_in()
    assert [file for file in station.files() if file.startswith(("drop/", "work/"))] == []
    assert any(file.startswith("failed/") for file in station.files())


def test_a_duplicate_of_which_it_was_not_told_lies_in_done(station: Station) -> None:
    content = zipped([("1.dcm", instance())])
    station.drop("a.zip", content)
    station.take_in()
    station.drop("b.zip", content)
    lose_answer(station, "record")
    with pytest.raises(LedgerUnusable):
        station.take_in()
    station.run()
    assert [file for file in station.files() if file.startswith(("drop/", "work/"))] == []


@pytest.mark.parametrize("step", range(3), ids=["uploaded", "archived", "complete"])
def test_a_study_goes_on_from_what_was_recorded_although_nobody_was_told(station: Station, step: int) -> None:
    station.drop("a.zip", zipped([("1.dcm", instance())]))
    station.take_in()
    while station.standings()[0][1] != LINE[step]:
        station.pipeline.step()
        station.time.pass_(minutes=1)
    together, advance, recorded = station.ledger.together, station.ledger.studies.advance, list[object]()

    def advanced(*values: Any) -> Any:
        recorded.append(advance(*values))
        return recorded[-1]

    @contextmanager
    def untold() -> Iterator[None]:
        with together():
            yield
        if len(recorded) == 1:
            recorded.append("untold")
            raise LedgerUnusable("the line was cut", advice="", passes=True)

    station.ledger.studies.advance = advanced  # type: ignore[method-assign, assignment]
    station.ledger.together = untold  # type: ignore[method-assign]
    with pytest.raises(LedgerUnusable):
        station.work()
    assert recorded == [LINE[step + 1], "untold"]
    station.work()
    assert [standing for *_, standing in station.standings()] == ["done"]
    assert [file for file in station.files() if file.startswith(("drop/", "work/"))] == []
    assert len(station.ledger.views.deliveries()) == 1
