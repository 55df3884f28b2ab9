"""In which engine the ledgers of this run are: SQLite, or PostgreSQL if TEST_LEDGER=postgres.

Whoever opens a ledger below a root, configures one, copies what a kill leaves of one, or asks one behind the program's
back, does it by these functions. So one variable has every suite run on the other engine.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import psycopg

from tests.postgres.cluster import CHOSEN
from tests.postgres.databases import cluster
from xnat_watchd.adapters.ledger.database import Database
from xnat_watchd.adapters.ledger.location import Location
from xnat_watchd.adapters.ledger.opening import open_database

_IN_THE_SCHEMA = "-c search_path=xnat_watchd"
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'xnat_watchd' ORDER BY 1"
_DIGEST = "SELECT '{0}' AS name, md5(string_agg(t::text, '' ORDER BY t::text)) AS digest FROM \"{0}\" t"
_SEQUENCES = "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = current_schema ORDER BY 1"


def is_postgres() -> bool:
    """Return whether the ledgers of this run are in a PostgreSQL."""
    return os.environ.get(CHOSEN) == "postgres"


def location_of(root: Path) -> Location:
    """Return where the ledger of a root is. A database has the tables at first, and the file is not there."""
    url = cluster().database_of(root, of=_blank()) if is_postgres() else ""
    return Location(root / "ledger.sqlite", url)


def opened(root: Path) -> Database:
    """Open the ledger of a root as the program does."""
    return open_database(location_of(root))


def lose(root: Path) -> None:
    """Remove the ledger of a root; nobody may have it open."""
    if is_postgres():
        cluster().forget(root)
    for file in root.glob("ledger.sqlite*"):
        file.unlink()


def settings_of(root: Path) -> str:
    """Return what a file of settings must say of the ledger of a root."""
    return f'[ledger]\nurl = "{location_of(root).url}"\n' if is_postgres() else ""


def asked(where: Location, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a question that both engines understand, as they are committed."""
    if where.url:
        with _beside(where) as db:
            return db.execute(sql.encode()).fetchall()
    with closing(sqlite3.connect(f"file:{where.path}?mode=ro", uri=True)) as file:
        return file.execute(sql).fetchall()


def left_beside(root: Path) -> bytes:
    """Return a digest of what a kill leaves of the ledger of a root outside of it; a file is left in the root."""
    if not is_postgres():
        return b""
    db = _watching(root)
    return blake2b(repr((sorted(_digests(db)), db.execute(_SEQUENCES).fetchall())).encode()).digest()


def copy_beside(root: Path, other: Path) -> None:
    """Copy what a kill leaves of the ledger of a root to that of another; a file is copied with the root.

    The program may be connected, in the middle of a transaction, so its database cannot serve as a template. Only
    tables that differ are copied: most of them are as they were at the last kill.
    """
    if not is_postgres():
        return
    one, copy = _watching(root), _watching(other)
    with one.transaction(), copy.transaction():
        one.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        copy.execute("SET LOCAL session_replication_role = replica")  # no trigger counts it, and order does not matter
        for name in sorted(name for name, _ in _digests(one) ^ _digests(copy)):
            copy.execute(f'DELETE FROM "{name}"'.encode())  # noqa: S608 - a name of ours
            with (
                one.cursor().copy(f'COPY "{name}" TO STDOUT'.encode()) as rows,
                copy.cursor().copy(f'COPY "{name}" FROM STDIN'.encode()) as to,
            ):
                for row in rows:
                    to.write(row)
        for name, last in one.execute(_SEQUENCES).fetchall():
            if last is not None:
                copy.execute("SELECT setval(%s::regclass, %s)", (name, last))


@cache
def _blank() -> str:
    """Return the name of a database with a ledger in which nothing was ever recorded: all others are copies of it."""
    blank = Location(Path(), cluster().database("blank"))
    open_database(blank).close()
    with _beside(blank) as db:  # its only station is that of this host, as which commands look at it
        db.execute("UPDATE stations SET name = %s", (os.uname().nodename,))
    return "blank"


def _beside(where: Location) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(where.url, options=_IN_THE_SCHEMA)


def _watching(root: Path) -> psycopg.Connection[tuple[Any, ...]]:
    """Return a connection to the ledger of a root that lasts: a new one takes longer than what is asked of it."""
    return cluster().watching(location_of(root).url, _IN_THE_SCHEMA)


def _digests(db: psycopg.Connection[tuple[Any, ...]]) -> frozenset[tuple[Any, ...]]:
    """Return the name and a digest of each table, whatever order its rows are in."""
    tables = [_DIGEST.format(name) for (name,) in db.execute(_TABLES).fetchall()]
    return frozenset(db.execute(" UNION ALL ".join(tables).encode()).fetchall())
