"""The SQLite file of the ledger: it is made, opened, upgraded and written to here."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

from xnat_watchd.adapters.files.syncing import sync_folder
from xnat_watchd.adapters.ledger.database import PATIENCE, VERSION, OlderSchema, text
from xnat_watchd.adapters.ledger.known_rows import KnownRows
from xnat_watchd.core.errors import LedgerUnusable, NoRoom, Occupied, Refusal

UPGRADES = ("upgrade-2.sql", "upgrade-3.sql")  #: the first upgrades version 1 of the schema to 2, and so on
APPLICATION = 0x584E5744  #: "XNWD", kept in the file as `application_id`

_DAMAGED = "Restore it from a backup; see 'When the ledger is damaged' in the documentation. Do not delete it."
_NOT_OURS = "Give the service's user the right to read and write it and its folder, on a disk that takes writes."
_HELD = "Find out which one with `fuser`, and end it. Work then goes on by itself."
_FULL = "Free some space on its disk. Work then goes on by itself."

_TROUBLE: dict[int, tuple[type[Refusal], str, str]] = {
    sqlite3.SQLITE_BUSY: (Occupied, "is held by another program", _HELD),
    sqlite3.SQLITE_LOCKED: (Occupied, "is held by another program", _HELD),
    sqlite3.SQLITE_READONLY: (Refusal, "cannot be written to", _NOT_OURS),
    sqlite3.SQLITE_CANTOPEN: (Refusal, "cannot be opened", _NOT_OURS),
    sqlite3.SQLITE_PERM: (Refusal, "cannot be opened", _NOT_OURS),
}
"""What SQLite's primary result codes mean for us (rescode.html). After any other the file cannot be trusted."""

NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_WRITE})
"""SQLite's codes for a full disk: when it writes, when it extends its shared index, when the system reports it."""


