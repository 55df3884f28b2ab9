"""The ledger in PostgreSQL where that is different: connections are lost, and others decide about the server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.postgres.cluster import Cluster
from tests.postgres.databases import cluster
from tests.postgres.line import Line
from xnat_watchd.adapters.ledger.database import OlderSchema
from xnat_watchd.adapters.ledger.postgres_database import PostgresDatabase
from xnat_watchd.adapters.ledger.postgres_opening import open_postgres
from xnat_watchd.adapters.ledger.postgres_server import weaknesses
from xnat_watchd.adapters.ledger.postgres_statements import translated
from xnat_watchd.core.errors import LedgerUnusable, NoLedger, Occupied, Refusal

ADD = "INSERT INTO clutter (delivery, kind, count) VALUES (?, ?, 1)"


@pytest.fixture
def url() -> Iterator[str]:
    """Yield the address of a database without a ledger."""
    made = cluster().database()
    yield made
    cluster().drop(name_of(made))


@pytest.fixture
def database(url: str) -> Iterator[PostgresDatabase]:
    """Yield a ledger with one delivery."""
    with closing(opened(url)) as made:
        with made.change() as db:
            db.execute(
                "INSERT INTO deliveries (name, project, identity, state, arrived) VALUES (?, ?, ?, ?, ?)",
                ("a.zip", "P1", "1", "arriving", "2026"),
            )
        yield made


def opened(url: str, *, read_only: bool = False, upgrade: bool = True) -> PostgresDatabase:
    """Open a ledger, and wait for nobody."""
    return open_postgres(url, read_only=read_only, upgrade=upgrade, patience=0.1)


def test_others_may_write_while_a_connection_is_made(url: str, database: PostgresDatabase) -> None:
    ended = threading.Event()

    def write() -> None:
        with closing(opened(url)) as other:
            while not ended.is_set():
                other.run("NOTIFY xnat_watchd")

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(40):
            opened(url).close()
    finally:
        ended.set()
        for writer in writers:
            writer.join()
    assert database.changed() is False


def add_and_then(database: PostgresDatabase, happens: Callable[[], object]) -> None:
    """Write something, and let something happen before it is committed."""
    with database.change() as db:
        db.execute(ADD, (1, "log"))
        happens()


def fail() -> None:
    """Fail."""
    raise RuntimeError


def name_of(url: str) -> str:
    """Return the name of the database at an address."""
    return url.partition("///")[2].partition("?")[0]


# -- opening -----------------------------------------------------------------------------------------------


def test_who_only_reads_makes_no_ledger(url: str) -> None:
    with pytest.raises(NoLedger):
        opened(url, read_only=True)


def test_who_only_reads_writes_nothing(url: str, database: PostgresDatabase) -> None:
    assert database.rows("SELECT * FROM clutter") == []
    with closing(opened(url, read_only=True)) as reader:
        with pytest.raises(LedgerUnusable, match="takes no writes"), reader.change() as db:
            db.execute(ADD, (1, "log"))
        with pytest.raises(LedgerUnusable, match="takes no writes"):
            reader.must_take_writes()
    database.must_take_writes()


def test_a_ledger_of_a_newer_program_is_refused_unless_ours_can_work_with_it(
    url: str, database: PostgresDatabase
) -> None:
    with database.change() as db:
        db.execute("INSERT INTO schema_version VALUES (99, 3)")
    opened(url).close()
    with database.change() as db:
        db.execute("UPDATE schema_version SET oldest = 98 WHERE version = 99")
    with pytest.raises(Refusal, match="written by a newer xnat-watchd"):
        opened(url)


@pytest.mark.parametrize("how", [{"read_only": True}, {"upgrade": False}])
def test_a_command_upgrades_no_ledger(url: str, database: PostgresDatabase, how: dict[str, bool]) -> None:
    with database.change() as db:
        db.execute("UPDATE schema_version SET version = 2")
    with pytest.raises(OlderSchema):
        opened(url, **how)


def test_a_server_that_is_away_is_told_in_a_sentence_without_the_statement(url: str) -> None:
    with pytest.raises(Occupied, match="cannot be reached") as refused:
        opened(url.replace("5432", "1") if "5432" in url else "postgresql://watchd@127.0.0.1:1/watchd")
    assert "\n" not in str(refused.value)


# -- what a site is told of its server ---------------------------------------------------------------------


def test_a_server_that_keeps_its_word_and_the_time_is_no_trouble(database: PostgresDatabase) -> None:
    assert weaknesses(database, datetime.now(UTC)) == []


def test_a_server_that_confirms_too_early_is_told_of(database: PostgresDatabase) -> None:
    database.run("SET synchronous_commit = off")
    ((said, advice),) = weaknesses(database, datetime.now(UTC))
    assert "not on its disk yet" in said
    assert "synchronous_commit = on" in advice


def test_a_clock_that_differs_from_that_of_the_server_is_told_of(database: PostgresDatabase) -> None:
    ((said, _),) = weaknesses(database, datetime.now(UTC) + timedelta(minutes=5))
    assert said == "its server's clock and ours are 300 seconds apart"


def test_a_standby_that_may_lag_is_told_of() -> None:
    primary = Cluster.made()
    standby = Cluster.copied(primary)
    try:
        with closing(opened(primary.database())) as ledger:
            standby.catch_up_with(primary)
            ((said, _),) = weaknesses(ledger, datetime.now(UTC))
    finally:
        standby.close()
        primary.close()
    assert said == "a failover to its standby may lose what was just recorded"


# -- a connection that is lost -----------------------------------------------------------------------------


def test_a_change_on_a_line_that_is_cut_is_not_written_and_the_next_one_is(
    url: str, database: PostgresDatabase
) -> None:
    line = Line(cluster())
    try:
        with closing(opened(line.url(name_of(url)))) as far:
            with pytest.raises(LedgerUnusable) as lost:
                add_and_then(far, line.cut)
            assert lost.value.passes
            with pytest.raises(LedgerUnusable):
                far.rows("SELECT 1")
            line.restore()
            assert far.rows("SELECT * FROM clutter") == []
            with far.change() as db:
                db.execute(ADD, (1, "text"))
    finally:
        line.cut()
    assert [row["kind"] for row in database.rows("SELECT kind FROM clutter")] == ["text"]


def test_a_lost_connection_counts_as_a_change_since_nobody_told_of_any_meanwhile(
    url: str, database: PostgresDatabase
) -> None:
    database.changed()
    assert database.known_row("SELECT count(*) AS n FROM clutter")["n"] == 0  # type: ignore[index]
    others = f"datname = '{name_of(url)}' AND pid <> pg_backend_pid()"
    cluster().tell(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")  # noqa: S608 - our name
    with closing(opened(url)) as other, other.change() as db:
        db.execute(ADD, (1, "log"))
    with suppress(LedgerUnusable):  # who meets it first is told
        database.rows("SELECT 1")
    assert database.known_row("SELECT count(*) AS n FROM clutter")["n"] == 1  # type: ignore[index]
    assert database.changed()
    assert database.connections == 2


def test_a_server_that_crashes_loses_nothing_that_was_written() -> None:
    own = Cluster.made()
    try:
        with closing(opened(own.database())) as ledger:
            with ledger.change() as db:
                db.execute("UPDATE stations SET name = 'a'")
            own.restart()
            with suppress(LedgerUnusable):
                ledger.rows("SELECT 1")
            assert [row["name"] for row in ledger.rows("SELECT name FROM stations")] == ["a"]
    finally:
        own.close()


# -- one change at a time ----------------------------------------------------------------------------------


def test_a_change_waits_for_that_of_another_and_says_so_if_it_lasts(url: str, database: PostgresDatabase) -> None:
    with closing(opened(url)) as other, database.change():
        with pytest.raises(LedgerUnusable, match="held by another program") as refused, other.change():
            pass
        assert refused.value.passes


def test_a_change_that_stands_still_for_too_long_is_ended_and_told(database: PostgresDatabase) -> None:
    def stand_still() -> None:
        database.run("SET idle_in_transaction_session_timeout = 20")
        process = database.rows("SELECT pg_backend_pid() AS id")[0]["id"]
        cluster().wait_until(f"SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = {process}")  # noqa: S608

    with pytest.raises(LedgerUnusable) as ended:
        add_and_then(database, stand_still)
    assert ended.value.passes
    assert database.rows("SELECT * FROM clutter") == []


def test_a_right_that_was_taken_away_is_told_in_a_sentence(url: str, database: PostgresDatabase) -> None:
    role = f"site_{name_of(url)}"
    database.run(
        f'CREATE ROLE "{role}"; GRANT USAGE ON SCHEMA xnat_watchd TO "{role}";'
        f'GRANT SELECT ON ALL TABLES IN SCHEMA xnat_watchd TO "{role}"; SET ROLE "{role}"'
    )
    with pytest.raises(LedgerUnusable, match="lacks a right") as told, database.change() as db:
        db.execute(ADD, (1, "DICOMDIR"))
    assert told.value.passes
    database.run(f'RESET ROLE; DROP OWNED BY "{role}"; DROP ROLE "{role}"')


def test_who_applies_share_tables_stops_where_the_lock_went_with_the_connection(url: str) -> None:
    line = Line(cluster())
    with closing(opened(line.url(name_of(url)))) as one, closing(opened(url)) as other, one.alone():
        line.cut()
        with pytest.raises(LedgerUnusable):
            one.row("SELECT 1")
        line.restore()
        with other.alone(), pytest.raises(LedgerUnusable, match="went with a connection"):
            one.row("SELECT 1")
        found = list[Any]()
        elsewhere = threading.Thread(target=lambda: found.append(one.row("SELECT 1 AS one")))
        elsewhere.start()
        elsewhere.join()
        assert found[0]["one"] == 1  # other threads go on
    line.cut()


def test_a_change_that_fails_is_taken_back_as_a_whole(database: PostgresDatabase) -> None:
    with pytest.raises(RuntimeError):
        add_and_then(database, fail)
    assert database.rows("SELECT * FROM clutter") == []


# -- statements and values ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "names"),
    [
        ("a = ? AND b = ?", "a = $1 AND b = $2", ()),
        ("a = ?2 AND b = ?1 AND c = ?2", "a = $2 AND b = $1 AND c = $2", ()),
        ("a = :x AND b = :y AND c = :x", "a = $1 AND b = $2 AND c = $1", ("x", "y")),
        ("a = '?' AND b = ':x' -- ? and :y\nAND c = ?", "a = '?' AND b = ':x' \nAND c = $1", ()),
        ("FROM t INDEXED BY i WHERE a::text = ?", "FROM t  WHERE a::text = $1", ()),
        ("FROM t CROSS JOIN u v ON v.a = t.a", "FROM t JOIN u v ON v.a = t.a", ()),
        ("FROM t CROSS JOIN json_each(?) j", "FROM t CROSS JOIN json_each($1) j", ()),
    ],
)
def test_only_places_of_values_and_hints_differ(ours: str, theirs: str, names: tuple[str, ...]) -> None:
    assert translated(ours) == (theirs, names)


def test_a_nul_becomes_its_symbol_also_within_json(database: PostgresDatabase) -> None:
    with database.change() as db:
        db.execute(ADD, (1, "a\0b"))
    assert [row["kind"] for row in database.rows("SELECT kind FROM clutter")] == ["a\N{SYMBOL FOR NULL}b"]
    assert [row["value"] for row in database.rows("SELECT value FROM json_each(?)", '["c\\u0000"]')] == [
        "c\N{SYMBOL FOR NULL}"
    ]
