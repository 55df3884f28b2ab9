"""The stations of a ledger: who has taken what, and whose ZIPs they may send."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest

from tests.ledger_conformance.engines import Recorder
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.studies import StepFacts
from xnat_watchd.core.delivery import Item, Place
from xnat_watchd.core.errors import NotYet, Permanent, Stopped, Taken, TakenOver
from xnat_watchd.core.findings import Finding, FindingKind
from xnat_watchd.core.states import Progress


def test_a_station_begins_a_new_epoch_at_each_start_and_stays_the_same(recorder: Recorder) -> None:
    seen = []
    for _ in range(3):
        recorder.ledger.stations.enroll("ct-1", "0.2.0")
        seen.append(recorder.ledger.stations.me)
        recorder.restart()
    assert {one.id for one in seen} == {seen[0].id}
    assert [one.epoch - seen[0].epoch for one in seen] == [0, 1, 2]


def test_a_file_that_is_being_taken_is_not_taken_twice(recorder: Recorder) -> None:
    other = recorder.another()
    first = recorder.ledger.deliveries.expect("a.zip", "P1", "identity", recorder.now)
    with pytest.raises(Taken):
        other.deliveries.expect("a.zip", "P1", "identity", recorder.now)
    assert [one.id for one in recorder.ledger.deliveries.arrivals()] == [first]
    recorder.ledger.deliveries.withdraw(first, recorder.now)
    assert other.deliveries.expect("a.zip", "P1", "identity", recorder.now) > first
    other.close()


# -- fences ------------------------------------------------------------------------------------------------

PLACE = Place("P1", "20260102_120000000", "watchd-again")
TWICE = Finding(kind=FindingKind.TWO_CONTENTS, count=1, why="1 of its images came before", members=("1.2.1.1.1",))
WRITES: dict[str, Callable[[Ledger, Item, datetime], object]] = {
    "advance": lambda ledger, item, now: ledger.studies.advance(item, now, StepFacts(), Progress.COMPLETE),
    "park": lambda ledger, item, now: ledger.studies.park(item, now, Progress.RECEIVED),
    "postpone": lambda ledger, item, now: ledger.studies.postpone(item, now, now, NotYet("wait"), charged=False),
    "give_back": lambda ledger, item, now: ledger.studies.give_back(item, now, Stopped("stopped"), in_doubt=True),
    "hold": lambda ledger, item, now: ledger.studies.hold(item, now, Permanent("refused")),
    "note": lambda ledger, item, now: ledger.studies.note(item, StepFacts(subject="S9"), now),
    "claim_subject": lambda ledger, item, _: ledger.studies.claim_subject(item, "S9"),
    "record_person": lambda ledger, item, _: ledger.studies.record_person(item, "S9"),
    "add": lambda ledger, item, now: ledger.findings.add(item, TWICE, now),
    "mark_changed": lambda ledger, item, now: ledger.overwrites.mark_changed(item.delivery, now, item),
    "choose": lambda ledger, item, now: ledger.places.choose(item, PLACE, [], now),
    "begin_import": lambda ledger, item, now: ledger.places.begin_import(item, now),
    "correct_import": lambda ledger, item, _: ledger.places.correct_import(item, None),
    "end_import": lambda ledger, item, now: ledger.places.end_import(item, now),
    "discount_upload": lambda ledger, item, _: ledger.places.discount_upload(item),
    "give_up": lambda ledger, item, now: ledger.places.give_up(item, now),
    "forget": lambda ledger, item, _: ledger.places.forget(item),
    "begin_archiving": lambda ledger, item, _: ledger.places.begin_archiving(item, None, {}),
    "mark_doubted": lambda ledger, item, now: ledger.places.mark_doubted(item, now),
    "mark_taken": lambda ledger, item, now: ledger.places.mark_taken(item, now),
    "add_misplaced": lambda ledger, item, _: ledger.places.add_misplaced(item, ["/prearchive/x"]),
    "clear_misplaced": lambda ledger, item, _: ledger.places.clear_misplaced(item),
}  # fmt: skip


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_who_was_given_a_study_under_an_older_fence_writes_nothing_about_it(
    recorder: Recorder, write: Callable[[Ledger, Item, datetime], object]
) -> None:
    recorder.receive()
    before = recorder.take()
    recorder.send(before)
    late = recorder.ledger
    recorder.ledger = recorder.another()
    recorder.ledger.studies.recover(recorder.now)
    item = recorder.take()
    event = recorder.ledger.studies.newest_event()
    with pytest.raises(TakenOver):
        write(late, before, recorder.now)
    assert recorder.ledger.studies.get(item.key) == item
    assert recorder.ledger.studies.newest_event() == event
    assert recorder.ledger.findings.open(item.key) == ()
    assert recorder.ledger.existing_sessions.person_of("P1", "S9") is None
    recorder.advance(item)
    late.close()


def test_a_fence_grows_each_time_a_study_is_taken(recorder: Recorder) -> None:
    recorder.receive()
    fences = []
    for _ in range(3):
        item = recorder.take()
        fences.append(item.fence)
        recorder.ledger.studies.give_back(item, recorder.now, Stopped("stopped"), in_doubt=False)
    assert fences == sorted(set(fences))


# -- roots -------------------------------------------------------------------------------------------------


def test_a_station_takes_what_lies_in_its_root_and_nothing_else(recorder: Recorder) -> None:
    other = recorder.another()
    recorder.ledger.stations.serve("root-1")
    other.stations.serve("root-2")
    delivery = recorder.receive()
    assert (other.studies.take(recorder.now), other.studies.next_due(recorder.now)) == (None, None)
    assert other.studies.take(recorder.now, only=[recorder.key(delivery)]) is None
    recorder.ledger.decisions.skip(recorder.key(delivery), "sent by mistake", recorder.now)
    assert (other.studies.take(recorder.now), other.studies.next_due(recorder.now)) == (None, None)
    other.stations.serve("root-1")
    assert other.studies.take(recorder.now) is not None
    other.close()


def test_each_station_takes_its_own_of_one_project_whichever_came_first(recorder: Recorder) -> None:
    other = recorder.another()
    recorder.ledger.stations.serve("root-1")
    other.stations.serve("root-2")
    first = recorder.receive()
    mine, recorder.ledger = recorder.ledger, other
    second = recorder.receive()
    assert recorder.take().delivery == second
    recorder.ledger = mine
    assert recorder.take().delivery == first
    other.close()


def test_the_same_file_in_another_root_is_another(recorder: Recorder) -> None:
    other = recorder.another()
    recorder.ledger.stations.serve("root-1")
    other.stations.serve("root-2")
    first = recorder.ledger.deliveries.expect("a.zip", "P1", "identity", recorder.now)
    assert other.deliveries.expect("a.zip", "P1", "identity", recorder.now) > first
    other.close()


def test_what_waits_for_a_setting_of_one_root_is_not_let_go_on_by_another(recorder: Recorder) -> None:
    other = recorder.another()
    recorder.ledger.stations.serve("root-1")
    other.stations.serve("root-2")
    delivery = recorder.receive()
    recorder.advance(recorder.take(), until=Progress.UPLOADED)
    other.studies.raise_until({"P1": Progress.COMPLETE}, recorder.now)
    assert recorder.standing(delivery) == "waiting"
    recorder.ledger.studies.raise_until({"P1": Progress.COMPLETE}, recorder.now)
    assert recorder.standing(delivery) == "ready"
    other.close()
