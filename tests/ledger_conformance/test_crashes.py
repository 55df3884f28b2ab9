"""What stands in a ledger after its program has ended without a word."""

from __future__ import annotations

import pytest

from tests.ledger_conformance.engines import Recorder, study
from xnat_watchd.adapters.ledger.studies import FATAL_RECOVERIES, StepFacts
from xnat_watchd.core.states import Progress


def test_what_was_worked_on_is_in_doubt_at_the_next_start(recorder: Recorder) -> None:
    delivery = recorder.receive()
    recorder.take()
    recorder.restart()
    assert recorder.ledger.studies.recover(recorder.now) == [f"{delivery}.1"]
    item = recorder.take()
    assert (item.in_doubt, item.attempts) == (True, 2)


def test_what_was_worked_on_at_every_end_is_held_at_last(recorder: Recorder) -> None:
    delivery = recorder.receive()
    for _ in range(FATAL_RECOVERIES):
        recorder.take()
        recorder.restart()
        recorder.ledger.studies.recover(recorder.now)
    assert (recorder.standing(delivery), recorder.ledger.studies.take(recorder.now)) == ("held", None)


def test_where_something_may_have_been_sent_is_known(recorder: Recorder) -> None:
    recorder.receive()
    item = recorder.take()
    place = recorder.send(item)
    recorder.restart()
    recorder.ledger.studies.recover(recorder.now)
    again = recorder.take()
    assert (again.place, again.import_began, again.uploads) == (place, recorder.now, 1)
    assert recorder.ledger.places.stamp(place) == "stamp"
    assert recorder.ledger.contents.at_place(again) == {"1.2.1.1": {"1.2.1.1.1", "1.2.1.1.2"}}


def test_whose_subject_it_may_be_is_recorded_for_good_if_the_answer_to_the_archiving_is_lost(
    recorder: Recorder,
) -> None:
    recorder.receive()
    recorder.upload(recorder.take())
    recorder.ledger.studies.note(recorder.take(), StepFacts(subject="S1", label="L"), recorder.now, claims="S1")
    recorder.restart()
    recorder.ledger.studies.recover(recorder.now)
    person = recorder.ledger.existing_sessions.person_of("P1", "s1")
    assert person
    assert person.name == "Quoll^Zenobia"


def test_a_zip_that_was_being_taken_is_known(recorder: Recorder) -> None:
    delivery = recorder.ledger.deliveries.expect("a.zip", "P1", "identity", recorder.now)
    recorder.restart()
    (arrival,) = recorder.ledger.deliveries.arrivals()
    assert (arrival.id, arrival.name, arrival.project, arrival.openings) == (delivery, "a.zip", "P1", 1)
    assert recorder.ledger.deliveries.begin_opening(delivery) == 2


def test_what_belongs_together_is_written_together_or_not_at_all(recorder: Recorder) -> None:
    delivery = recorder.receive()
    item = recorder.take()

    def broken_off() -> None:
        with recorder.ledger.together():
            recorder.upload(item)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken_off()
    assert recorder.ledger.studies.get(item.key) == item
    assert (recorder.standing(delivery), recorder.ledger.contents.at_place(item)) == ("busy", {})
    with recorder.ledger.together():
        recorder.upload(item)
        again = recorder.take()
    assert (again.progress, again.place is not None) == (Progress.UPLOADED, True)


def test_what_another_program_writes_is_seen(recorder: Recorder) -> None:
    other = recorder.another()
    recorder.ledger.changed()
    assert not recorder.ledger.changed()
    version = recorder.ledger.version()
    other.deliveries.expect("a.zip", "P1", "identity", recorder.now)
    assert [one.name for one in recorder.ledger.deliveries.arrivals()] == ["a.zip"]
    assert (recorder.ledger.changed(), recorder.ledger.version() != version) == (True, True)
    other.close()


def test_numbers_of_deliveries_are_never_used_twice(recorder: Recorder) -> None:
    first = recorder.ledger.deliveries.expect("a.zip", "P1", "identity", recorder.now)
    recorder.ledger.deliveries.withdraw(first, recorder.now)
    recorder.restart()
    assert recorder.ledger.deliveries.expect("a.zip", "P1", "identity", recorder.now) > first


def test_text_of_every_kind_comes_back(recorder: Recorder) -> None:
    odd = "Ünïcode 'quoted' \"twice\" %s ? :named {curly} 100% \\ \U0001f9a6"
    delivery = recorder.receive(study("1.5"), project=odd)
    found = recorder.ledger.views.delivery(delivery)
    assert found
    assert found["project"] == odd
    assert recorder.take().project == odd
