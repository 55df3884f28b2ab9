"""The SQLite file under the ledger: how it is opened, upgraded and written to."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from xnat_watchd.core.errors import NoRoom, Refusal, Transient

VERSION = 1  #: of the schema, kept in the file as `user_version`
APPLICATION = 0x584E5744  #: "XNWD", kept in the file as `application_id`
MODE = 0o600  #: it holds patients' names, and the folder around it may be open to a group

_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_WRITE})
_PASSING = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
"""What is the disk's trouble and not the ledger's. A full disk is said as either of the last two."""

WAIT = "Free some space on its disk, or end what else uses it; systemd starts the service again by itself."


class Database:
    """One connection, shared by all threads behind a lock; every change is durable before it is believed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._lock = threading.RLock()
        self._db = connection
        self._version: int | None = None
        self.close = connection.close

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """Give a transaction that is written whole or not at all; `NoRoom` when the disk is too full for it."""
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode not in _FULL:
                    raise
                raise NoRoom("the ledger's disk is full", detail=str(error)) from error
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def changed(self) -> bool:
        """Say whether somebody else has written since this was asked last; the first time, no."""
        row = self.row("PRAGMA data_version")
        version = int(row[0]) if row else 0
        before, self._version = self._version, version
        return before not in (None, version)

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Give all rows of a question."""
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def row(self, sql: str, *values: object) -> sqlite3.Row | None:
        """Give the first row of a question, or None."""
        with self._lock:
            first: sqlite3.Row | None = self._db.execute(sql, values).fetchone()
            return first


def open_database(path: Path, *, read_only: bool = False) -> Database:
    """Open the ledger, make it if there is none, upgrade it if it is older.

    `Refusal` when it cannot be trusted; `Transient` when a full disk or another program keeps it from us just now.
    """
    try:
        if not read_only:
            _keep_for_us(path)
        connection = _connect(path, read_only=read_only)
        if not read_only:
            _prepare(connection)
        _check(connection, path)
    except sqlite3.Error as error:
        # The low byte is the kind; the rest of the number says where it happened (sqlite.org/rescode.html).
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING:
            raise Transient(f"the ledger {path} cannot be used just now ({error})", advice=WAIT) from error
        raise Refusal(
            f"the ledger {path} cannot be used ({error})",
            advice="Restore it from a backup; see 'When the ledger is damaged' in the README. Do not delete it.",
        ) from error
    return Database(connection)


def _keep_for_us(path: Path) -> None:
    """Make the ledger's file, or close one that is open to others. What SQLite puts beside it gets the same mode.

    A file that is there is never opened and closed here: that would let go of every lock on it that this process
    has (sqlite.org/howtocorrupt.html 2.2).
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE))
    except FileExistsError:
        for file in (path, *(path.with_name(path.name + ending) for ending in ("-wal", "-shm"))):
            with suppress(FileNotFoundError, PermissionError):  # none there, or not ours to change
                file.chmod(MODE)
    except OSError as error:
        raise _unmakeable(path, error) from None


def _unmakeable(path: Path, error: OSError) -> Refusal | Transient:
    said = f"the ledger {path} cannot be made: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Transient(said, advice=WAIT)
    return Refusal(said, advice="Correct `path` in [ledger], or let the service's user write there.")


def _connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    mode = "ro" if read_only else "rwc"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=10,
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA synchronous = FULL")  # a fact that was believed must survive a power cut
    db.execute("BEGIN IMMEDIATE")
    if db.execute("PRAGMA user_version").fetchone()[0] == 0:
        for statement in _statements(files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")):
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("COMMIT")
    # Only now: it writes a header at once, and whoever looks meanwhile must find a whole ledger or an empty file.
    db.execute("PRAGMA journal_mode = WAL")


def _statements(script: str) -> Iterator[str]:
    """`executescript` would commit half a schema; one statement at a time stays inside the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _check(db: sqlite3.Connection, path: Path) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise Refusal(f"{path} is no ledger of xnat-watchd", advice="Correct `ledger.path`.")
    if version > VERSION:
        raise Refusal(
            f"the ledger {path} was written by a newer xnat-watchd (schema {version}, this one knows {VERSION})",
            advice="Install the newer version again.",
        )
    if (found := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise sqlite3.DatabaseError(found)


def text(moment: datetime) -> str:
    """Give a time as the ledger writes it: UTC, microseconds, sortable as text."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def moment(written: str | None) -> datetime | None:
    """Read a time as the ledger writes it."""
    return datetime.fromisoformat(written) if written else None
