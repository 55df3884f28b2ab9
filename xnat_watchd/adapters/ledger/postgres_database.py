"""The ledger in PostgreSQL, which many stations share: it is made, opened and written to here.

SQLite lets one program write at a time. So does this: each change takes one lock in the database. Statements are those
of SQLite; only their placeholders and hints are translated. A function that PostgreSQL lacks is made in postgres.sql.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from threading import get_ident
from typing import Any, ClassVar

import psycopg
from psycopg import errors
from psycopg.conninfo import make_conninfo

from xnat_watchd.adapters.ledger.database import Row
from xnat_watchd.adapters.ledger.known_rows import KnownRows
from xnat_watchd.adapters.ledger.postgres_statements import in_order, translated
from xnat_watchd.adapters.ledger.postgres_values import adapt, row_maker
from xnat_watchd.core.errors import LedgerUnusable, NoRoom, Occupied, OtherHistory

SCHEMA = "xnat_watchd"  #: in which all of the ledger lies
CHANNEL = "xnat_watchd"  #: on which each change is told
LOCK = 0x584E5744  #: "XNWD": the advisory lock of who changes the ledger
SHARES = 1  #: likewise, with the first: of who applies share tables
CONNECTION = {
    "application_name": "xnat-watchd", "client_encoding": "UTF8", "connect_timeout": "10",
    "keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3", "tcp_user_timeout": "30000",
}  # fmt: skip
"""So that a cut line is noticed within half a minute (libpq, Parameter Key Words)."""

SESSION = {
    "search_path": SCHEMA, "default_transaction_isolation": "read committed", "timezone": "UTC", "datestyle": "ISO",
    "standard_conforming_strings": "on", "client_min_messages": "warning",
    "jit": "off",
    "idle_in_transaction_session_timeout": "30000", "tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3", "tcp_user_timeout": "30000",
}  # fmt: skip
"""What a session must have, whatever is set for the role or the database.

Each statement sees what was true when it began, so that who has waited for the lock sees what the one before it wrote.
The rest is CONNECTION at the other end: the server ends the change of a station that is gone, for which all wait.
"""

_WAIT = "Work goes on by itself once it can be reached. If it lasts, ask the database administrator."
ASK = "Ask the database administrator; see 'Many workstations' in the documentation."
_AT_ONCE = "Nothing to do: work goes on by itself at once."
_FULL = "Ask the database administrator for space on its disk. Work then goes on by itself."

_HISTORY = """
SELECT system_identifier || ':' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || ':' || d.oid || ':'
    || coalesce(to_regclass('xnat_watchd.deliveries')::OID::TEXT, '') AS name
FROM pg_control_system(), pg_database d WHERE d.datname = current_database()
"""
"""The server, its timeline, the database, and a table of it: what is restored beside has another number.

