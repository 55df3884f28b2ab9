"""The counters of a station in a shared ledger go on where they were, also before its folders are seen again."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from tests.stations import SharedLedger, shared_ledger
from xnat_watchd.adapters.ledger.stations import StationProcess


def test_a_service_that_begins_shows_the_counters_of_its_root_before_it_has_seen_it(tmp_path: Path) -> None:
    recorder = SharedLedger(tmp_path).be("ct-1")
    recorder.receive()
    before = recorder.ledger.totals.all()
    assert before
    with closing(shared_ledger(tmp_path)) as again:
        again.stations.enroll(StationProcess("ct-1", "0.2.0"))
        assert again.stations.me.root == ""
        assert again.totals.all() == before
    recorder.ledger.close()


def test_another_station_begins_with_none(tmp_path: Path) -> None:
    recorder = SharedLedger(tmp_path).be("ct-1")
    recorder.receive()
    with closing(shared_ledger(tmp_path)) as other:
        other.stations.enroll(StationProcess("ct-2", "0.2.0"))
        assert other.totals.all() == []
    recorder.ledger.close()
