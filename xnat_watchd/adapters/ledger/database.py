"""What the parts of the ledger ask of a database. Each engine has a module of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol

from xnat_watchd.core.errors import Refusal

VERSION = 3  #: of the schema
PATIENCE = 30.0  #: seconds to wait for another program that holds the ledger; systemd allows more for a start


WRONG_LEDGER = (
    "Correct `url` in [ledger], or have the database restored. Only if that ledger is lost for good: remove the file"
    " `.xnat-watchd-root` from the work folder, and start again."
)


class OlderSchema(Refusal):
    """The ledger has an older schema: only the program that uses it alone may upgrade it."""


class Row(Protocol):
    """A row of an answer. Its values are texts, whole numbers, floats, bytes or None; a truth is 1 or 0."""

    def __getitem__(self, column: str | int, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...
    def keys(self) -> list[str]:
        """Return the names of the columns."""


class Cursor(Protocol):
    """What a statement has found or done."""

    @property
    def rowcount(self) -> int:
        """Return how many rows were changed."""

    def __iter__(self) -> Iterator[Any]: ...
    def fetchone(self) -> Any:
        """Return the next row, or None."""

    def fetchall(self) -> list[Any]:
        """Return all rows."""


class Transaction(Protocol):
    """What is written to within a transaction. A statement of ours is one text for all engines.

    Its values stand in order (`?`, `?1`) or are named (`:name`).
    """

    def execute(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = (), /) -> Cursor:
        """Carry out a statement."""

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> object:
        """Carry out a statement once for each of these rows of values."""


class Database(Protocol):
    """What holds the ledger. Threads may share it. Every change is on the disk before it counts.

    Raises `LedgerUnusable` when it cannot be read or written: then nothing can be done safely.
    """

    shared: ClassVar[bool]  #: whether several stations may work on it

    station: str  #: the name of the station that opened it; empty: the only one, or none

    connections: int  #: how often a connection was made: after one was lost, it is unknown what the last change became

    @property
    def violations(self) -> tuple[type[Exception], ...]:
        """Return what the engine raises for values that contradict the schema."""

    def change(self) -> AbstractContextManager[Transaction]:
        """Open a transaction that is written completely or not at all, and excludes every other one.

        Within another one of the same thread it is part of that: several changes are then written together, or none.
        Raises `NoRoom` when the disk is full.
        """

    def rows(self, sql: str, *values: object) -> Sequence[Row]:
        """Return all rows of a query, or of a statement that stands alone: nobody waits for it or is told of it."""

    def row(self, sql: str, *values: object, **named: object) -> Row | None:
        """Return the first row of a query, or None. Its values stand in order, or are named; never both."""

    def known_row(self, sql: str, *values: object) -> Row | None:
        """Return the same as `row` for a question that is asked all the time: it is read again only after a change."""

    def version(self) -> tuple[int, int]:
        """Return what becomes another value with each change, by this program or another. No table is read."""

    def changed(self) -> bool:
        """Return whether another program has written since the last call; False at the first call."""

    def history(self) -> str:
        """Return what tells this history of commits from another one, which may lack some that were confirmed.

        From then on each new connection must be one to the same history, before anything else is asked on it: else
        `OtherHistory` is raised.
        """

    def remember(self, question: str, *values: object) -> None:
        """Have each new connection answer this question with a row, too; it replaces the question before."""

    def forget(self) -> None:
        """Ask that question no more: each connection to the same history is taken again."""

    def now(self) -> datetime:
        """Return the time by the clock of the database, which is one for all stations."""

    def load(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Write many rows of a table by the quickest way of the engine, within a change."""

    def renew_statistics(self, tables: Iterable[str]) -> None:
        """Have the planner know how many rows these tables have, within a change that writes or reads very many."""

    def continue_numbers(self, table: str, column: str, after: int = 0) -> None:
        """Have new rows of a table get numbers after `after` and all that were written by value, within a change."""

    def must_take_writes(self) -> None:
        """Raise `LedgerUnusable` if it may only be read."""

    def alone(self) -> AbstractContextManager[None]:
        """Hold what one program of all may hold that applies share tables. Raise `Occupied` if another one does.

        Whoever dies holds it no more. A file has no other station: the programs of its host have a lock of their own.
        """

    def close(self) -> None:
        """End the connection."""


def text(moment: datetime) -> str:
    """Return a time in the ledger's form: UTC, with microseconds, sortable as text."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def moment(written: str | None) -> datetime | None:
    """Read a time in the ledger's form; None stays None."""
    return datetime.fromisoformat(written) if written else None
