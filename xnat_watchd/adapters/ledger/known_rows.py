"""Questions that are asked all the time, and whose answers are remembered until something changes."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

from xnat_watchd.adapters.ledger.database import Row


class KnownRows(ABC):
    """The part of every `Database` that remembers. Its lock is that of the connection, too."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._rows_of: tuple[int, int] | None = None  #: the version that `_known` was read from
        self._known: dict[object, Row | None] = {}

    @abstractmethod
    def row(self, sql: str, *values: object) -> Row | None:
        """Return the first row of a query, or None."""

    @abstractmethod
    def version(self) -> tuple[int, int]:
        """Return what becomes another value with each change."""

    @abstractmethod
    def in_transaction(self) -> bool:
        """Return whether a transaction is open."""

    def known_row(self, sql: str, *values: object) -> Row | None:
        """Return the same as `row` for a question that is asked all the time: it is read again only after a change.

        Nothing is remembered within a transaction: it may be taken back, which `version` does not show.
        """
        with self._lock:
            if self.in_transaction():
                return self.row(sql, *values)
            version = self.version()
            if version != self._rows_of:
                self._rows_of, self._known = version, {}
            question = (sql, values)
            if question not in self._known:
                self._known[question] = self.row(sql, *values)
            return self._known[question]
