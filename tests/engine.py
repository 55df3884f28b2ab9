"""In which engine the ledgers of this run are: SQLite, or PostgreSQL if XNAT_WATCHD_TEST_LEDGER=postgres.

Whoever opens a ledger below a root, configures one, copies what a kill leaves of one, or asks one behind the program's
back, does it by these functions. So one variable has every suite run on the other engine.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import psycopg

from tests.postgres.databases import cluster
from xnat_watchd.adapters.ledger.database import Database
from xnat_watchd.adapters.ledger.opening import open_database

CHOSEN = "XNAT_WATCHD_TEST_LEDGER"
Address = Path | str  #: a file of SQLite, or the URL of a database

_TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname"
_SEQUENCES = "SELECT sequencename, coalesce(last_value, 0) FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"


def is_postgres() -> bool:
    """Return whether the ledgers of this run are in a PostgreSQL."""
    return os.environ.get(CHOSEN) == "postgres"


def address_of(root: Path) -> Address:
    """Return where the ledger of a root is. A database has the tables at first, and the file is not there."""
    return cluster().database_of(root, of=_blank()) if is_postgres() else root / "ledger.sqlite"


def opened(root: Path) -> Database:
    """Open the ledger of a root as the program does."""
    return open_database(cast("Path", address_of(root)))


def settings_of(root: Path) -> str:
    """Return what a file of settings must say of the ledger of a root."""
    return f'[ledger]\nurl = "{address_of(root)}"\n' if is_postgres() else ""


def asked(address: Address, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a question that both engines understand, as they are committed."""
    if isinstance(address, Path):
        with closing(sqlite3.connect(f"file:{address}?mode=ro", uri=True)) as file:
            return file.execute(sql).fetchall()
    with psycopg.connect(address, autocommit=True) as db:
        return db.execute(sql.encode()).fetchall()


def left_beside(root: Path) -> bytes:
    """Return a digest of what a kill leaves of the ledger of a root outside of it; a file is left in the root."""
    if not is_postgres():
        return b""
    digest = blake2b()
    with psycopg.connect(str(address_of(root)), autocommit=True) as db:
        for name, rows in _tables(db):
            digest.update(f"\0{name}\0".encode() + b"".join(rows))
        digest.update(repr(db.execute(_SEQUENCES).fetchall()).encode())
    return digest.digest()


def copy_beside(root: Path, other: Path) -> None:
    """Copy what a kill leaves of the ledger of a root to that of another; a file is copied with the root.

    The program may be connected, in the middle of a transaction, so its database cannot serve as a template.
    """
    if not is_postgres():
        return
    with psycopg.connect(str(address_of(root))) as one, psycopg.connect(str(address_of(other))) as copy:
        one.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        copy.execute("SET session_replication_role = replica")  # no trigger counts it, and order does not matter
        for name, rows in _tables(one):
            copy.execute(f'DELETE FROM "{name}"'.encode())  # noqa: S608 - a name of ours
            with copy.cursor().copy(f'COPY "{name}" FROM STDIN'.encode()) as to:
                for row in rows:
                    to.write(row)
        for name, last in one.execute(_SEQUENCES).fetchall():
            if last:
                copy.execute("SELECT setval(%s::regclass, %s)", (name, last))


@cache
def _blank() -> str:
    """Return the name of a database with a ledger in which nothing was ever recorded: all others are copies of it."""
    open_database(cast("Path", cluster().database("blank"))).close()
    return "blank"


def _tables(db: psycopg.Connection[tuple[Any, ...]]) -> Iterator[tuple[str, list[bytes]]]:
    for (name,) in db.execute(_TABLES).fetchall():
        with db.cursor().copy(f'COPY "{name}" TO STDOUT'.encode()) as rows:
            yield name, [bytes(row) for row in rows]
