"""The stations of a ledger: who has taken what, and whose ZIPs they may send."""

from __future__ import annotations

import pytest

from tests.ledger_conformance.engines import Recorder
from xnat_watchd.core.errors import Taken


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
