"""Imports of several stations never start together."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.ledger_conformance.engines import Recorder
from xnat_watchd.adapters.ledger.import_starts import GAP, LONGEST
from xnat_watchd.adapters.ledger.postgres_database import PostgresDatabase
from xnat_watchd.adapters.ledger.sqlite_database import SqliteDatabase


def test_each_import_starts_later_than_the_one_before_whichever_station_sends_it(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = recorder.another()
    stand_still(recorder, monkeypatch)
    waits = [ledger.import_starts.reserve() for _ in range(3) for ledger in (recorder.ledger, other)]
    other.close()
    assert waits == pytest.approx([number * GAP.total_seconds() for number in range(6)])


def test_a_start_that_a_wrong_clock_has_reserved_holds_nobody_up(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as wrong:
        stand_still(recorder, wrong, ahead=LONGEST)
        recorder.ledger.import_starts.reserve()
    stand_still(recorder, monkeypatch)
    assert recorder.ledger.import_starts.reserve() == 0


def stand_still(recorder: Recorder, monkeypatch: pytest.MonkeyPatch, *, ahead: timedelta = timedelta()) -> None:
    """Let the clock of a database stand still, whichever engine it is of."""
    for database in (SqliteDatabase, PostgresDatabase):
        monkeypatch.setattr(database, "now", lambda _: recorder.now + ahead)
