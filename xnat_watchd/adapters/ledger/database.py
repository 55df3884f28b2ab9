"""The SQLite file under the ledger: how it is made, opened, upgraded and written to."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from xnat_watchd.adapters.files.copying import sync_folder
from xnat_watchd.core.errors import LedgerUnusable, NoRoom, Occupied, Refusal

UPGRADES = ("upgrade-2.sql", "upgrade-3.sql")  #: the first leads from version 1 of the schema to 2, and so on
VERSION = 1 + len(UPGRADES)  #: of the schema, kept in the file as `user_version`
APPLICATION = 0x584E5744  #: "XNWD", kept in the file as `application_id`
PATIENCE = 30.0  #: seconds to wait for another program that holds the ledger; systemd gives us more

_DAMAGED = "Restore it from a backup; see 'When the ledger is damaged' in the README. Do not delete it."
_NOT_OURS = "Give the service's user the right to read and write it and its folder, on a disk that takes writes."
_HELD = "Find out which with `fuser`, and end that one; then work goes on by itself."
_FULL = "Free some space on its disk; then work goes on by itself."

_TROUBLE: dict[int, tuple[type[Refusal], str, str]] = {
    sqlite3.SQLITE_BUSY: (Occupied, "is held by another program", _HELD),
    sqlite3.SQLITE_LOCKED: (Occupied, "is held by another program", _HELD),
    sqlite3.SQLITE_READONLY: (Refusal, "cannot be written to", _NOT_OURS),
    sqlite3.SQLITE_CANTOPEN: (Refusal, "cannot be opened", _NOT_OURS),
    sqlite3.SQLITE_PERM: (Refusal, "cannot be opened", _NOT_OURS),
}
"""What SQLite's primary result codes mean for us (rescode.html). Of any other the file is not to be trusted."""

NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_WRITE})
"""How SQLite says that the disk is full: when it writes, when it makes room for its index, when the system says so."""


class OlderSchema(Refusal):
    """The ledger is of an older version: whoever has it alone may bring it up to date."""


class Database:
    """One connection, shared by all threads behind a lock; every change is durable before it is believed.

    `LedgerUnusable` when the file cannot be read or written just now: then nothing can be done in order.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._lock = threading.RLock()
        self._db, self._path = connection, path
        self._version: int | None = None
        self._files: dict[Path, tuple[int, int]] = {}
        self.close = connection.close
        self.must_be_there()

    def must_be_there(self) -> None:
        """Raise `LedgerUnusable` where the files were removed, replaced or cut since they were opened.

        SQLite goes on with a file that has no name any more: what is written there, the next start knows nothing of.
        """
        for file in (self._path, self._path.with_name(f"{self._path.name}-wal")):
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
        """Provide a transaction that is written whole or not at all; `NoRoom` when the disk is too full for it."""
        with self._lock, _told(self._path):
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

    def must_take_writes(self) -> None:
        """Raise `LedgerUnusable` if the file may only be read. SQLite reports that at the first write, not earlier."""
        with suppress(NoRoom), self.change() as db:
            db.execute(f"PRAGMA user_version = {VERSION}")

    def changed(self) -> bool:
        """Return whether somebody else has written since this was asked last; the first time, no."""
        self.must_be_there()
        row = self.row("PRAGMA data_version")
        version = int(row[0]) if row else 0
        before, self._version = self._version, version
        return before not in (None, version)

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Return all rows of a question."""
        with self._lock, _told(self._path):
            return self._db.execute(sql, values).fetchall()

    def row(self, sql: str, *values: object) -> sqlite3.Row | None:
        """Return the first row of a question, or None."""
        with self._lock, _told(self._path):
            first: sqlite3.Row | None = self._db.execute(sql, values).fetchone()
            return first


def open_database(
    path: Path, *, read_only: bool = False, upgrade: bool = True, patience: float = PATIENCE, whole: bool = False
) -> Database:
    """Open the ledger, make it if there is none, upgrade it if it is older; `Refusal` when it cannot be trusted.

    `upgrade` False is for whoever comes beside a service: it may be an older one, which knows the older ledger only.
    `whole` reads all of it, which takes as long as that takes: at the service's start, and where a person asks.
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
        return Database(connection, path)


# -- making ------------------------------------------------------------------------------------------------


def _make(path: Path) -> None:
    """Make a ledger where none is. It gets its name when it is whole: one that is empty is a damaged one."""
    path = path.resolve()  # a link may lead to where it is to be
    begun = f".{path.name}.new-"
    if not path.exists():
        handle, name = tempfile.mkstemp(prefix=begun, dir=path.parent)  # for us alone from the first byte
        os.close(handle)
        with closing(_connect(Path(name), "rw", PATIENCE)) as db:
            _run(db, "schema.sql", VERSION)
        with suppress(FileExistsError, FileNotFoundError):  # somebody else was quicker, and theirs counts
            os.link(name, path)
        sync_folder(path.parent)
    for left in path.parent.iterdir():  # by us, or by one that was killed over it
        if left.name.startswith(begun):
            left.unlink(missing_ok=True)


def _keep_private(path: Path) -> None:
    """Take a ledger away from others that an earlier version made. What SQLite lays beside it gets its mode."""
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
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode = WAL")  # those who look do not wait for those who write
    db.execute("PRAGMA synchronous = FULL")  # a fact that was believed must survive a power cut


def _check(db: sqlite3.Connection, path: Path, *, whole: bool) -> int:
    """Return the version of a ledger that is ours, and whole as far as that is asked."""
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
    code = getattr(error, "sqlite_errorcode", None)  # none where it is our own
    if code in NO_ROOM:
        return Occupied, "has no room left on its disk", _FULL
    damaged = (Refusal, f"cannot be used ({error})", _DAMAGED)
    return damaged if code is None else _TROUBLE.get(code & 0xFF, damaged)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Provide in our own words that the file cannot be used. What breaks a rule of the schema is a fault of ours."""
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
        advice="Start the service anew: it brings the ledger up to date.",
    )


def _upgrade(db: sqlite3.Connection, version: int) -> None:
    """Bring it up to date, one version after another, each whole or not at all."""
    db.execute("PRAGMA foreign_keys = OFF")  # tables are made anew under the references to them
    for number in range(version, VERSION):
        _run(db, UPGRADES[number - 1], number + 1)
    db.execute("PRAGMA foreign_keys = ON")


def _run(db: sqlite3.Connection, script: str, version: int) -> None:
    """Run a script of ours in one transaction, with the version that it leads to.

    Somebody else may have run it while we waited for our turn.
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
    """`executescript` would commit half a schema; one statement at a time stays inside the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


# -- times -------------------------------------------------------------------------------------------------


def text(moment: datetime) -> str:
    """Return a time as the ledger writes it: UTC, microseconds, sortable as text."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def moment(written: str | None) -> datetime | None:
    """Read a time as the ledger writes it."""
    return datetime.fromisoformat(written) if written else None
