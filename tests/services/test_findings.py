"""A verdict on the content of a study: a fact that no retry, second copy, resend or restart forgets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dicom import instance, sop_uid
from tests.services.desk import Desk, states
from tests.station import Station, zipped
from xnat_watchd.core.errors import Undecided
from xnat_watchd.core.findings import Finding, FindingKind, stop_at


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    one = Desk(tmp_path)
    yield one
    one.close()


def cut(number: int) -> bytes:
    return instance(1, 1, number)[:-100]


TROUBLES = {
    "damaged": zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 2)), ("3.dcm", cut(3))]),
    "two people": zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 2, name="A^B", patient="AB-1"))]),
    "two contents": zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 1, pixels=b"\x02" * 512)),
                            ("3.dcm", instance(1, 1, 2))]),
    "no study": zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(2, 1, 2)), ("3.dcm", b"")]),
}  # fmt: skip


@pytest.fixture(params=["damaged", "two people", "two contents"])
def trouble(request: pytest.FixtureRequest) -> bytes:
    return TROUBLES[request.param]


def held(desk: Desk, content: bytes) -> Station:
    """Give a station at which this ZIP was dropped, and is held."""
    station = desk.station()
    station.drop("scan.zip", content)
    station.take_in()
    station.work()
    assert station.standings() == [("1.1", "received", "held")]
    return station


def kinds(station: Station, key: int = 1) -> list[str]:
    return [str(one.kind) for one in station.ledger.findings.open(key)]


def is_untouched(desk: Desk, station: Station) -> None:
    assert {standing for _, _, standing in station.standings()} == {"held"}
    assert desk.xnat.instances() == []
    assert len([name for name in station.files() if name.startswith("work/")]) == len(station.standings())


def test_what_was_found_when_the_zip_was_opened_stands_beside_the_study(desk: Desk) -> None:
    for number, (kind, content) in enumerate(list(TROUBLES.items())[:3], 1):
        station = desk.station()
        station.drop(f"{number}.zip", content)
        station.take_in()
        assert kinds(station, number) == [kind]
        assert station.ledger.studies.look_at(number).findings == station.ledger.findings.open(number)


@pytest.mark.parametrize("copies", [1, 3])
def test_the_same_bytes_dropped_again_are_the_same_verdict(desk: Desk, trouble: bytes, copies: int) -> None:
    station = held(desk, trouble)
    for number in range(copies):
        station.drop(f"again-{number}.zip", trouble)
        station.take_in()
        station.work()
        is_untouched(desk, station)
    assert [event["event"] for event in (station.ledger.views.delivery(1) or {})["events"]] == [
        "arriving",
        "taken",
        "held",
    ]
    story = station.ledger.views.delivery(2) or {}
    assert (story["state"], story["why"]) == ("duplicate", "the same as delivery 1, which is still held")


def test_two_copies_at_once_are_one_verdict(desk: Desk, trouble: bytes) -> None:
    station = desk.station()
    for name in ("scan.zip", "scan (1).zip"):
        station.drop(name, trouble)
    station.take_in()
    station.work()
    assert station.standings() == [("1.1", "received", "held")]
    is_untouched(desk, station)
    assert states(station) == {"taken": 1, "duplicate": 1}


def test_whatever_makes_it_ready_again_it_is_held_before_any_step(desk: Desk, trouble: bytes) -> None:
    station = held(desk, trouble)
    station.ledger.studies.release(1, station.time.now())
    station.work()
    is_untouched(desk, station)
    assert desk.xnat.requests == []


def test_a_restart_forgets_no_verdict(desk: Desk, trouble: bytes) -> None:
    station = held(desk, trouble)
    station.ledger.studies.release(1, station.time.now())
    station = desk.station()
    station.work()
    is_untouched(desk, station)


def test_of_what_was_skipped_the_same_bytes_are_held_again(desk: Desk, trouble: bytes) -> None:
    station = held(desk, trouble)
    station.ledger.wishes.skip(1, "no", station.time.now())
    station.work()
    station.drop("again.zip", trouble)
    station.take_in()
    station.work()
    assert station.standings() == [("1.1", "received", "skipped"), ("2.1", "received", "held")]
    assert desk.xnat.instances() == []


def test_dropped_again_while_it_is_being_skipped_it_is_wanted_and_held(desk: Desk, trouble: bytes) -> None:
    station = held(desk, trouble)
    station.ledger.wishes.skip(1, "no", station.time.now())
    item = station.ledger.studies.take(station.time.now())
    assert item is not None
    station.drop("again.zip", trouble)
    station.take_in()
    station.pipeline._carry(item)
    station.work()
    is_untouched(desk, station)


def test_dropped_again_while_its_withdrawal_is_under_way_a_sound_one_is_sent(desk: Desk) -> None:
    sound = zipped([("1.dcm", instance(1, 1, 1))])
    station = desk.station()
    station.drop("a.zip", sound)
    station.take_in()
    station.ledger.wishes.skip(1, "no", station.time.now())
    item = station.ledger.studies.take(station.time.now())
    assert item is not None
    station.drop("b.zip", sound)
    station.take_in()
    station.pipeline._carry(item)
    station.work()
    assert station.standings() == [("1.1", "complete", "done")]
    assert desk.archived() == Counter([sop_uid(1, 1, 1)])


# -- findings that are made on the way ---------------------------------------------------------------------


FOREIGN = Finding(kind=FindingKind.FOREIGN, count=1, why="XNAT's session holds 1 other image", members=("b", "a"))


def test_the_same_finding_is_written_once(desk: Desk) -> None:
    station = held(desk, TROUBLES["damaged"])
    item, now = station.ledger.studies.look_at(1), station.time.now()
    for members in (("b", "a"), ("a", "b")):
        station.ledger.findings.add(item, Finding(kind=FOREIGN.kind, count=1, why="x", members=members), now)
    assert kinds(station) == ["damaged", "foreign images"]
    station.ledger.findings.add(item, Finding(kind=FOREIGN.kind, count=1, why="x", members=("c",)), now)
    assert kinds(station) == ["damaged", "foreign images", "foreign images"]
    story = station.ledger.views.delivery(1) or {}
    assert [event["event"] for event in story["events"]].count("finding") == 2


def test_a_finding_stops_the_step_that_makes_it() -> None:
    with pytest.raises(Undecided, match="1 other image") as stopped:
        stop_at([FOREIGN])
    assert "`xnat-watchd accept ITEM --why TEXT`" in stopped.value.advice
    stop_at([Finding(kind=FindingKind.ABSENT, count=2, why="2 images are listed and did not come")])
