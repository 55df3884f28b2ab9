"""A database of the ledger that notes how long each statement takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any, ClassVar

from xnat_watchd.adapters.ledger.database import Cursor, Database, Transaction


class MeasuredDatabase:
    """Passes everything on. A commit counts as a statement: it is what waits for the disk."""

    shared: ClassVar[bool] = True

    def __init__(self, real: Database) -> None:
        self._real = real
        self.took = list[float]()  #: seconds of each statement
        self.commits = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    @contextmanager
    def change(self) -> Iterator[Transaction]:
        """Open a transaction; see `Database.change`."""
        with self._real.change() as db:
            yield _MeasuredTransaction(db, self.took)
            ended = perf_counter()
        self.took.append(perf_counter() - ended)
        self.commits += 1

    def rows(self, sql: str, *values: object) -> Any:
        """Return all rows of a query."""
        began = perf_counter()
        found = self._real.rows(sql, *values)
        self.took.append(perf_counter() - began)
        return found

    def row(self, sql: str, *values: object, **named: object) -> Any:
        """Return the first row of a query, or None."""
        began = perf_counter()
        found = self._real.row(sql, *values, **named)
        self.took.append(perf_counter() - began)
        return found


class _MeasuredTransaction:
    def __init__(self, real: Transaction, took: list[float]) -> None:
        self._real, self._took = real, took

    def execute(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = (), /) -> Cursor:
        """Carry out a statement."""
        began = perf_counter()
        answer = self._real.execute(sql, values)
        self._took.append(perf_counter() - began)
        return answer

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> object:
        """Carry out a statement once for each of these rows of values."""
        began = perf_counter()
        answer = self._real.executemany(sql, rows)
        self._took.append(perf_counter() - began)
        return answer
