"""Deliveries from their arrival to the deletion of their ZIPs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.ledger_conformance.engines import Recorder, study
from xnat_watchd.core.errors import Impossible, Unusable
from xnat_watchd.core.states import DeliveryState, IllegalTransition


def test_a_delivery_ends_when_all_of_its_studies_have(recorder: Recorder) -> None:
    delivery = recorder.receive(study("1.1"), study("1.2"))
    recorder.step(recorder.take())
    assert recorder.ledger.deliveries.retirable() == []
    recorder.complete()
    ended = recorder.retire()
    assert (ended.id, len(ended.studies), ended.sent, ended.skipped) == (delivery, 2, True, 0)
    assert recorder.ledger.views.deliveries() == {"finished": 1}


def test_a_delivery_of_which_a_study_goes_on_again_does_not_end(recorder: Recorder) -> None:
    delivery = recorder.receive()
    recorder.complete()
    (ended,) = recorder.ledger.deliveries.retirable()
    recorder.ledger.decisions.resend(recorder.key(delivery), "lost in XNAT", recorder.now)
    assert not recorder.ledger.deliveries.retire(ended, "done/1.zip", recorder.now)
    assert recorder.ledger.views.deliveries() == {"taken": 1}


def test_only_what_has_ended_since_is_looked_at(recorder: Recorder) -> None:
    recorder.receive()
    recorder.complete()
    newest = recorder.ledger.studies.newest_event()
    assert len(recorder.ledger.deliveries.retirable(newest)) == 0
    assert len(recorder.ledger.deliveries.retirable(newest - 1)) == 1


def test_the_same_bytes_while_the_first_are_under_way_are_a_duplicate(recorder: Recorder) -> None:
    recorder.receive(study("1.1"), sha256="a" * 64)
    recorder.receive(study("1.1"), sha256="a" * 64)
    recorder.receive(study("1.1"), sha256="a" * 64, project="P2")
    assert recorder.ledger.views.deliveries() == {"duplicate": 1, "taken": 2}


def test_a_delivery_moves_only_as_deliveries_may(recorder: Recorder) -> None:
    delivery = recorder.receive()
    with pytest.raises(IllegalTransition):
        recorder.ledger.deliveries.withdraw(delivery, recorder.now)
    assert recorder.ledger.views.deliveries() == {"taken": 1}


def test_a_rejected_zip_needs_somebody_until_it_is_settled_or_replaced(recorder: Recorder) -> None:
    first, second = (recorder.ledger.deliveries.expect(f"{n}.zip", "P1", f"{n}", recorder.now) for n in range(2))
    for one in (first, second):
        recorder.ledger.deliveries.reject(one, Unusable("no ZIP"), f"failed/{one}.zip", recorder.now, None)
    assert recorder.ledger.deliveries.rejected("P1", 9) == {
        first: f"failed/{first}.zip",
        second: f"failed/{second}.zip",
    }
    recorder.ledger.decisions.settle(first, "a broken disc", recorder.now)
    assert recorder.ledger.deliveries.replace(second, 3, recorder.now)
    assert not recorder.ledger.deliveries.replace(first, 3, recorder.now)
    assert (recorder.ledger.deliveries.rejected("P1", 9), recorder.ledger.views.attention()) == ({}, [])
    with pytest.raises(Impossible):
        recorder.ledger.decisions.settle(first, "again", recorder.now)


def test_a_zip_is_known_by_its_stamp_until_it_has_changed(recorder: Recorder) -> None:
    delivery = recorder.receive()
    judged = recorder.ledger.overwrites.judged(delivery)
    assert judged
    assert (judged.stamp, judged.size, judged.as_it_is) == ("stamp", 10, True)
    assert recorder.ledger.overwrites.watched(recorder.now) == [judged]
    recorder.ledger.overwrites.stamp(delivery, "after its move")
    assert recorder.ledger.overwrites.judged(delivery) == replace(judged, stamp="after its move")
    recorder.ledger.overwrites.mark_changed(delivery, recorder.now)
    assert (recorder.ledger.overwrites.judged(delivery), recorder.ledger.overwrites.watched(recorder.now)) == (None, [])
    assert recorder.take().skip_reason


def test_a_kept_zip_is_deleted_together_with_the_record_of_it(recorder: Recorder) -> None:
    recorder.receive()
    recorder.complete()
    recorder.retire("done/1.zip")
    (kept,) = recorder.ledger.kept_zips.kept()
    removed: list[str] = []

    def fails() -> None:
        raise OSError("the disk")

    with pytest.raises(OSError, match="the disk"):
        recorder.ledger.kept_zips.delete(kept, recorder.now, fails)
    assert recorder.ledger.kept_zips.kept() == [kept]
    assert recorder.ledger.kept_zips.delete(kept, recorder.now, lambda: removed.append(kept.kept_as))
    assert (removed, recorder.ledger.kept_zips.kept()) == (["done/1.zip"], [])
    assert not recorder.ledger.kept_zips.delete(kept, recorder.now, fails)


def test_a_zip_of_which_something_is_to_be_sent_again_is_not_deleted(recorder: Recorder) -> None:
    delivery = recorder.receive()
    recorder.complete()
    recorder.retire("done/1.zip")
    (kept,) = recorder.ledger.kept_zips.kept()
    recorder.ledger.decisions.resend(recorder.key(delivery), "lost in XNAT", recorder.now)
    assert not recorder.ledger.kept_zips.delete(kept, recorder.now, lambda: pytest.fail("it was deleted"))


def test_after_a_zip_was_deleted_nothing_of_it_is_sent_again(recorder: Recorder) -> None:
    delivery = recorder.receive()
    recorder.complete()
    recorder.retire("done/1.zip")
    (kept,) = recorder.ledger.kept_zips.kept()
    recorder.ledger.kept_zips.delete(kept, recorder.now, lambda: None)
    with pytest.raises(Impossible, match="deleted"):
        recorder.ledger.decisions.resend(recorder.key(delivery), "lost in XNAT", recorder.now)


def test_what_is_not_taken_is_listed_and_an_advice_only_after_a_while(recorder: Recorder) -> None:
    ignored = {"a.zip": ("not complete", "Copy it again."), "b.txt": ("no ZIP", "")}
    due = recorder.ledger.deliveries.ignore(ignored, recorder.now, 60.0, ["Copy it again."])
    assert due == recorder.now + timedelta(seconds=60)
    assert [one["advice"] for one in recorder.ledger.views.ignored()] == ["", ""]
    recorder.pass_(seconds=60)
    assert recorder.ledger.deliveries.ignore(ignored, recorder.now, 60.0, ["Copy it again."]) is None
    assert {one["name"]: one["advice"] for one in recorder.ledger.views.ignored()} == {
        "a.zip": "Copy it again.", "b.txt": "",
    }  # fmt: skip


def test_the_counts_of_the_status_are_those_of_the_rows(recorder: Recorder) -> None:
    for _ in range(3):
        recorder.receive()
    recorder.step(recorder.take())
    assert recorder.ledger.views.studies() == {"received": {"ready": 2}, "uploaded": {"ready": 1}}
    assert recorder.ledger.summary.under_way() == {"zips": 3, "bytes": 30, "held": 0}
    recorder.complete()
    assert recorder.ledger.views.studies() == {"complete": {"done": 3}}
    assert {one.id for one in recorder.ledger.deliveries.retirable()} == {1, 2, 3}
    assert recorder.ledger.deliveries.delivered_zip(1) is not None
    assert recorder.ledger.views.deliveries() == {DeliveryState.TAKEN: 3}
