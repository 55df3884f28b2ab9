"""Which study is taken next, and which may not be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tests.ledger_conformance.engines import Recorder, study
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.studies import StepFacts
from xnat_watchd.core.errors import Scope, Transient
from xnat_watchd.core.findings import Finding, FindingKind
from xnat_watchd.core.states import Progress

DAMAGED = Finding(kind=FindingKind.DAMAGED, count=1, why="1 of its images is damaged", members=("1.dcm",))


def test_each_study_is_taken_once_and_the_first_that_came_goes_first(recorder: Recorder) -> None:
    came = [recorder.receive() for _ in range(3)]
    assert [recorder.take().delivery for _ in came] == came
    assert recorder.ledger.studies.take(recorder.now) is None


def test_the_study_that_has_come_furthest_goes_first(recorder: Recorder) -> None:
    _, second, third = recorder.receive(), recorder.receive(), recorder.receive()
    for item in [recorder.take() for _ in range(3)][1:]:
        recorder.step(item)
    recorder.step(recorder.take())
    assert (recorder.take().delivery, recorder.take().delivery) == (second, third)


def test_what_waits_is_taken_when_its_time_has_come(recorder: Recorder) -> None:
    recorder.receive()
    due = recorder.now + timedelta(minutes=5)
    recorder.ledger.studies.postpone(recorder.take(), due, recorder.now, Transient("no answer"), charged=True)
    assert recorder.ledger.studies.take(recorder.now) is None
    assert recorder.ledger.studies.next_due(recorder.now) == due
    recorder.pass_(minutes=5)
    assert recorder.take().attempts == 2
    assert recorder.ledger.studies.next_due(recorder.now) is None


def test_what_waits_far_too_long_because_the_clock_was_set_back_is_taken(recorder: Recorder) -> None:
    recorder.receive()
    later = recorder.now + timedelta(days=3650)
    recorder.ledger.studies.postpone(recorder.take(), later, recorder.now, Transient("no answer"), charged=True)
    assert recorder.take().attempts == 2


def test_of_a_closed_project_only_what_is_to_be_skipped_is_taken(recorder: Recorder) -> None:
    first, second = recorder.receive(), recorder.receive()
    elsewhere = recorder.receive(project="P2")
    recorder.ledger.decisions.skip(recorder.key(second), "sent by mistake", recorder.now)
    taken = [recorder.ledger.studies.take(recorder.now, closed=["P1"]) for _ in range(3)]
    assert {one and one.delivery for one in taken} == {second, elsewhere, None}
    assert recorder.standing(first) == "ready"


def test_only_the_studies_that_are_asked_for_are_taken(recorder: Recorder) -> None:
    recorder.receive()
    second = recorder.receive()
    item = recorder.ledger.studies.take(recorder.now, only=[recorder.key(second)])
    assert (item and item.delivery) == second
    assert recorder.ledger.studies.take(recorder.now, only=[recorder.key(second)]) is None


def test_in_a_project_on_trial_the_study_that_was_tried_least_goes_first(recorder: Recorder) -> None:
    recorder.receive()
    second = recorder.receive()
    error = Transient("the disk of XNAT is full", scope=Scope.PROJECT)
    recorder.ledger.studies.postpone(recorder.take(), recorder.now, recorder.now, error, charged=True)
    item = recorder.ledger.studies.take(recorder.now, trials=["P1"])
    assert (item and item.delivery) == second


def test_of_two_studies_of_one_subject_one_at_a_time_is_archived(recorder: Recorder) -> None:
    for _ in range(3):
        recorder.receive()
    taken = [recorder.take() for _ in range(3)]
    for item, subject in zip(taken, ("Zenobia", "ZENOBIA", "other"), strict=True):
        recorder.upload(item, subject)
    first, third = recorder.take(), recorder.take()
    assert (first.subject, third.subject) == ("Zenobia", "other")
    assert recorder.ledger.studies.take(recorder.now) is None
    recorder.archive(first, "Zenobia")
    recorder.advance(recorder.take())
    assert recorder.take().subject == "ZENOBIA"


def test_the_same_study_of_a_second_zip_waits_until_the_first_has_ended(recorder: Recorder) -> None:
    recorder.receive(study("1.9"))
    second = recorder.receive(study("1.9"))
    item = recorder.take()
    assert recorder.ledger.studies.take(recorder.now) is None
    recorder.step(item)
    for _ in range(2):
        recorder.step(recorder.take())
    assert recorder.take().delivery == second


def test_the_same_study_in_another_project_waits_for_nothing(recorder: Recorder) -> None:
    recorder.receive(study("1.9"))
    recorder.receive(study("1.9"), project="P2")
    assert {recorder.take().project, recorder.take().project} == {"P1", "P2"}


def test_a_zip_that_a_finding_holds_keeps_no_other_export_of_its_study_back(recorder: Recorder) -> None:
    held = recorder.receive(study("1.9", findings=[DAMAGED]))
    whole = recorder.receive(study("1.9"))
    assert (recorder.standing(held), recorder.take().delivery) == ("held", whole)


def test_a_study_that_has_come_as_far_as_the_settings_say_waits_until_they_say_more(recorder: Recorder) -> None:
    delivery = recorder.receive()
    item = recorder.take()
    recorder.send(item)
    recorder.advance(item, StepFacts(subject="S1"), until=Progress.UPLOADED)
    assert (recorder.standing(delivery), recorder.ledger.studies.take(recorder.now)) == ("waiting", None)
    recorder.ledger.studies.raise_until({"P1": Progress.COMPLETE}, recorder.now)
    assert recorder.take().progress is Progress.UPLOADED


@pytest.mark.parametrize("connections", ["one", "many"])
def test_many_workers_do_each_step_of_each_study_once(recorder: Recorder, connections: str) -> None:
    workers, studies = 4, 12
    for _ in range(studies):
        recorder.receive()
    ledgers = [recorder.ledger if connections == "one" else recorder.another() for _ in range(workers)]

    def work(ledger: Ledger) -> list[tuple[int, Progress]]:
        done = []
        idle = 0
        while idle < 100:
            item = ledger.studies.take(recorder.now)
            if item is None:
                idle += 1  # another worker has the rest
                continue
            facts = StepFacts(session=f"E{item.key}", subject=f"S{item.key % 3}")
            ledger.studies.advance(item, recorder.now, facts, Progress.COMPLETE)
            done.append((item.key, item.progress))
        return done

    with ThreadPoolExecutor(workers) as pool:
        done = [one for found in pool.map(work, ledgers) for one in found]
    assert len(done) == len(set(done)) == 3 * studies
    assert recorder.ledger.views.studies() == {"complete": {"done": studies}}
    for ledger in ledgers if connections == "many" else ():
        ledger.close()
