"""When a refusal is believed: asked once more, alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dicom import instance, sop_uid
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.others import beside_others
from tests.station import Station, Time, zipped
from xnat_watchd.core.errors import InDoubt, RepeatOnce, Transient, WatchdError
from xnat_watchd.core.project_rules import ProjectRules

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
    assert carried(quick_path, RepeatOnce(REFUSED), RepeatOnce(REFUSED)) == [("1.1", "uploaded", "held")]


@pytest.mark.parametrize("trouble", [InDoubt("the line died"), Transient("XNAT answered 500"), RepeatOnce("something")])
def test_a_refusal_after_another_trouble_is_asked_about_once_more(quick_path: Path, trouble: WatchdError) -> None:
    assert carried(quick_path, trouble, RepeatOnce(REFUSED)) == [("1.1", "complete", "done")]
    assert carried(quick_path / "again", RepeatOnce(REFUSED), trouble, RepeatOnce(REFUSED)) == [
        ("1.1", "complete", "done")
    ]


@pytest.mark.parametrize("dialect", ["1.8", "1.6"])
def test_a_series_of_another_kind_than_the_archived_session_is_held_with_what_to_do(
    quick_path: Path, dialect: str
) -> None:
    with beside_others(quick_path, dialect, ProjectRules) as (_, __, station):
        station.drop("ct.zip", zipped([("1.dcm", instance(1, 1, modality="CT"))]))
        station.run()
        station.drop("mr.zip", zipped([("1.dcm", instance(1, 2, modality="MR"))]))
        station.run()
        assert station.standings() == [("1.1", "complete", "done"), ("2.1", "uploaded", "held")]
        assert "merge by hand" in next(one["advice"] for one in station.ledger.views.attention())


def test_a_row_that_xnat_cannot_build_is_removed_and_sent_again(quick_path: Path) -> None:
    with beside_others(quick_path, "1.8", ProjectRules) as (xnat, _, station):
        xnat.faults.on("POST", "/data/services/import").lose_files(1)  # all that there are
        station.drop("scan.zip", zipped([("1.dcm", instance())]))
        station.run()
        xnat.faults.check()
        assert station.standings() == [("1.1", "complete", "done")]
        assert [(one.where, one.sop_uid) for one in xnat.instances()] == [("archive", sop_uid(1, 1, 1))]


@pytest.mark.parametrize("status", [400, 403, 429, 200])
def test_an_old_xnat_is_not_taken_for_a_newer_one_when_its_version_is_not_told(quick_path: Path, status: int) -> None:
    with beside_others(quick_path, "1.6", ProjectRules) as (xnat, _, station):
        plan = xnat.faults.on("GET", "/data/version")
        plan.page() if status == 200 else plan.refuse(status)
        station.drop("scan.zip", zipped([("1.dcm", instance())]))
        station.run()
        xnat.faults.check()
        assert [(one.where, one.sop_uid) for one in xnat.instances()] == [("archive", sop_uid(1, 1, 1))]
