"""What waits, what is held, and what people decide about it."""

from __future__ import annotations

import pytest

from tests.ledger_conformance.engines import Recorder, study
from tests.ledger_conformance.test_taking import DAMAGED
from xnat_watchd.core.delivery import Person
from xnat_watchd.core.errors import (
    AlreadyRecorded,
    Conflict,
    Impossible,
    NotYet,
    Permanent,
    Stopped,
    Unavailable,
    Undecided,
)
from xnat_watchd.core.findings import Finding, FindingKind
from xnat_watchd.core.states import Progress

TWO_PEOPLE = Finding(kind=FindingKind.TWO_PEOPLE, count=2, why="it holds images of two people")


def test_a_held_study_goes_on_where_it_stopped_when_a_person_says_so_and_asks_first(recorder: Recorder) -> None:
    delivery = recorder.receive()
    recorder.upload(recorder.take())
    recorder.ledger.studies.hold(recorder.take(), recorder.now, Conflict("another study is there"))
    assert recorder.ledger.studies.take(recorder.now) is None
    (seen,) = recorder.ledger.views.attention()
    assert (seen["item"], seen["why"]) == (f"{delivery}.1", "another study is there")
    recorder.ledger.decisions.retry(recorder.key(delivery), recorder.now, by="ada")
    item = recorder.take()
    assert (item.progress, item.in_doubt, item.attempts) == (Progress.UPLOADED, True, 1)


def test_an_attempt_counts_only_if_the_trouble_is_the_study_s(recorder: Recorder) -> None:
    recorder.receive()
    studies, now = recorder.ledger.studies, recorder.now
    studies.give_back(recorder.take(), now, Unavailable("XNAT is down"), in_doubt=False)
    studies.postpone(recorder.take(), now, now, NotYet("XNAT is at work on it"), charged=False)
    studies.give_back(recorder.take(), now, Stopped("stopped"), in_doubt=True)
    item = recorder.take()
    assert (item.attempts, item.in_doubt) == (1, True)


def test_since_when_xnat_has_said_not_yet_is_remembered(recorder: Recorder) -> None:
    recorder.receive()
    began = recorder.now
    for _ in range(2):
        recorder.ledger.studies.postpone(recorder.take(), recorder.now, recorder.now, NotYet("wait"), charged=False)
        recorder.pass_(minutes=1)
    assert recorder.take().since == began


def test_a_finding_is_settled_by_no_retry_but_by_a_named_person(recorder: Recorder) -> None:
    delivery = recorder.receive(study(findings=[DAMAGED]))
    key = recorder.key(delivery)
    with pytest.raises(Impossible):
        recorder.ledger.decisions.retry(key, recorder.now)
    recorder.ledger.decisions.accept(key, "the rest is enough", "ada", recorder.now)
    assert (recorder.take().findings, recorder.ledger.findings.open(key)) == ((), ())


def test_two_people_in_one_study_are_sent_by_nobody_s_word(recorder: Recorder) -> None:
    key = recorder.key(recorder.receive(study(findings=[TWO_PEOPLE])))
    with pytest.raises(Impossible):
        recorder.ledger.decisions.accept(key, "it is right", "ada", recorder.now)
    assert recorder.ledger.findings.open(key) == (TWO_PEOPLE,)


def test_the_same_finding_is_recorded_once(recorder: Recorder) -> None:
    recorder.receive()
    item = recorder.take()
    for _ in range(2):
        recorder.ledger.findings.add(item, DAMAGED, recorder.now)
    assert recorder.ledger.findings.open(item.key) == (DAMAGED,)


def test_with_an_open_finding_no_study_goes_on(recorder: Recorder) -> None:
    delivery = recorder.receive()
    item = recorder.take()
    recorder.ledger.findings.add(item, DAMAGED, recorder.now)
    with pytest.raises(Exception, match="finding"):
        recorder.advance(item)
    assert (recorder.standing(delivery), recorder.ledger.studies.get(item.key).progress) == ("busy", "received")


def test_what_is_worked_on_is_not_decided_about(recorder: Recorder) -> None:
    key = recorder.key(recorder.receive())
    recorder.take()
    for decide in (recorder.ledger.decisions.skip, recorder.ledger.decisions.resend):
        with pytest.raises(Impossible):
            decide(key, "why", recorder.now)


