"""When a refusal is believed: asked once more, alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dicom import instance
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.station import Station, Time, zipped
from xnat_watchd.core.errors import InDoubt, OnceMore, Transient, WatchdError

REFUSED = "XNAT answered 403 to archiving"


def carried(root: Path, *errors: WatchdError) -> list[tuple[str, str, str]]:
    """Carry one study past these answers to archiving; give how it stands."""
    time = Time()
    xnat = FakeXnat(time)
    xnat.before["archive"] = list(errors)
    station = Station(root, FakeGateway(xnat, time), time)
    try:
        station.drop("scan.zip", zipped([("1.dcm", instance())]))
        station.run()
        return station.standings()
    finally:
        station.close()


def test_a_refusal_that_comes_twice_in_a_row_is_believed(quick_path: Path) -> None:
    assert carried(quick_path, OnceMore(REFUSED), OnceMore(REFUSED)) == [("1.1", "uploaded", "held")]


@pytest.mark.parametrize("trouble", [InDoubt("the line died"), Transient("XNAT answered 500"), OnceMore("something")])
def test_a_refusal_after_another_trouble_is_asked_about_once_more(quick_path: Path, trouble: WatchdError) -> None:
    assert carried(quick_path, trouble, OnceMore(REFUSED)) == [("1.1", "complete", "done")]
    assert carried(quick_path / "again", OnceMore(REFUSED), trouble, OnceMore(REFUSED)) == [("1.1", "complete", "done")]