class SqliteDatabase(KnownRows):
    """One connection that all threads share behind a lock. Every change is on the disk before it counts.

    Raises `LedgerUnusable` when the file cannot be read or written: then nothing can be done safely.
    """

    shared: ClassVar[bool] = False
    station = ""
    violations: ClassVar[tuple[type[Exception], ...]] = (sqlite3.IntegrityError, OverflowError)

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        super().__init__()
        self._db, self._path = connection, path
        self._version: int | None = None
        self.connections = 1
        self._wal = path.with_name(f"{path.name}-wal")
        self._files: dict[Path, tuple[int, int]] = {}
        self.close = connection.close
        self.must_be_there()

    def must_be_there(self) -> None:
        """Raise `LedgerUnusable` if the files were removed, replaced or cut since they were opened.

        SQLite goes on writing to a file that has no name any more. The next start would know nothing of that.
        """
        for file in (self._path, self._wal):
            before = self._files.get(file)
            try:
                seen = file.stat()
                now = (seen.st_dev, seen.st_ino) if seen.st_size or file != self._path else None
            except FileNotFoundError:
                now = None
            if before not in (None, now):
                raise LedgerUnusable(
                    f"the ledger {self._path} was removed, replaced or cut while we worked with it",
                    advice=_DAMAGED, passes=False,
                )  # fmt: skip
            if now is not None:
                self._files[file] = now

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction that is written completely or not at all. Raises `NoRoom` when the disk is full.

        Within another one of the same thread it is part of that: several changes are then written together, or none.
        """
        with self._lock:
            if self._db.in_transaction:
                yield self._db
            else:
                with self._transaction() as db:
                    yield db

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with _told(self._path):
            try:
                self._db.execute("BEGIN IMMEDIATE")
                self.must_be_there()
                yield self._db
                self._db.execute("COMMIT")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode not in NO_ROOM:
                    raise
                raise NoRoom("the ledger's disk is full", detail=str(error)) from error
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def load(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Write many rows of a table, within a change."""
        places = ", ".join("?" * len(columns))
        self._db.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)

    def renew_statistics(self, tables: Iterable[str]) -> None:
        """Do nothing: the plans of SQLite are made without statistics."""

    def continue_numbers(self, table: str, column: str, after: int = 0) -> None:
        """Have new rows of a table get numbers after `after`. After the greatest that there is they get them anyway."""
        del column
        numbered = self._db.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (after, table))
        if after and not numbered.rowcount:
            self._db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?,?)", (table, after))

    def alone(self) -> AbstractContextManager[None]:
        """Hold nothing; see `Database.alone`."""
        return nullcontext()

    def must_take_writes(self) -> None:
        """Raise `LedgerUnusable` if the file may only be read. SQLite reports that at the first write, not earlier."""
        with suppress(NoRoom), self.change() as db:
            db.execute(f"PRAGMA user_version = {VERSION}")

    def version(self) -> tuple[int, int]:
        """Return what becomes another value with each change, by this program or another. No table is read."""
        self.must_be_there()
        row = self.row("PRAGMA data_version")
        return int(row[0]) if row else 0, self._db.total_changes

    def changed(self) -> bool:
        """Return whether another program has written since the last call; False at the first call."""
        version, _ = self.version()
        before, self._version = self._version, version
        return before not in (None, version)

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Return all rows of a query."""
        with self._lock, _told(self._path):
            return self._db.execute(sql, values).fetchall()

    def row(self, sql: str, *values: object, **named: object) -> sqlite3.Row | None:
        """Return the first row of a query, or None. Its values stand in order, or are named; never both."""
        with self._lock, _told(self._path):
            first: sqlite3.Row | None = self._db.execute(sql, named or values).fetchone()
            return first

    def history(self) -> str:
        """Return nothing: a file has one history."""
        return ""

    def remember(self, question: str, *values: object) -> None:
        """Do nothing: there is one connection, and `must_be_there` knows the file."""

    def forget(self) -> None:
        """Do nothing."""

    def now(self) -> datetime:
        """Return the time by the clock of this machine, which has the file."""
        return datetime.now(UTC)

    def in_transaction(self) -> bool:
        """Return whether a transaction is open."""
        return self._db.in_transaction


def open_sqlite(
    path: Path, *, read_only: bool = False, upgrade: bool = True, patience: float = PATIENCE, whole: bool = False
) -> SqliteDatabase:
    """Open the ledger; make it if there is none, upgrade it if it is older. Raises `Refusal` if it cannot be trusted.

    `upgrade` is False in a command that runs beside a service: that may be an older one, which knows only the older
    schema. `whole` checks the complete file, however long that takes: at the service's start, and if a person asks.
    """
    with ExitStack() as stack:
        try:
            if not read_only:
                _make(path)
                _keep_private(path)
            connection = _connect(path, "ro" if read_only else "rw", patience)
            stack.callback(connection.close)
            version = _check(connection, path, whole=whole)
            if not read_only:
                _prepare(connection)
            if version < VERSION:
                if read_only or not upgrade:
                    raise _older(path, version)
                _upgrade(connection, version)
        except sqlite3.Error as error:
            kind, what, advice = _meaning(error)
            raise kind(f"the ledger {path} {what}", advice=advice) from error
        except OSError as error:
            raise _unmakeable(path, error) from None
        stack.pop_all()
        return SqliteDatabase(connection, path)


# -- making ------------------------------------------------------------------------------------------------


def _make(path: Path) -> None:
    """Make a ledger if there is none. It gets its name when it is complete, so an empty file is a damaged ledger."""
    path = path.resolve()  # the path may be a link to a file that is still to be made
    begun = f".{path.name}.new-"
    if not path.exists():
        handle, name = tempfile.mkstemp(prefix=begun, dir=path.parent)  # for us alone from the first byte
        os.close(handle)
        with closing(_connect(Path(name), "rw", PATIENCE)) as db:
            _run(db, "schema.sql", VERSION)
        with suppress(FileExistsError, FileNotFoundError):  # another program was quicker: its ledger counts
            os.link(name, path)
        sync_folder(path.parent)
    for left in path.parent.iterdir():  # left by us, or by a program that was killed here
        if left.name.startswith(begun):
            left.unlink(missing_ok=True)


def _keep_private(path: Path) -> None:
    """Make a ledger of an earlier version private. The files that SQLite makes beside it get the same mode."""
    for part in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with suppress(FileNotFoundError, PermissionError):
            if part.stat().st_mode & 0o077:
                part.chmod(0o600)


def _unmakeable(path: Path, error: OSError) -> Refusal:
    said = f"the ledger {path} cannot be made: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Occupied(said, advice=_FULL)
    return Refusal(said, advice=_NOT_OURS)


# -- opening -----------------------------------------------------------------------------------------------


def _connect(path: Path, mode: str, patience: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=patience,
    )
    connection.row_factory = sqlite3.Row
    connection.create_function("database_now", 1, _database_now)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _database_now(seconds: float) -> str:
    """Return the time of the database's clock so many seconds from now; here that is the clock of the host."""
    return text(datetime.now(UTC) + timedelta(seconds=seconds))


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode = WAL")  # readers do not wait for writers
    db.execute("PRAGMA synchronous = FULL")  # a recorded fact must survive a power cut


