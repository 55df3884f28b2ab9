"""Figures: what was archived when, how long it took, what waited, and what failed why."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from tests.dicom import instance
from tests.engine import opened
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.ledgers import connection_of, fill
from tests.station import Station, Time, zipped
from xnat_watchd.adapters.ledger.database import text
from xnat_watchd.adapters.ledger.history import FailureCount, PeriodCounts
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.operator.figures import OTHER, REASONS, Span, backlog, edges_of, figures_of, quantile, reasons

SCAN = zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 2))])
OTHERS = zipped([("1.dcm", instance(3, 1, 1, date="20240301")), ("2.dcm", instance(4, 1, 1, date="20240302"))])
BAD = zipped([("1.dcm", instance(2, 1, 1)), ("2.dcm", instance(2, 1, 2)[:-100])])
NOW = datetime(2026, 3, 29, 12, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take a clock that is put forward in the night before `NOW`."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    at = Time()
    station = Station(tmp_path, FakeGateway(FakeXnat(at), at), at)
    yield station
    station.close()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(opened(tmp_path))
    yield ledger
    ledger.close()


# -- periods -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("span", "count", "first", "last"),
    [
        (Span.DAY, 24, "2026-03-28T14:00:00+01:00", "2026-03-29T15:00:00+02:00"),
        (Span.MONTH, 30, "2026-02-28T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
        (Span.YEAR, 53, "2025-03-24T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
    ],
)
def test_periods_follow_the_clock_on_the_wall_also_when_it_is_changed(
    span: Span, count: int, first: str, last: str
) -> None:
    edges = edges_of(span, NOW)
    assert len(edges) == count + 1
    assert (edges[0], edges[-1]) == (datetime.fromisoformat(first), datetime.fromisoformat(last))
    assert edges[-2] <= NOW < edges[-1]
    if span is Span.DAY:
        assert {after - before for before, after in pairwise(edges)} == {timedelta(hours=1)}
    else:
        assert {edge.astimezone().strftime("%H:%M") for edge in edges} == {"00:00"}


# -- what a service has done -----------------------------------------------------------------------------------


def test_what_was_archived_stands_in_its_hour_with_its_bytes_and_its_time(station: Station) -> None:
    for name, content, minutes in (("scan.zip", SCAN, 5), ("two.zip", OTHERS, 20)):
        station.time.pass_(hours=2)
        station.drop(name, content)
        station.take_in()
        station.time.pass_(minutes=minutes)  # XNAT does not answer
        station.work()
    found = figures_of(station.ledger, Span.DAY, station.time.now())
    assert found.archived[-3:] == (1, 0, 2)
    assert sum(found.archived) == 3
    assert found.bytes[-3:] == (len(SCAN), 0, len(OTHERS))
    assert found.half[-3:] == found.most[-3:] == (300, None, 1200)
    assert found.overall == (1200, 1200)
    assert found.backlog == (0,) * 24
    assert found.failures == ()


def test_what_waits_for_a_person_is_backlog_until_that_has_decided(station: Station) -> None:
    station.drop("bad.zip", BAD)
    station.run()
    station.time.pass_(hours=3)
    assert figures_of(station.ledger, Span.DAY, station.time.now()).backlog[-5:] == (0, 1, 1, 1, 1)
    station.ledger.decisions.skip(1, "by a test", station.time.now())
    station.work()
    station.time.pass_(hours=1)
    found = figures_of(station.ledger, Span.DAY, station.time.now())
    assert found.backlog[-5:] == (1, 1, 1, 0, 0)
    assert found.failures == (("N of N images is damaged (cut short)", 1),)
    assert sum(found.archived) == 0


def test_a_study_that_is_sent_again_is_archived_twice_and_has_waited_once(station: Station) -> None:
    station.drop("scan.zip", SCAN)
    station.take_in()
    station.time.pass_(minutes=5)
    station.work()
    station.time.pass_(hours=5)
    assert figures_of(station.ledger, Span.DAY, station.time.now()).overall == (300, 300)
    station.ledger.decisions.resend(1, "by a test", station.time.now())
    station.work()
    found = figures_of(station.ledger, Span.DAY, station.time.now())
    assert sum(found.archived) == 2
    assert found.overall == (None, None)


def test_a_rejected_zip_counts_with_its_reason(station: Station) -> None:
    station.drop("notes.zip", zipped([("notes.txt", b"nothing")]))
    station.run()
    ((why, count),) = figures_of(station.ledger, Span.MONTH, station.time.now()).failures
    assert (count, station.ledger.views.attention()[0]["why"]) == (1, why)


def test_the_figures_are_those_that_one_gets_by_counting(ledger: Ledger) -> None:
    chance = Random(17)
    arrived = [NOW - timedelta(minutes=chance.randrange(1, 60 * 40)) for _ in range(300)]
    ended = [None if chance.random() < 0.2 else at + timedelta(minutes=chance.randrange(300)) for at in arrived]
    ended = [None if at is None or at > NOW else at for at in ended]
    fill(ledger.deliveries._db, finished=0, waiting=300)
    with ledger.history._db.change() as db:
        db.executemany(
            "UPDATE deliveries SET arrived = ?, state = ?, ended = ?, size = id WHERE id = ?",
            [
                (text(a), "finished" if e else "taken", e and text(e), n)
                for n, (a, e) in enumerate(zip(arrived, ended, strict=True), 1)
            ],
        )
        db.executemany(
            "INSERT INTO events (at, delivery, study, event, progress) VALUES (?,?,?,'advanced','archived')",
            [(text(e), n, n) for n, e in enumerate(ended, 1) if e],
        )
    edges, found = edges_of(Span.DAY, NOW), figures_of(ledger, Span.DAY, NOW)
    pairs = [*zip(arrived, ended, range(1, 301), strict=True)]
    for begin, end, archived, size, waiting, half in zip(
        edges, edges[1:], found.archived, found.bytes, found.backlog, found.half, strict=False
    ):
        within = [(a, e, n) for a, e, n in pairs if e is not None and begin <= e < end]
        assert archived == len(within)
        assert size == sum(n for *_, n in within)
        assert waiting == sum(a < end and (e is None or e >= end) for a, e, _ in pairs)
        waits = sorted((e - a).total_seconds() for a, e, _ in within)
        assert half == (waits[(len(waits) - 1) // 2] if waits else None)


def test_every_question_is_answered_by_an_index(ledger: Ledger) -> None:
    database = ledger.deliveries._db
    asked: list[str] = []
    connection_of(database).set_trace_callback(asked.append)
    figures_of(ledger, Span.YEAR, NOW)
    connection_of(database).set_trace_callback(None)
    plans = [row["detail"] for sql in asked for row in database.rows(f"EXPLAIN QUERY PLAN {sql}")]
    assert len(plans) > 10
    assert [plan for plan in plans if plan.startswith("SCAN") and "json_each" not in plan] == ["SCAN delivery_counts"]
    for index in ("COVERING INDEX arrivals", "COVERING INDEX endings", "INDEX archivals", "INDEX failures"):
        assert [plan for plan in plans if index in plan], index


# -- numbers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "half", "most"),
    [([], None, None), ([7], 7, 7), ([1, 9], 1, 9), ([1, 2, 3], 2, 3), ([*range(1, 101)], 50, 95)],
)
def test_of_the_studies_half_and_nineteen_in_twenty_took_no_longer(
    values: list[int], half: int | None, most: int | None
) -> None:
    assert (quantile(values, 0.5), quantile(values, 0.95)) == (half, most)


def test_the_backlog_is_never_below_nothing() -> None:
    counts = [PeriodCounts(arrived, 0, 0, 0, ()) for arrived in (0, 5, 0)]  # more than there are: some came again
    assert backlog(2, counts) == (0, 2, 2)


def test_reasons_that_differ_in_numbers_and_projects_are_one_and_name_none() -> None:
    told = reasons([
        FailureCount("2 of 40 images are damaged", ("P1",), 3),
        FailureCount("11 of 300 images are damaged", ("P2",), 1),
        FailureCount("XNAT answered 403 to the upload in project Quokka_1", ("P1", "Quokka_1"), 2),
        FailureCount("XNAT answered 500 to the upload in project P1", ("P1",), 1),
    ])  # fmt: skip
    assert told == (
        ("N of N images are damaged", 4),
        ("XNAT answered 403 to the upload in project …", 2),
        ("XNAT answered 500 to the upload in project …", 1),
    )


def test_rare_reasons_count_together() -> None:
    told = reasons([FailureCount(f"reason {chr(97 + n)}", (), 30 - n) for n in range(REASONS + 3)])
    assert len(told) == REASONS + 1
    assert told[-1] == (OTHER, 22 + 21 + 20)


def test_a_study_that_changed_its_project_names_neither(ledger: Ledger) -> None:
    fill(ledger.deliveries._db, finished=0, waiting=1)
    with ledger.history._db.change() as db:
        for event, why, detail in (
            ("held", "there is no project Quokka Anna", None), ("moved", None, "Quokka Anna -> Wombat"),
            ("held", "there is no project Wombat", None), ("moved", None, "Wombat -> P1"),
            ("held", "project P1 takes no uploads", None),
        ):  # fmt: skip
            db.execute(
                "INSERT INTO events (at, delivery, study, event, why, detail) VALUES (?,1,?,?,?,?)",
                (text(NOW), 1 if event == "held" else None, event, why, detail),
            )
    told = figures_of(ledger, Span.DAY, NOW).failures
    assert told == (("there is no project …", 2), ("project … takes no uploads", 1))
