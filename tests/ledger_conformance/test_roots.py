"""What belongs to one root is looked at, moved and deleted by the stations that serve it, and by nobody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.ledger_conformance.engines import Recorder
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.core.errors import Permanent, Unusable
from xnat_watchd.core.states import DeliveryState


@pytest.fixture
def ours(recorder: Recorder) -> Recorder:
    """Return who records at a station of the root `ours`."""
    recorder.ledger.stations.serve("ours")
    return recorder


@pytest.fixture
def theirs(ours: Recorder) -> Iterator[Ledger]:
    """Yield the same ledger as a station of another root sees it."""
    other = ours.another()
    other.stations.serve("theirs")
    yield other
    other.close()


def test_what_is_done_in_one_root_is_moved_away_there(ours: Recorder, theirs: Ledger) -> None:
    delivery = ours.receive()
    ours.complete()
    assert theirs.deliveries.retirable() == []
    assert [one.id for one in ours.ledger.deliveries.retirable()] == [delivery]


def test_nobody_deletes_a_zip_of_another_root(ours: Recorder, theirs: Ledger) -> None:
    delivery, removed = ours.receive(), list[str]()
    ours.complete()
    ours.retire(f"done/{delivery}.zip")
    (kept,) = ours.ledger.kept_zips.kept()
    assert theirs.kept_zips.kept() == []
    assert not theirs.kept_zips.delete(kept, ours.now, lambda: removed.append("by another"))
    assert ours.ledger.kept_zips.kept() == [kept]
    assert ours.ledger.kept_zips.delete(kept, ours.now, lambda: removed.append("by its own"))
    assert removed == ["by its own"]


def test_a_number_names_no_zip_of_another_root(ours: Recorder, theirs: Ledger) -> None:
    delivery = ours.receive()
    assert theirs.deliveries.delivered_zip(delivery) is None
    known = ours.ledger.deliveries.delivered_zip(delivery)
    assert known is not None
    assert known.state is DeliveryState.TAKEN


@pytest.mark.parametrize("how", ["under way", "rejected", "kept"])
def test_the_zips_of_one_root_are_watched_there(ours: Recorder, theirs: Ledger, how: str) -> None:
    if how == "rejected":
        delivery = ours.ledger.deliveries.expect("a.zip", "P1", "identity", ours.now)
        ours.ledger.deliveries.reject(delivery, Unusable("broken", advice="-"), "failed/1.zip", ours.now, None, "stamp")
    else:
        delivery = ours.receive()
    if how == "kept":
        ours.complete()
        ours.retire()
    assert theirs.overwrites.watched(ours.now) == []
    assert [one.delivery for one in ours.ledger.overwrites.watched(ours.now)] == [delivery]


def test_a_zip_is_compared_with_what_was_rejected_in_its_own_root(ours: Recorder, theirs: Ledger) -> None:
    delivery = ours.ledger.deliveries.expect("a.zip", "P1", "identity", ours.now)
    ours.ledger.deliveries.reject(delivery, Unusable("broken", advice="-"), "failed/1.zip", ours.now, None)
    assert theirs.deliveries.rejected("P1", 10) == {}
    assert ours.ledger.deliveries.rejected("P1", 10) == {delivery: "failed/1.zip"}


def test_what_is_not_taken_is_known_of_each_drop_folder_by_itself(ours: Recorder, theirs: Ledger) -> None:
    ours.ledger.deliveries.ignore({"a.txt": ("it is no ZIP", "")}, ours.now)
    theirs.deliveries.ignore({"a.txt": ("a temporary name", ""), "b.txt": ("it is no ZIP", "")}, ours.now)
    ours.ledger.deliveries.ignore({}, ours.now)
    assert ours.ledger.views.ignored() == []
    assert [one["name"] for one in theirs.views.ignored()] == ["a.txt", "b.txt"]


def hold(recorder: Recorder) -> None:
    """Hold the next study."""
    recorder.ledger.studies.hold(recorder.take(), recorder.now, Permanent("refused"))


STATUS: dict[str, Callable[[Ledger], object]] = {
    "deliveries": lambda ledger: ledger.views.deliveries(),
    "studies": lambda ledger: ledger.views.studies(),
    "attention": lambda ledger: ledger.views.attention(),
    "under_way": lambda ledger: ledger.views.under_way(),
    "fates": lambda ledger: ledger.views.fates(10),
    "latest": lambda ledger: ledger.views.latest(10),
    "held": lambda ledger: ledger.views.held(),
    "stuck": lambda ledger: ledger.views.stuck(),
    "left": lambda ledger: [one for one in ledger.summary.under_way().values() if one],
    "totals": lambda ledger: ledger.totals.all(),
    "waiting_projects": lambda ledger: ledger.views.waiting_projects(["P1"]),
}


@pytest.mark.parametrize("look", STATUS.values(), ids=STATUS)
def test_the_status_is_that_of_one_root(ours: Recorder, theirs: Ledger, look: Callable[[Ledger], object]) -> None:
    ours.receive()
    hold(ours)
    ours.receive()
    assert look(ours.ledger)
    assert not look(theirs)


def test_what_is_named_is_shown_and_decided_about_everywhere(ours: Recorder, theirs: Ledger) -> None:
    delivery = ours.receive()
    hold(ours)
    assert theirs.views.delivery(delivery) is not None
    assert theirs.views.keys(delivery, None) == {f"{delivery}.1": ours.key(delivery)}
    theirs.decisions.retry(ours.key(delivery), ours.now, by="somebody")
    assert theirs.studies.take(ours.now) is None
    assert ours.take().delivery == delivery
