"""How often each thing has happened: counted once, by project, and kept for good."""

from __future__ import annotations

import pytest

from tests.ledger_conformance.engines import Recorder, study
from xnat_watchd.adapters.ledger.totals import confirmed
from xnat_watchd.core.errors import Unusable


def counts(recorder: Recorder, of: str = "studies") -> dict[tuple[str, str], int]:
    return {(one.project, one.what): one.count for one in recorder.ledger.totals.all() if one.of == of}


def test_what_a_study_reaches_is_counted_once_for_its_project(recorder: Recorder) -> None:
    recorder.receive(study("1.1", images=3))
    recorder.receive(study("1.2", images=4), project="P2")
    recorder.complete()
    steps = ("received", "uploaded", "archived", "complete")
    named = {(project, step): 1 for project in ("P1", "P2") for step in steps[1:]}
    assert counts(recorder) == named | {("", "received"): 2}
    sent = {(one.project, one.what): (one.images, one.bytes) for one in recorder.ledger.totals.all() if one.images}
    assert sent == {
        ("P1", "uploaded"): (3, 30), ("P1", "archived"): (3, 30),
        ("P2", "uploaded"): (4, 40), ("P2", "archived"): (4, 40),
    }  # fmt: skip


def test_a_restart_and_another_connection_count_on(recorder: Recorder) -> None:
    recorder.receive(study("1.1"))
    recorder.complete()
    recorder.restart()
    recorder.receive(study("1.2"))
    recorder.complete()
    assert counts(recorder)["P1", "archived"] == 2
    other = recorder.another()
    try:
        assert other.totals.all() == recorder.ledger.totals.all()
    finally:
        other.close()


def test_what_is_taken_back_together_is_not_counted(recorder: Recorder) -> None:
    def upload_and_fail() -> None:
        with recorder.ledger.together():
            recorder.upload(recorder.take())
            raise KeyError("a fault")

    recorder.receive(study("1.1"))
    before = recorder.ledger.totals.all()
    with pytest.raises(KeyError):
        upload_and_fail()
    assert recorder.ledger.totals.all() == before


def test_what_becomes_of_zips_is_counted(recorder: Recorder) -> None:
    recorder.receive(study("1.0"))
    recorder.complete()
    recorder.retire()
    before = counts(recorder, "deliveries")
    assert before == {("", "taken"): 1, ("P1", "finished"): 1}
    recorder.receive(study("1.1"), sha256="a" * 64)
    recorder.receive(study("1.1"), sha256="a" * 64)
    bad = recorder.ledger.deliveries.expect("bad.zip", "P1", "bad", recorder.now)
    recorder.ledger.deliveries.reject(bad, Unusable("no ZIP"), "failed/bad.zip", recorder.now, None)
    recorder.complete()
    recorder.retire()
    assert counts(recorder, "deliveries") == {
        ("", "taken"): 1, ("P1", "taken"): 1, ("P1", "duplicate"): 1, ("P1", "rejected"): 1, ("P1", "finished"): 2,
    }  # fmt: skip


def test_a_project_is_confirmed_by_the_first_study_that_xnat_takes(recorder: Recorder) -> None:
    recorder.receive(study("1.1"), project="P1")
    recorder.receive(study("1.2"), project="Quoll_Zenobia")
    assert confirmed(recorder.ledger.totals.all()) == frozenset()
    item = recorder.take()
    recorder.upload(item)
    assert confirmed(recorder.ledger.totals.all()) == {item.project}


def test_no_count_goes_back_when_a_project_is_confirmed(recorder: Recorder) -> None:
    recorder.receive(study("1.1"))
    recorder.receive(study("1.2"), project="Quoll_Zenobia")
    before = counts(recorder)
    assert before == {("", "received"): 2}
    recorder.upload(recorder.take())
    assert counts(recorder) == before | {("P1", "uploaded"): 1}
    recorder.receive(study("1.3"))
    assert counts(recorder) == before | {("P1", "uploaded"): 1, ("P1", "received"): 1}


def test_a_project_is_confirmed_once_xnat_has_taken_a_study_into_it(recorder: Recorder) -> None:
    for number in range(3):
        recorder.receive(study(f"1.{number}"), project=f"P{number % 2}")
        assert recorder.ledger.views.confirmed_projects() == []
    recorder.complete()
    assert sorted(recorder.ledger.views.confirmed_projects()) == ["P0", "P1"]


def test_the_time_from_arrival_to_archive_is_counted_by_its_bound(recorder: Recorder) -> None:
    for minutes in (1, 20, 3000):
        recorder.receive()
        recorder.pass_(minutes=minutes)
        recorder.complete()
    times = recorder.ledger.totals.archive_times()["P1"]
    assert times.counts == {60: 1, 3600: 1, 0: 1}
    assert times.count == 3
    assert times.seconds == pytest.approx(60 * 3021, abs=0.1)


def test_a_study_that_is_sent_again_is_counted_again_without_its_age(recorder: Recorder) -> None:
    delivery = recorder.receive()
    recorder.complete()
    recorder.retire()
    recorder.ledger.decisions.resend(recorder.key(delivery), "lost in XNAT", recorder.now)
    recorder.pass_(hours=100)
    recorder.complete()
    assert counts(recorder)["P1", "archived"] == 2
    assert counts(recorder)["P1", "resent"] == 1
    assert recorder.ledger.totals.archive_times()["P1"].count == 1
