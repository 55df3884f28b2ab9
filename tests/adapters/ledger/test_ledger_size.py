"""What a question to the ledger costs, counted in steps of SQLite's machine: not more for years of history."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.ledgers import fill
from xnat_watchd.adapters.ledger.database import open_database
from xnat_watchd.adapters.ledger.ledger import Ledger

NOW = datetime(2026, 1, 2, tzinfo=UTC)
EVERY = 20  #: steps between two counts
WAITING = 50

QUESTIONS: dict[str, Callable[[Ledger], object]] = {
    "take": lambda ledger: ledger.studies.take(NOW),
    "next_due": lambda ledger: ledger.studies.next_due(NOW),
    "busy": lambda ledger: ledger.studies.any_busy(),
    "under_way": lambda ledger: ledger.views.under_way(),
    "attention": lambda ledger: ledger.views.attention(),
    "left": lambda ledger: ledger.summary.under_way(),
    "today": lambda ledger: ledger.summary.finished(NOW),
    "left_behind": lambda ledger: ledger.views.left_behind(),
    "fates": lambda ledger: ledger.views.fates(20),
    "held": lambda ledger: ledger.views.held(),
    "arrivals": lambda ledger: ledger.deliveries.arrivals(),
    "retirable": lambda ledger: ledger.deliveries.retirable(),
}


def steps(
    path: Path, ask: Callable[[Ledger], object], *, finished: int, rejected: int = 0, waiting: int = WAITING
) -> int:
    """Count what one question costs in a ledger of this size."""
    database = open_database(path)
    fill(database, finished=finished, waiting=waiting, rejected=rejected)
    ledger, counted = Ledger(database), 0

    def count() -> int:
        nonlocal counted
        counted += EVERY
        return 0

    database._db.set_progress_handler(count, EVERY)
    ask(ledger)
    ledger.close()
    return counted


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_is_finished_costs_nothing_where_one_asks_for_what_is_not(tmp_path: Path, question: str) -> None:
    ask = QUESTIONS[question]
    small = steps(tmp_path / "small.sqlite", ask, finished=0)
    large = steps(tmp_path / "large.sqlite", ask, finished=2000)
    assert large <= small + 200


@pytest.mark.parametrize("question", ["take", "next_due", "ended"])
def test_a_worker_asks_for_the_same_price_however_many_studies_are_ready(tmp_path: Path, question: str) -> None:
    ask = {**QUESTIONS, "ended": lambda ledger: ledger.deliveries.retirable(ledger.studies.newest_event())}[question]
    few = steps(tmp_path / "few.sqlite", ask, finished=0, waiting=50)
    many = steps(tmp_path / "many.sqlite", ask, finished=0, waiting=2000)
    assert many <= few + 200


def test_the_places_of_a_study_are_found_among_those_of_all(tmp_path: Path) -> None:
    ledger = Ledger(open_database(tmp_path / "ledger.sqlite"))
    plan = ledger.views._db.rows("EXPLAIN QUERY PLAN SELECT * FROM places WHERE study = 1")
    ledger.close()
    assert "places_of_study" in plan[0]["detail"]


def test_each_zip_that_was_put_aside_costs_the_same_however_many_there_are(tmp_path: Path) -> None:
    ask = QUESTIONS["attention"]
    few = steps(tmp_path / "few.sqlite", ask, finished=0, rejected=200)
    many = steps(tmp_path / "many.sqlite", ask, finished=0, rejected=2000)
    assert many < 15 * few
