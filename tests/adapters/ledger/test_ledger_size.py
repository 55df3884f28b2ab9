"""What a question to the ledger costs, counted in steps of SQLite's machine: not more for years of history."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.ledgers import connection_of, fill
from xnat_watchd.adapters.ledger.database import text
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.adapters.ledger.overwrites import MOST_WATCHED
from xnat_watchd.adapters.ledger.views import MOST_LISTED
from xnat_watchd.operator.figures import Span, figures_of
from xnat_watchd.operator.status import Exit, take_snapshot, verdict

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
    "figures of a day": lambda ledger: figures_of(ledger, Span.DAY, NOW + timedelta(days=30)),
    "confirmed projects": lambda ledger: ledger.views.confirmed_projects(),
    "totals": lambda ledger: (ledger.totals.all(), ledger.totals.archive_times()),
}


def steps(
    path: Path,
    ask: Callable[[Ledger], object],
    *,
    finished: int,
    rejected: int = 0,
    waiting: int = WAITING,
    then: str = "SELECT 1",
) -> int:
    """Count what one question costs in a ledger of this size."""
    database = open_database(path)
    fill(database, finished=finished, waiting=waiting, rejected=rejected)
    with database.change() as db:
        db.execute("UPDATE deliveries SET stamp = 'x', kept_as = iif(state = 'finished', 'done/' || id, NULL)")
        db.execute(then)
    ledger, counted = Ledger(database), 0

    def count() -> int:
        nonlocal counted
        counted += EVERY
        return 0

    connection_of(database).set_progress_handler(count, EVERY)
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


EACH: dict[str, Callable[[Ledger], object]] = {
    "take": lambda ledger: ledger.studies.take(NOW, ["P2"]),
    "next_due": lambda ledger: ledger.studies.next_due(NOW, ["P2"]),
    "ended": lambda ledger: ledger.deliveries.retirable(ledger.studies.newest_event()),
    "watched": lambda ledger: ledger.overwrites.watched(NOW),
    "snapshot": lambda ledger: take_snapshot(ledger, "", NOW, running=True, daemon={}),
}
IN_HALF_AN_HOUR, TOMORROW = NOW + timedelta(minutes=30), NOW + timedelta(hours=10)
STANDINGS = {
    "ready": "UPDATE studies SET standing = 'ready'",
    "waiting": f"UPDATE studies SET standing = 'waiting', due = '{text(IN_HALF_AN_HOUR)}', delayed = '{text(NOW)}'",  # noqa: S608 - our own words
    "for the morning": f"UPDATE studies SET standing = 'waiting', uploads = 2, due = '{text(TOMORROW)}'",  # noqa: S608 - our own words
    "for a setting": "UPDATE studies SET standing = 'waiting', due = NULL, progress = 'uploaded'",
    "in a closed project": "UPDATE studies SET project = 'P2'",
    "done": "UPDATE studies SET progress = 'complete', standing = 'done', session = 'E' || key",
}
FLAT = 1.2


@pytest.mark.parametrize("standing", STANDINGS)
@pytest.mark.parametrize("question", EACH)
def test_a_question_costs_the_same_however_many_studies_there_are(tmp_path: Path, question: str, standing: str) -> None:
    some, many = (
        steps(tmp_path / f"{count}.sqlite", EACH[question], finished=0, waiting=count, then=STANDINGS[standing])
        for count in (600, 2400)  # more than any list has
    )
    assert many <= FLAT * some


@pytest.mark.parametrize("standing", STANDINGS)
def test_the_counts_are_those_of_the_rows(tmp_path: Path, standing: str) -> None:
    database = open_database(tmp_path / "ledger.sqlite")
    fill(database, finished=0, waiting=7, rejected=2)
    with database.change() as db:
        db.execute(STANDINGS[standing])
        db.execute("UPDATE deliveries SET state = 'finished', ended = arrived WHERE id = 7")
    ledger = Ledger(database)
    studies = database.rows("SELECT progress, standing, count(*) AS n FROM studies GROUP BY progress, standing")
    assert {(r["progress"], r["standing"]): r["n"] for r in studies} == {
        (progress, name): n for progress, counts in ledger.views.studies().items() for name, n in counts.items()
    }
    assert ledger.summary.under_way() == {"zips": 6, "bytes": 6000, "held": 0}
    deliveries = database.rows("SELECT state, count(*) AS n FROM deliveries GROUP BY state")
    assert {row["state"]: row["n"] for row in deliveries} == ledger.views.deliveries()
    for table in ("studies", "deliveries"):
        with pytest.raises(sqlite3.IntegrityError, match="is never removed"), database.change() as db:
            db.execute(f"DELETE FROM {table}")  # noqa: S608 - a word of our own
    ledger.close()


def test_of_many_under_way_those_are_listed_that_are_worked_on_soonest(tmp_path: Path) -> None:
    database = open_database(tmp_path / "ledger.sqlite")
    fill(database, finished=0, waiting=MOST_LISTED + 50)
    with database.change() as db:
        db.execute("UPDATE studies SET standing = 'waiting' WHERE key <= ?", (MOST_LISTED,))
        db.execute("UPDATE studies SET due = ? WHERE key = 90", (text(TOMORROW),))
        db.execute("UPDATE studies SET standing = 'busy' WHERE key = 80")
    ledger = Ledger(database)
    rows = ledger.views.under_way()
    ledger.close()
    assert len(rows) == MOST_LISTED
    assert [row["item"] for row in rows[:2]] == ["80.1", "1.1"]
    assert {row["item"] for row in rows if row["standing"] == "ready"} == {f"{n}.1" for n in range(101, 151)}
    assert "90.1" in {row["item"] for row in rows}
    assert verdict({**FINE, "under_way": rows}, finished=True) is Exit.WAITING


FINE = {"gate": {"open": True}, "attention": [], "shares": [], "ignored": []}


def test_every_zip_under_way_is_checked_for_changes_in_turn(tmp_path: Path) -> None:
    database = open_database(tmp_path / "ledger.sqlite")
    fill(database, finished=0, waiting=MOST_WATCHED + 7)
    with database.change() as db:
        db.execute("UPDATE deliveries SET stamp = 'x'")
    overwrites = Ledger(database).overwrites
    first = [one.delivery for one in overwrites.watched(NOW)]
    then = [one.delivery for one in overwrites.watched(NOW, first[-1])]
    database.close()
    assert (first, then) == ([*range(1, MOST_WATCHED + 1)], [*range(MOST_WATCHED + 1, MOST_WATCHED + 8)])


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
