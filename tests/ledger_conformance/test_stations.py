"""The stations of a ledger: who has taken what, and whose ZIPs they may send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.ledger_conformance.engines import Recorder, study
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.stations import StationProcess
from xnat_watchd.adapters.ledger.studies import StepFacts
from xnat_watchd.core.delivery import Item, Place, ZipContents
from xnat_watchd.core.errors import NotYet, Occupied, Permanent, Stopped, Taken, TakenOver, Unusable
from xnat_watchd.core.findings import Finding, FindingKind
from xnat_watchd.core.states import Progress

CT_1 = StationProcess("ct-1", "0.2.0", "boot:1:1")
CT_2 = StationProcess("ct-2", "0.2.0", "boot:2:2")
SECOND = timedelta(seconds=1)


@pytest.fixture
def other(recorder: Recorder) -> Iterator[Ledger]:
    """Yield a connection of another station to the same ledger, which both share."""
    other = recorder.another()
    recorder.ledger.stations.shared = other.stations.shared = True
    yield other
    other.close()


def is_silent(*stations: Ledger) -> None:
    """Have the lease be over for all but those that are heard of in this moment."""
    for one in stations:
        one.stations.lease = 0.0


def test_a_station_begins_a_new_epoch_at_each_start_and_stays_the_same(recorder: Recorder) -> None:
    seen = []
    for _ in range(3):
        recorder.ledger.stations.enroll(CT_1)
        seen.append(recorder.ledger.stations.me)
        recorder.restart()
    assert {one.id for one in seen} == {seen[0].id}
    assert [one.epoch - seen[0].epoch for one in seen] == [0, 1, 2]


def test_the_only_station_of_a_ledger_stays_itself_when_its_host_is_renamed(recorder: Recorder) -> None:
    recorder.ledger.stations.shared = False
    recorder.ledger.stations.enroll(CT_1)
    first = recorder.ledger.stations.me
    recorder.ledger.stations.enroll(CT_2)
    assert recorder.ledger.stations.me.id == first.id


def test_stations_of_two_names_are_two(recorder: Recorder, other: Ledger) -> None:
    recorder.ledger.stations.enroll(CT_1)
    other.stations.enroll(CT_2)
    assert recorder.ledger.stations.me.id != other.stations.me.id


def test_a_second_station_of_a_name_is_refused_while_the_first_is_there(recorder: Recorder, other: Ledger) -> None:
    recorder.ledger.stations.enroll(CT_1)
    with pytest.raises(Occupied, match="another station of the name ct-1"):
        other.stations.enroll(replace(CT_2, name="ct-1"))
    assert recorder.ledger.stations.renew(SECOND)
    is_silent(other)
    other.stations.enroll(replace(CT_2, name="ct-1"))
    assert other.stations.me.id == recorder.ledger.stations.me.id
    assert recorder.ledger.stations.renew(SECOND) is None  # the first was frozen, and has nothing any more
    with pytest.raises(Occupied):
        recorder.ledger.stations.enroll(CT_1)


def test_who_holds_the_lock_of_the_process_before_goes_on_at_once(recorder: Recorder, other: Ledger) -> None:
    recorder.ledger.stations.enroll(CT_1)
    delivery = recorder.receive()
    recorder.take()
    other.stations.enroll(CT_1)
    assert other.studies.recover(recorder.now) == [f"{delivery}.1"]
    recorder.ledger.stations.leave()  # of an epoch that is over
    assert other.stations.renew(SECOND)


def test_the_name_of_a_station_that_has_ended_is_free(recorder: Recorder, other: Ledger) -> None:
    recorder.ledger.stations.enroll(CT_1)
    recorder.ledger.stations.leave()
    other.stations.enroll(replace(CT_2, name="ct-1"))
    assert other.stations.me.id == recorder.ledger.stations.me.id


def test_a_station_puts_in_doubt_at_its_start_what_it_has_left_and_nothing_else(
    recorder: Recorder, other: Ledger
) -> None:
    recorder.ledger.stations.enroll(CT_1)
    other.stations.enroll(CT_2)
    first = recorder.receive()
    recorder.take()
    assert other.studies.recover(recorder.now) == []
    assert recorder.ledger.studies.recover(recorder.now) == [f"{first}.1"]


def test_to_show_that_one_is_there_disturbs_nobody(recorder: Recorder, other: Ledger) -> None:
    recorder.ledger.stations.enroll(CT_1)
    other.studies.newest_event()  # what was told before has come by then
    other.changed()
    before = other.version()
    shown = recorder.ledger.stations.renew(SECOND)
    assert shown
    assert abs(shown - datetime.now(UTC)) < timedelta(minutes=1)
    other.studies.newest_event()
    is_told = recorder.engine.name == "sqlite"  # a file shows every write; there it is not done
    assert (other.changed(), other.version() != before) == (is_told, is_told)


# -- who is gone -------------------------------------------------------------------------------------------


def test_what_a_station_that_is_gone_has_left_busy_waits_until_nothing_can_appear_any_more(
    recorder: Recorder, other: Ledger
) -> None:
    for ledger, process in ((recorder.ledger, CT_1), (other, CT_2)):
        ledger.stations.enroll(process)
        ledger.stations.serve("root-1")
    delivery = recorder.receive()
    item = recorder.take()
    recorder.ledger.stations.renew(timedelta(hours=1))
    now = datetime.now(UTC)
    assert other.gone_stations.put_in_doubt(now) == []
    is_silent(other)
    assert other.gone_stations.put_in_doubt(now) == ["ct-1"]
    assert other.gone_stations.put_in_doubt(now) == []
    recorder.ledger, late = other, recorder.ledger
    assert recorder.standing(delivery) == "waiting"
    assert other.studies.take(now + timedelta(minutes=59)) is None
    again = other.studies.take(now + timedelta(minutes=61))
    assert again
    assert (again.key, again.in_doubt, again.fence > item.fence) == (item.key, True, True)
    recorder.ledger = late


def test_a_station_that_was_found_gone_writes_and_takes_nothing_until_it_has_begun_anew(
    recorder: Recorder, other: Ledger
) -> None:
    recorder.ledger.stations.enroll(CT_1)
    recorder.receive()
    item = recorder.take()
    recorder.receive()
    is_silent(other)
    other.gone_stations.put_in_doubt(recorder.now)
    with pytest.raises(TakenOver):
        recorder.ledger.places.give_up(item, recorder.now)
    with pytest.raises(TakenOver):
        recorder.advance(item)
    assert recorder.ledger.studies.take(recorder.now) is None
    assert recorder.ledger.stations.renew(SECOND) is None
    recorder.ledger.stations.enroll(CT_1)
    assert recorder.ledger.stations.renew(SECOND)
    assert recorder.take().key != item.key


@pytest.mark.parametrize("how", ["killed", "gone"])
def test_nothing_else_of_a_subject_is_archived_while_xnat_may_be_at_it_for_who_is_gone(
    recorder: Recorder, other: Ledger, how: str
) -> None:
    for ledger, process in ((recorder.ledger, CT_1), (other, CT_2)):
        ledger.stations.enroll(process)
        ledger.stations.serve("root-1")
    recorder.now = datetime.now(UTC)
    for item in [recorder.take() for _ in (recorder.receive(), recorder.receive())]:
        recorder.upload(item, "S1")
    first = recorder.take()
    if how == "gone":
        recorder.ledger.stations.renew(timedelta(hours=1))
        is_silent(other)
        other.gone_stations.put_in_doubt(recorder.now)
    else:
        recorder.ledger.studies.recover(recorder.now, timedelta(hours=1))
        recorder.ledger.studies.postpone(recorder.take(), recorder.now + timedelta(hours=2), recorder.now,
                                         NotYet("it is not there"), charged=False)  # fmt: skip
    now = recorder.now + timedelta(minutes=59)
    assert other.studies.take(now) is None
    due = other.studies.next_due(now)
    assert due
    assert due > now
    later = recorder.now + timedelta(minutes=61)
    taken = [other.studies.take(later), other.studies.take(later)]
    assert taken[1] is None  # one of a subject at a time
    if how == "killed":
        assert taken[0] is not None
        assert taken[0].key != first.key


def test_once_the_study_is_settled_the_others_of_its_subject_go_on(recorder: Recorder) -> None:
    for item in [recorder.take() for _ in (recorder.receive(), recorder.receive())]:
        recorder.upload(item, "S1")
    recorder.take()
    recorder.ledger.studies.recover(recorder.now, timedelta(hours=1))
    first = recorder.take()
    assert recorder.ledger.studies.take(recorder.now) is None
    recorder.archive(first, "S1")
    recorder.advance(recorder.take(), until=Progress.COMPLETE)
    assert recorder.take().key != first.key


def test_a_station_does_not_find_itself_gone_nor_one_that_has_ended(recorder: Recorder, other: Ledger) -> None:
    other.stations.enroll(CT_2)
    other.stations.leave()
    recorder.ledger.stations.enroll(CT_1)
    is_silent(recorder.ledger)
    assert recorder.ledger.gone_stations.put_in_doubt(recorder.now) == []


def test_whose_subject_it_may_be_is_recorded_for_good_when_a_station_is_gone(recorder: Recorder, other: Ledger) -> None:
    other.stations.enroll(CT_2)
    recorder.ledger.stations.enroll(CT_1)
    recorder.receive()
    recorder.upload(recorder.take())
    recorder.ledger.studies.note(recorder.take(), StepFacts(subject="S1", label="L"), recorder.now, claims="S1")
    is_silent(other)
    other.gone_stations.put_in_doubt(recorder.now)
    assert other.existing_sessions.person_of("P1", "s1") is not None


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


def test_who_serves_a_root_together_with_another_knows(recorder: Recorder, other: Ledger) -> None:
    recorder.ledger.stations.enroll(CT_1)
    recorder.ledger.stations.serve("root-1")
    assert not recorder.ledger.stations.has_company()
    other.stations.enroll(CT_2)
    other.stations.serve("root-2")
    assert not recorder.ledger.stations.has_company()
    other.stations.serve("root-1")
    assert recorder.ledger.stations.has_company()
    other.stations.leave()
    assert not recorder.ledger.stations.has_company()


CONTENTS = ZipContents(sha256="a" * 64, size=10, studies=(study(),), clutter_kinds={}, as_it_is=True)
END: dict[str, Callable[[Ledger, int, datetime], object]] = {
    "record": lambda ledger, one, now: ledger.deliveries.record(one, CONTENTS, "done/1.zip", now),
    "reject": lambda ledger, one, now: ledger.deliveries.reject(one, Unusable("no ZIP"), "failed/1.zip", now, None),
    "withdraw": lambda ledger, one, now: ledger.deliveries.withdraw(one, now),
}


@pytest.mark.parametrize("end", END.values(), ids=END)
def test_a_zip_that_another_station_takes_now_is_left_to_it(
    recorder: Recorder, other: Ledger, end: Callable[[Ledger, int, datetime], object]
) -> None:
    for ledger, process in ((recorder.ledger, CT_1), (other, CT_2)):
        ledger.stations.enroll(process)
        ledger.stations.serve("root-1")
    delivery = recorder.ledger.deliveries.expect("a.zip", "P1", "identity", recorder.now)
    is_silent(other)
    other.gone_stations.put_in_doubt(recorder.now)
    assert other.deliveries.take_over()
    with pytest.raises(TakenOver):
        end(recorder.ledger, delivery, recorder.now)
    assert [one.id for one in other.deliveries.arrivals()] == [delivery]
    end(other, delivery, recorder.now)
    assert other.deliveries.arrivals() == []
