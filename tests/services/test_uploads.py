"""What counts as an upload of a whole study: XNAT gets it whole three times at most, the last time after a night."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.dialects import NEWER_AND_THOROUGHLY_OLDER
from tests.dicom import instance
from tests.services.test_lost_answers import IMPORT, ONCE, SCAN, Site, is_complete
from tests.station import Station, zipped
from xnat_watchd.core.retry import MOST_UPLOADS, NIGHT

EVER = 1_000_000


@pytest.fixture(params=NEWER_AND_THOROUGHLY_OLDER)
def site(request: pytest.FixtureRequest, quick_path: Path) -> Iterator[Site]:
    one = Site(quick_path, str(request.param))
    yield one
    one.close()


def begun(site: Site) -> Station:
    station = site.life()
    station.drop("scan.zip", SCAN)
    station.take_in()
    return station


def imports(site: Site) -> int:
    return sum(path == IMPORT for _, path, _, _ in site.xnat.requests)


def until_sent(station: Station, site: Site, times: int) -> None:
    """Work until it was sent so often, and not beyond the next moment at which something is due."""
    for _ in range(2000):
        while station.pipeline.step():
            pass
        if imports(site) >= times or station.idle():
            return
        station._wait()


def until_night(station: Station, site: Site) -> str:
    """Work until it was sent twice and waits for the morning; return what is told of it."""
    until_sent(station, site, 2)
    for _ in range(20):
        while station.pipeline.step():
            pass
        (told,) = station.ledger.views.under_way()
        if (why := told["why"] or "").startswith("it is sent once more after a night: "):
            return why
        station._wait()
    raise AssertionError("it does not wait")


@pytest.mark.parametrize("status", [401, 404, 429])
def test_a_small_body_that_is_refused_before_anything_looks_at_it_was_not_uploaded(site: Site, status: int) -> None:
    station = begun(site)
    site.xnat.faults.on("POST", IMPORT, times=MOST_UPLOADS + 2).refuse(status)
    dropped = station.time.at
    until_sent(station, site, MOST_UPLOADS + 3)
    assert station.time.at - dropped < timedelta(hours=1)
    station.work()
    assert is_complete(station)
    assert site.where() == {"archive": ONCE}
    assert imports(site) == MOST_UPLOADS + 3


def test_what_xnat_lost_twice_is_sent_for_the_last_time_after_a_night(site: Site) -> None:
    station = begun(site)
    site.xnat.faults.on("POST", IMPORT, times=2).lose_files()
    until_night(station, site)
    evening = station.time.at
    until_sent(station, site, 3)
    assert NIGHT - timedelta(minutes=1) <= station.time.at - evening <= NIGHT + timedelta(minutes=1)
    station.work()
    assert site.where() == {"archive": ONCE}


def test_while_it_waits_for_the_morning_it_is_told_of_and_retry_sends_it_at_once(site: Site) -> None:
    station = begun(site)
    site.xnat.faults.on("POST", IMPORT, times=2).lose_files()
    why = until_night(station, site)
    assert [one["why"] for one in station.ledger.views.delayed(station.time.at)] == [
        f"received, and does not get on: {why}"
    ]
    assert why.endswith("it was sent 2 times without success: XNAT did not keep every image; sent again")
    station.ledger.decisions.retry(station.ledger.views.keys(1, 1)["1.1"], station.time.at)
    asked = station.time.at
    station.work(hours=1)
    assert is_complete(station)
    assert station.time.at - asked < timedelta(hours=3)


@pytest.mark.parametrize("jump", [timedelta(days=3650), timedelta(days=-3650)])
def test_a_clock_that_jumps_in_the_night_keeps_no_study_waiting(site: Site, jump: timedelta) -> None:
    station = begun(site)
    site.xnat.faults.on("POST", IMPORT, times=2).lose_files()
    until_night(station, site)
    station.time.at += jump
    until_sent(station, site, 3)
    assert imports(site) == 3


def test_what_is_lost_for_ever_is_sent_three_times_and_held_by_name(site: Site) -> None:
    station = begun(site)
    site.xnat.faults.on("POST", IMPORT, times=EVER).lose_files()
    station.work()
    assert imports(site) == MOST_UPLOADS
    assert station.why("1.1") == "it was sent 3 times without success: XNAT did not keep every image; sent again"


@pytest.mark.parametrize("site", ["1.6"], indirect=True)
def test_where_another_study_comes_through_what_met_the_projects_trouble_does_not_wait_for_the_morning(
    site: Site,
) -> None:
    station = begun(site)
    site.xnat.faults.on("POST", IMPORT, times=2).refuse(500)
    until_night(station, site)
    station.drop("other.zip", zipped([("1.dcm", instance(2, patient="Z2", name="Quint^Z"))]))
    station.take_in()
    came = station.time.at
    station.work(hours=1)
    assert [standing for *_, standing in station.standings()] == ["done", "done"]
    assert station.time.at - came < timedelta(hours=3)


def test_what_the_imports_of_others_have_spoilt_does_not_wait_for_the_morning(site: Site) -> None:
    for number in (7, 8):
        theirs = zipped([("1.dcm", instance(number, patient=f"Z{number}", name="Quint^Z"))])
        site.xnat.faults.on("POST", IMPORT).collide(theirs)
    station = begun(site)
    dropped = station.time.at
    until_sent(station, site, 3)
    assert station.time.at - dropped < timedelta(hours=2)
    station.work()
    assert is_complete(station)
    assert site.where()["archive"] == ONCE
