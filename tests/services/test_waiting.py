"""A study that waits for XNAT for hours: it is looked at often, told of seldom, and XNAT is not pressed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dicom import instance
from tests.others import beside_others
from tests.station import Station, zipped
from xnat_watchd.core.project_rules import ProjectRules
from xnat_watchd.sandbox import Sandbox

ROW = "/data/prearchive/projects/P1/[^/]*/[^/]*format=json"
XML = ROW.replace("json", "xml")


@pytest.fixture(params=["1.8", "1.6"])
def beside(request: pytest.FixtureRequest, quick_path: Path) -> Iterator[tuple[Sandbox, Station]]:
    """Yield an XNAT and a workstation where one ZIP was taken."""
    with beside_others(quick_path, request.param, ProjectRules) as (xnat, _, station):
        station.drop("scan.zip", zipped([("1.dcm", instance())]))
        station.start()
        station.take_in()
        yield xnat, station


def story(station: Station) -> list[tuple[str, str | None]]:
    delivery = station.ledger.views.delivery(1)
    assert delivery is not None
    return [(event["event"], event["why"]) for event in delivery["events"] if event["number"]]


def asked(xnat: Sandbox, words: str) -> int:
    return sum(words in str(request) for request in xnat.requests)


def is_stuck(xnat: Sandbox, status: str, times: int) -> None:
    """Let the row have this status. What is not built, or is moved into the archive, has no XML (F176)."""
    if not xnat.faults.unused():
        xnat.faults.on("GET", XML).refuse(404, "there is no session XML")
    xnat.faults.on("GET", ROW, times=times).stick(status)


def test_what_is_found_again_and_again_is_told_once_an_hour(beside: tuple[Sandbox, Station]) -> None:
    xnat, station = beside
    is_stuck(xnat, "_ARCHIVING", times=100_000)
    station.work()
    told = story(station)
    assert asked(xnat, "/data/prearchive/projects/P1/") > 200
    assert told.count(("postponed", "XNAT is at work on it (_ARCHIVING)")) == 4
    assert [event for event, _ in told].count("taken") == 1
    assert told[-1][0] == "held"
    assert len(told) < 10
    xnat.faults.clear()


def test_another_reason_is_told_at_once(beside: tuple[Sandbox, Station]) -> None:
    xnat, station = beside
    for status in ("BUILDING", "QUEUED_ARCHIVING", "BUILDING"):
        is_stuck(xnat, status, times=5)
    station.work()
    waits = [why for event, why in story(station) if event == "postponed"]
    assert waits == [f"XNAT is at work on it ({status})" for status in ("BUILDING", "QUEUED_ARCHIVING", "BUILDING")]
    assert station.standings() == [("1.1", "complete", "done")]


def test_a_row_that_xnat_goes_on_receiving_is_told_to_be_built_every_ten_minutes(
    beside: tuple[Sandbox, Station],
) -> None:
    xnat, station = beside
    is_stuck(xnat, "RECEIVING", times=100_000)
    station.work()
    assert 15 <= asked(xnat, "action=build") <= 24  # in four hours
    assert station.standings() == [("1.1", "received", "held")]
    xnat.faults.clear()