def test_a_skipped_study_ends_after_it_was_taken_once_more(recorder: Recorder) -> None:
    delivery = recorder.receive()
    recorder.ledger.decisions.skip(recorder.key(delivery), "sent by mistake", recorder.now)
    item = recorder.take()
    assert item.skip_reason == "sent by mistake"
    assert recorder.ledger.studies.skip(item, recorder.now, item.skip_reason)
    (ended,) = recorder.ledger.deliveries.retirable()
    assert (recorder.standing(delivery), ended.skipped) == ("skipped", 1)


def test_what_is_sent_again_begins_anew_in_another_generation_at_another_place(recorder: Recorder) -> None:
    delivery = recorder.receive()
    recorder.complete()
    recorder.retire()
    recorder.ledger.decisions.resend(recorder.key(delivery), "lost in XNAT", recorder.now)
    item = recorder.take()
    assert (item.generation, item.progress, item.place, item.in_doubt) == (2, Progress.RECEIVED, None, True)
    assert (item.has_given_up, item.session) == (True, None)
    assert recorder.ledger.views.deliveries() == {"taken": 1}


def test_held_studies_are_let_wait_for_their_project(recorder: Recorder) -> None:
    delivery = recorder.receive()
    recorder.ledger.studies.hold(recorder.take(), recorder.now, Permanent("refused"))
    recorder.ledger.studies.let_wait([recorder.key(delivery)], recorder.now)
    assert (recorder.standing(delivery), recorder.take().attempts) == ("ready", 1)


def test_who_has_become_held_is_told_once_in_order(recorder: Recorder) -> None:
    seen, none = recorder.ledger.studies.held_after(0)
    first, second = recorder.receive(study("1.7", findings=[DAMAGED])), recorder.receive()
    recorder.ledger.studies.hold(recorder.take(), recorder.now, Permanent("refused"))
    newest, held = recorder.ledger.studies.held_after(seen)
    assert (none, [one["item"] for one in held]) == ([], [f"{first}.1", f"{second}.1"])
    assert recorder.ledger.studies.held_after(newest) == (newest, [])


def test_two_people_never_share_a_subject_label_in_whatever_case(recorder: Recorder) -> None:
    recorder.receive(study("1.1"))
    recorder.receive(study("1.2", person=Person(name="Bilby^Ada", id="AB-2")))
    recorder.receive(study("1.3"))
    for item in [recorder.take() for _ in range(3)]:
        recorder.upload(item, "S1")
    first = recorder.take()
    recorder.archive(first, "S1")
    recorder.advance(recorder.take())
    other = recorder.take()
    with pytest.raises(Undecided, match="two people"):
        recorder.ledger.studies.claim_subject(other, "s1")
    recorder.ledger.studies.hold(other, recorder.now, Undecided("two people"))
    recorder.archive(recorder.take(), "S1")
    assert recorder.ledger.existing_sessions.person_of("P1", "S1") == Person(name="Quoll^Zenobia", id="ZQ-1")


def test_what_another_station_or_a_person_has_let_go_on_meanwhile_stays_as_it_is(recorder: Recorder) -> None:
    first, second = recorder.receive(), recorder.receive()
    for _ in range(2):
        recorder.ledger.studies.hold(recorder.take(), recorder.now, Permanent("refused"))
    keys = [recorder.key(first), recorder.key(second)]
    recorder.ledger.studies.let_wait(keys[:1], recorder.now)
    taken = recorder.take()
    recorder.ledger.studies.let_wait(keys, recorder.now)
    assert (taken.key, recorder.standing(first), recorder.standing(second)) == (keys[0], "busy", "ready")


def test_what_is_recorded_already_is_recorded_once(recorder: Recorder) -> None:
    delivery = recorder.receive()
    item = recorder.take()
    recorder.upload(item)
    with pytest.raises(AlreadyRecorded):
        recorder.advance(item)
    with pytest.raises(AlreadyRecorded):
        recorder.ledger.studies.hold(item, recorder.now, Permanent("refused"))
    with pytest.raises(AlreadyRecorded):
        recorder.ledger.studies.give_back(item, recorder.now, Permanent("lost"), in_doubt=True)
    assert (recorder.standing(delivery), recorder.take().progress) == ("ready", Progress.UPLOADED)
