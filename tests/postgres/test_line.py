"""A line that is cut or stands still, and a standby that is promoted without the last commits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from tests.postgres.cluster import Cluster
from tests.postgres.databases import cluster
from tests.postgres.line import Line

ONE = "SELECT 1"


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line(cluster())
    yield made
    made.cut()


def test_a_line_that_is_cut_breaks_connections_off_and_takes_no_new_ones_until_it_is_restored(line: Line) -> None:
    db = psycopg.connect(line.url("postgres"), autocommit=True)
    assert db.execute(ONE).fetchone() == (1,)
    line.cut()
    with pytest.raises(psycopg.OperationalError):
        db.execute(ONE)
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(line.url("postgres"))
    line.restore()
    with psycopg.connect(line.url("postgres")) as again:
        assert again.execute(ONE).fetchone() == (1,)


def test_the_server_notices_a_cut(line: Line) -> None:
    db = psycopg.connect(line.url("postgres"))
    ((number,),) = db.execute("SELECT pg_backend_pid()").fetchall()
    line.cut()
    cluster().wait_until(f"SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = {number}")  # noqa: S608 - a number
    db.close()


def test_a_line_that_stands_still_lets_nothing_through_and_loses_nothing(line: Line) -> None:
    said = list[object]()
    with psycopg.connect(line.url("postgres"), autocommit=True) as db:
        line.stall()
        asking = threading.Thread(target=lambda: said.append(db.execute("SELECT 7").fetchone()))
        asking.start()
        asking.join(0.2)
        assert (said, asking.is_alive()) == ([], True)
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            psycopg.connect(line.url("postgres", connect_timeout="2"))
        line.restore()
        asking.join(10)
    assert said == [(7,)]


def test_a_standby_is_promoted_without_the_last_commits(line: Line) -> None:
    primary = Cluster.made()
    with closing(primary), closing(Cluster.copied(primary)) as standby:
        url = primary.database("ledger")
        line.lead_to(primary)
        with psycopg.connect(url, autocommit=True) as db:
            db.execute("CREATE TABLE t AS SELECT 1 AS x")
            standby.catch_up_with(primary)
            standby.follow_no_more()
            db.execute("INSERT INTO t VALUES (2)")
        before = primary.history()
        primary.stop()
        standby.promote()
        line.lead_to(standby)
        with psycopg.connect(line.url("ledger"), autocommit=True) as db:
            assert db.execute("SELECT x FROM t").fetchall() == [(1,)]
            db.execute("INSERT INTO t VALUES (3)")
        after = standby.history()
        assert (before[0] == after[0], before[1], after[1]) == (True, "00000001", "00000002")