What pg_control_checkpoint() says of the timeline is true at the next checkpoint only.
"""


class PostgresDatabase(KnownRows):
    """One connection that all threads share behind a lock; a lost one is made again when it is next needed."""

    shared: ClassVar[bool] = True
    violations: ClassVar[tuple[type[Exception], ...]] = (errors.IntegrityError, errors.DataError)

    def __init__(self, url: str, *, read_only: bool, patience: float, station: str = "") -> None:
        super().__init__()
        self.station = station
        self._url, self._read_only, self._patience = url, read_only, patience
        self._depth, self._written, self._heard = 0, 0, 0  #: changes: open ones of this thread, our own, others'
        self._version: int | None = None
        self._history = ""  #: that each new connection must be to; empty: any
        self._witness: tuple[str, Sequence[object]] | None = None  #: what it must have a row for
        self._process = 0  #: of the server, for this connection
        self._alone: tuple[int, int] | None = None  #: thread that applies share tables, and the connection of its lock
        self.connections = 0
        self._db = self._connect()

    def close(self) -> None:
        """End the connection."""
        self._db.close()

    # Writing.

    @contextmanager
    def change(self) -> Iterator[PostgresDatabase]:
        """Open a transaction; see `Database.change`. Whether a lost one was written is unknown: ask the ledger."""
        with self._lock:
            if self._depth:
                yield self
                return
            with self._told():
                self._reconnect()
                self._depth = 1
                try:
                    self._db.execute(f"BEGIN; SELECT pg_advisory_xact_lock({LOCK})")
                    yield self
                    self._db.execute(f"NOTIFY {CHANNEL}; COMMIT")
                finally:
                    self._depth = 0
                    self._roll_back()

    def _roll_back(self) -> None:
        if not self._db.closed and self._db.info.transaction_status is not psycopg.pq.TransactionStatus.IDLE:
            with suppress(psycopg.OperationalError):  # a lost connection rolls back by itself
                self._db.execute("ROLLBACK")

    def execute(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = (), /) -> psycopg.Cursor[Row]:
        """Carry out a statement."""
        return _carried_out(self._db, sql, values)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> None:
        """Carry out a statement once for each of these rows of values."""
        text, names = translated(sql)
        psycopg.RawCursor(self._db).executemany(text.encode(), [in_order(row, names) for row in rows])

    def run(self, script: str) -> None:
        """Carry out a script of PostgreSQL."""
        self._db.execute(script.encode())

    def load(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Write many rows of a table, within a change: COPY is several times as quick as INSERT."""
        statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
        with self._db.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            for row in rows:
                copy.write_row(row)

    def renew_statistics(self, tables: Iterable[str]) -> None:
        """Have the planner know how many rows these tables have, within a change that writes or reads very many."""
        self._db.execute(f"ANALYZE {', '.join(tables)}".encode())

    def continue_numbers(self, table: str, column: str, after: int = 0) -> None:
        """Have new rows of a table get numbers after `after` and all that were written by value, within a change."""
        greatest = f"greatest((SELECT max({column}) FROM {table}), nextval(pg_get_serial_sequence($1, $2)), $3::BIGINT)"
        psycopg.RawCursor(self._db).execute(
            f"SELECT setval(pg_get_serial_sequence($1, $2), {greatest})".encode(), [table, column, after]
        )

    def must_take_writes(self) -> None:
        """Raise `LedgerUnusable` if it may only be read: it is a standby."""
        with self._lock, self._told():
            if self._db.execute("SHOW transaction_read_only").fetchone() != ("off",):
                raise LedgerUnusable("the ledger's database takes no writes", advice=ASK, passes=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock of who applies share tables, as long as the connection lasts; see `Database.alone`."""
        found = self.row(f"SELECT pg_try_advisory_lock({LOCK}, {SHARES}) AS held")
        if not found or not found["held"]:
            raise Occupied("another station applies its share tables just now", advice="It is tried again by itself.")
        self._alone = get_ident(), self.connections
        try:
            yield
        finally:
            is_held, self._alone = self._alone[1] == self.connections, None
            if is_held:
                self.row(f"SELECT pg_advisory_unlock({LOCK}, {SHARES})")

    # Reading.

    def rows(self, sql: str, *values: object) -> list[Row]:
        """Return all rows of a query."""
        with self._lock, self._told():
            self._reconnect()
            return self.execute(sql, values).fetchall()

    def row(self, sql: str, *values: object, **named: object) -> Row | None:
        """Return the first row of a query, or None. Its values stand in order, or are named; never both."""
        with self._lock, self._told():
            self._reconnect()
            return self.execute(sql, named or values).fetchone()

    def encoding(self) -> str:
        """Return in which encoding the database keeps texts."""
        return self._db.info.parameter_status("server_encoding") or ""

    def history(self) -> str:
        """Return what is another text after a promotion or a restore; see `Database.history`."""
        row = self.row(_HISTORY)
        self._history = str(row["name"]) if row else ""
        return self._history

    def remember(self, question: str, *values: object) -> None:
        """Remember a question; see `Database.remember`."""
        self._witness = question, values

    def forget(self) -> None:
        """Ask no question any more; see `Database.forget`."""
        self._witness = None

    def now(self) -> datetime:
        """Return the time by the clock of the database, which is one for all stations."""
        with self._lock, self._told():
            self._reconnect()
            now: datetime = self._db.execute("SELECT clock_timestamp()").fetchall()[0][0]
            return now

    def in_transaction(self) -> bool:
        """Return whether this thread is within a change."""
        return self._depth > 0

    def version(self) -> tuple[int, int]:
        """Return what becomes another value with each change. Nothing is asked: the database tells of changes."""
        with self._lock, self._told():
            self._reconnect()
            self._db.pgconn.consume_input()
            while notice := self._db.pgconn.notifies():
                self._hear(notice.be_pid)
            return self._written, self._heard + self.connections

    def changed(self) -> bool:
        """Return whether another program has written since the last call; False at the first call."""
        _, heard = self.version()
        before, self._version = self._version, heard
        return before not in (None, heard)

    def _hear(self, process: int) -> None:
        if process == self._process:
            self._written += 1
        else:
            self._heard += 1

    # The connection.

    def _reconnect(self) -> None:
        if self._db.closed and not self._depth:
            with ExitStack() as otherwise:
                otherwise.callback((db := self._connect()).close)
                self._must_be_the_same(db)
                otherwise.pop_all()
            self._db = db
        thread, connection = self._alone or (0, 0)
        if thread == get_ident() and connection != self.connections:  # another station may apply its tables by now
            raise LedgerUnusable("the turn to apply share tables went with a connection", advice=_WAIT, passes=True)

    def _must_be_the_same(self, db: psycopg.Connection[Any]) -> None:
        """Raise `OtherHistory` for a connection on which the database lacks what it had confirmed."""
        if not self._history:
            return
        found = _carried_out(db, _HISTORY).fetchone()
        if found is None or found["name"] != self._history:
            raise OtherHistory
        if self._witness and _carried_out(db, *self._witness).fetchone() is None:
            raise OtherHistory

    def _connect(self) -> psycopg.Connection[Any]:
        db = psycopg.connect(make_conninfo(self._url, **CONNECTION), autocommit=True)
        adapt(db)
        settings = self._settings()  # not as options of the connection, which pgbouncer does not take
        told = db.execute(
            f"SELECT {', '.join(['set_config(%s, %s, false)'] * len(settings))}, pg_backend_pid()".encode(),
            [word for setting in settings.items() for word in setting],
        ).fetchone()
        self._process = told[-1] if told else 0  # whose notices are ours: a pooler gives clients numbers of its own
        db.execute(f"LISTEN {CHANNEL}")
        db.add_notify_handler(lambda notice: self._hear(notice.pid))  # last: what comes before is heard as a connection
        self.connections += 1
        return db

    def _settings(self) -> Mapping[str, str]:
        only_read = {"default_transaction_read_only": "on"} if self._read_only else {}
        return {**SESSION, "lock_timeout": str(int(self._patience * 1000)), **only_read}

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raise `LedgerUnusable` for trouble of the database. What violates the schema is a fault of ours."""
        try:
            yield
        except errors.DiskFull as error:
            raise NoRoom("the disk of the ledger's database is full", detail=str(error), advice=_FULL) from error
        except (errors.ReadOnlySqlTransaction, errors.ObjectNotInPrerequisiteState) as error:  # the second: a standby
            raise LedgerUnusable("the ledger's database takes no writes", advice=ASK, passes=True) from error
        except errors.InsufficientPrivilege as error:
            raise LedgerUnusable("the ledger's user lacks a right in its database", advice=ASK, passes=True) from error
        except errors.FeatureNotSupported as error:
            self._db.close()  # so that all is planned anew in the next connection
            raise LedgerUnusable("the tables of the ledger were changed", advice=_AT_ONCE, passes=True) from error
        except errors.LockNotAvailable as error:
            raise LedgerUnusable("the ledger is held by another program", advice=_WAIT, passes=True) from error
        except (psycopg.OperationalError, errors.IdleInTransactionSessionTimeout) as error:
            raise LedgerUnusable(
                f"the ledger's database cannot be used ({first_line(error)})", advice=_WAIT, passes=True
            ) from error


def _carried_out(
    db: psycopg.Connection[Any], sql: str, values: Sequence[Any] | Mapping[str, Any] = (), /
) -> psycopg.Cursor[Row]:
    text, names = translated(sql)
    cursor = psycopg.RawCursor(db)
    cursor.row_factory = row_maker
    return cursor.execute(text.encode(), in_order(values, names))


def first_line(error: psycopg.Error) -> str:
    """Return the first line of what the database said: libpq puts no password into it."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