def _check(db: sqlite3.Connection, path: Path, *, whole: bool) -> int:
    """Return the schema version; raise if the file is no ledger of ours, is newer or (`whole`) is damaged."""
    if path.stat().st_size == 0:
        raise sqlite3.DatabaseError("it is empty")
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise Refusal(f"{path} is no ledger of xnat-watchd", advice="Correct `ledger.path`.")
    if version > VERSION:
        raise Refusal(
            f"the ledger {path} was written by a newer xnat-watchd (schema {version}, this one knows {VERSION})",
            advice="Install the newer version again.",
        )
    if whole and (found := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise sqlite3.DatabaseError(found)
    return version


def _meaning(error: sqlite3.Error) -> tuple[type[Refusal], str, str]:
    code = getattr(error, "sqlite_errorcode", None)  # None if we raised it ourselves
    if code in NO_ROOM:
        return Occupied, "has no room left on its disk", _FULL
    damaged = (Refusal, f"cannot be used ({error})", _DAMAGED)
    return damaged if code is None else _TROUBLE.get(code & 0xFF, damaged)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Raise `LedgerUnusable` for an error of SQLite. What violates the schema is a bug of ours and passes as it is."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise
    except sqlite3.Error as error:
        kind, what, advice = _meaning(error)
        raise LedgerUnusable(f"the ledger {path} {what}", advice=advice, passes=kind is Occupied) from error


# -- upgrading ---------------------------------------------------------------------------------------------


def _older(path: Path, version: int) -> OlderSchema:
    return OlderSchema(
        f"the ledger {path} is of an older xnat-watchd (schema {version}, this one knows {VERSION})",
        advice="Restart the service: it brings the ledger up to date.",
    )


def _upgrade(db: sqlite3.Connection, version: int) -> None:
    """Upgrade the schema, one version after another, each completely or not at all."""
    db.execute("PRAGMA foreign_keys = OFF")  # tables are replaced while others refer to them
    for number in range(version, VERSION):
        _run(db, UPGRADES[number - 1], number + 1)
    db.execute("PRAGMA foreign_keys = ON")


def _run(db: sqlite3.Connection, script: str, version: int) -> None:
    """Run a script in one transaction, and write the version that it leads to.

    Another program may have run it while we waited for the lock: then nothing is left to do.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        if int(db.execute("PRAGMA user_version").fetchone()[0]) < version:
            for statement in _statements(files(__package__).joinpath(script).read_text(encoding="utf-8")):
                db.execute(statement)
            if (broken := db.execute("PRAGMA foreign_key_check").fetchone()) is not None:
                raise sqlite3.DatabaseError(f"{script}: a reference from {broken[0]} leads nowhere")
            db.execute(f"PRAGMA application_id = {APPLICATION}")
            db.execute(f"PRAGMA user_version = {version}")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _statements(script: str) -> Iterator[str]:
    """Yield the statements one by one: they stay inside the transaction, which `executescript` would commit first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
