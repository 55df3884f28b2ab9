"""A long queue with bad studies in every position: every sound one is complete soon, every bad one is held by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.dicom import instance, study_uid
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.station import Station, Time, zipped
from xnat_watchd.adapters.xnat.answer_meanings import Purpose, error_for
from xnat_watchd.adapters.xnat.answers import Answer
from xnat_watchd.core.errors import RepeatOnce
from xnat_watchd.core.gate import PROJECT_CEILING, PROJECT_IN_TROUBLE, Gate

MANY = 200
REFUSED = {"400": 400, "413": 413, "403": 403, "409": 409, "500": 500}
REASONS = (*REFUSED, "left out", "damaged", "two people")
IN_ALL = 25  #: requests that a study costs at most, all in all


class Refusing(FakeGateway):
    """An XNAT that answers the imports of some studies with a status, for ever: by an instance of each."""

    def __init__(self, xnat: FakeXnat, clock: Time) -> None:
        super().__init__(xnat, clock)
        self.refuses: dict[str, int] = {}
        self.uploads: Counter[str] = Counter()

    def upload(self, place: Any, zip_path: str, progressed: Any, *, alone: bool) -> None:
        study = next(one.study_uid for one in self._read(zip_path))
        self.uploads[study] += 1
        if study in self.refuses:
            size = Path(zip_path).stat().st_size
            self.xnat.requests.append("upload")
            progressed(0, size)
            progressed(size, size)
            raise error_for(Answer(self.refuses[study]), Purpose.IMPORT, place.project, self.clock.now())
        super().upload(place, zip_path, progressed, alone=alone)


def members(number: int, reason: str) -> list[tuple[str, bytes]]:
    time = f"10{number // 60:02}{number % 60:02}"
    one = instance(number, 1, 1, time=time)
    more = {
        "left out": [("2.dcm", instance(number, 2, 1, modality="OT", time=time))],
        "damaged": [("2.dcm", instance(number, 1, 2, time=time)[:-300])],
        "two people": [("2.dcm", instance(number, 1, 2, time=time, patient="Z9", name="Quint^Z"))],
    }.get(reason, [])
    return [("1.dcm", one), *more]


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture(params=["1.8", pytest.param("1.6", marks=pytest.mark.thorough)])
def gateway(request: pytest.FixtureRequest, time: Time) -> Refusing:
    xnat = FakeXnat(time, dialect=request.param)
    xnat.leaves_out = {"OT"}
    return Refusing(xnat, time)


@pytest.fixture
def station(tmp_path: Path, gateway: Refusing, time: Time) -> Iterator[Station]:
    one = Station(tmp_path, gateway, time)
    one.start()
    yield one
    one.close()


def drop(station: Station, gateway: Refusing, reasons: list[str]) -> None:
    """Drop a ZIP for each reason, in this order; the reason of a sound one is empty."""
    for number, reason in enumerate(reasons, 1):
        if reason in REFUSED:
            gateway.refuses[study_uid(number)] = REFUSED[reason]
        station.drop(f"{number:03}.zip", zipped(members(number, reason)))
        station.time.pass_(seconds=1)
    station.take_in()


def in_order(order: str) -> list[str]:
    bad = [REASONS[n % len(REASONS)] for n in range(MANY // 3)]
    good = [""] * (MANY - len(bad))
    if order == "bad first":
        return sorted(bad) + good  # each kind in a row of its own
    if order == "bad last":
        return good + bad
    mixed = bad + good
    Random(7).shuffle(mixed)
    return mixed


@pytest.mark.parametrize(
    "order", ["bad first", *(pytest.param(o, marks=pytest.mark.thorough) for o in ("mixed", "bad last"))]
)
def test_of_200_every_sound_study_is_complete_within_bounds_and_every_bad_one_is_held_by_name(
    station: Station, gateway: Refusing, order: str
) -> None:
    reasons = in_order(order)
    begun = station.time.now()
    drop(station, gateway, reasons)
    sound_at = None
    for _ in range(20_000):
        while station.pipeline.step():
            pass
        station.pipeline.retire()
        done = sum(standing == "done" for *_, standing in station.standings())
        if done == reasons.count("") and sound_at is None:
            sound_at = station.time.now()
        if station.idle():
            break
        station._wait()
    ended = {item: standing for item, _, standing in station.standings()}
    expected = [("done" if not reason else "held") for reason in reasons]
    numbers = {row["name"]: row["id"] for row in station.ledger.views.latest(MANY)}
    assert [ended[f"{numbers[f'{n:03}.zip']}.1"] for n in range(1, MANY + 1)] == expected
    assert sound_at is not None
    assert sound_at - begun < timedelta(hours=1)
    named = {row["item"] for row in station.ledger.views.attention()}
    assert len(named) == MANY - reasons.count("")
    assert max(gateway.uploads.values()) <= 3
    assert len(gateway.xnat.requests) < IN_ALL * MANY


def test_a_project_that_is_shut_lets_one_study_through_at_a_time_and_a_different_one_each_time(
    station: Station, gateway: Refusing
) -> None:
    many = PROJECT_IN_TROUBLE + 3
    drop(station, gateway, ["403"] * many)
    while not station.ledger.gates.get("P1").shut:
        if not station.pipeline.step():
            station._wait()
    blamed = {row["item"] for row in station.ledger.views.under_way() if row["standing"] == "ready"}
    tried: list[str] = []
    for _ in range(many):
        until = station.ledger.gates.get("P1").until
        assert until is not None
        station.time.pass_(seconds=(until - station.time.now()).total_seconds())
        before = gateway.uploads.copy()
        while station.pipeline.step():
            pass
        tried += [study for study, n in gateway.uploads.items() for _ in range(n - before[study])]
    assert len(blamed) == PROJECT_IN_TROUBLE
    assert len(tried) == many  # one at a time
    assert len(set(tried)) == many


def test_a_sound_study_that_comes_opens_a_project_that_five_bad_ones_have_shut(
    station: Station, gateway: Refusing
) -> None:
    drop(station, gateway, ["403"] * PROJECT_IN_TROUBLE)
    station.work(hours=3)
    trouble = station.ledger.gates.get("P1")
    assert trouble.why == "XNAT answered 403 to the upload in project P1"
    later = station.time.now() + PROJECT_CEILING
    station.ledger.gates.set("P1", replace(trouble, until=later, trial=False))
    station.drop("sound.zip", zipped(members(99, "")))
    station.take_in()
    came = station.time.now()
    for _ in range(100):
        while station.pipeline.step():
            pass
        if ("6.1", "complete", "done") in station.standings():
            break
        station._wait()
    assert station.time.now() - came < timedelta(minutes=10)
    assert station.ledger.gates.get("P1").why == ""


def test_retry_of_a_held_study_has_its_project_tried_at_once(station: Station, gateway: Refusing) -> None:
    drop(station, gateway, ["413"])
    station.work(hours=1)
    later = station.time.now() + timedelta(hours=2)
    station.ledger.gates.set("P1", Gate(until=later, why="no right", advice="Ask."))
    gateway.refuses.clear()
    station.ledger.decisions.retry(station.ledger.views.held()["1.1"], station.time.now())
    while station.pipeline.step():  # no time passes
        pass
    assert station.standings() == [("1.1", "complete", "done")]


def test_what_is_skipped_in_a_project_that_is_shut_ends_although_it_is(station: Station, gateway: Refusing) -> None:
    drop(station, gateway, ["500"] * PROJECT_IN_TROUBLE)
    while station.pipeline.step():
        pass
    station.time.pass_(seconds=5)
    key = station.ledger.views.keys(1, 1)["1.1"]
    station.ledger.decisions.skip(key, "nobody wants it", station.time.now())
    station.pipeline.step()
    assert ("1.1", "received", "skipped") in station.standings()


def test_no_study_is_sent_whole_more_than_three_times_also_when_the_service_is_started_anew(
    tmp_path: Path, gateway: Refusing, time: Time
) -> None:
    station = Station(tmp_path, gateway, time)
    drop(station, gateway, ["500"])
    for _ in range(12):
        station.close()
        station = Station(tmp_path, gateway, time)
        station.start()
        for _ in range(3):
            station.pipeline.step()
            time.pass_(hours=2)
    assert sum(gateway.uploads.values()) == 3
    assert station.standings() == [("1.1", "received", "held")]
    station.close()


@pytest.mark.parametrize(("again", "ends"), [("400 IMPORT", "held"), ("403 IMPORT", "done")])
def test_a_refusal_is_believed_when_the_same_is_heard_again_however_it_is_worded(
    station: Station, gateway: Refusing, again: str, ends: str
) -> None:
    words = "refused in other words" if ends == "held" else "refused"
    gateway.xnat.before["upload"] = [RepeatOnce("refused", refusal="400 IMPORT"), RepeatOnce(words, refusal=again)]
    drop(station, gateway, [""])
    station.work()
    assert [standing for *_, standing in station.standings()] == [ends]
