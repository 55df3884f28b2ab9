"""What XNAT has said a moment ago. The next step of the same study need not ask it again."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

from xnat_watchd.core.delivery import Item, PrearchiveRow, Subject
from xnat_watchd.core.ports import Clock

STAYS_TRUE = 10.0  #: seconds
ROW_STAYS_TRUE = 3.0
"""Seconds between the proof of a row and its archiving. A worker goes on with the same study unless others wait."""

T = TypeVar("T")


class RecentAnswers:
    """Answers that are some seconds old at most. Each is believed once, so a second attempt asks anew.

    All workers share one, so that none believes what another has made untrue.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows = _Answers[PrearchiveRow](clock, ROW_STAYS_TRUE)  #: by the study's key
        self._subjects = _Answers[Subject](clock)  #: by accession ID

    def now(self) -> float:
        """Return the moment of a question that is about to be asked."""
        return self._clock.monotonic()

    def remember_row(self, item: Item, row: PrearchiveRow) -> None:
        """Remember that the study has just been proved to lie in this row, whole and alone."""
        self._rows.put(item.key, row, self.now())

    def row(self, item: Item) -> PrearchiveRow | None:
        """Return the row of a study that lies there whole and alone.

        None if XNAT must be asked: after some seconds, and after anything has gone wrong with the study.
        """
        row = self._rows.take(item.key)
        return row if row is not None and row.place == item.place and not item.in_doubt else None

    def remember_subject(self, subject: Subject, asked: float) -> None:
        """Remember all that XNAT shows of a subject."""
        self._subjects.put(subject.id, subject, asked)

    def subject(self, accession: str) -> Subject | None:
        """Return what XNAT shows of a subject, and forget it: something is about to be written to it."""
        return self._subjects.take(accession)


class _Answers(Generic[T]):
    """Answers of one kind, with the moment of the question."""

    def __init__(self, clock: Clock, stays: float = STAYS_TRUE) -> None:
        self._clock, self._stays = clock, stays
        self._lock = threading.Lock()
        self._known: dict[Hashable, tuple[T, float]] = {}

    def put(self, key: Hashable, value: T, asked: float) -> None:
        with self._lock:
            self._known = {one: said for one, said in self._known.items() if self._is_recent(said[1])}
            self._known[key] = value, asked

    def take(self, key: Hashable) -> T | None:
        """Return an answer that is recent, and forget it."""
        with self._lock:
            said = self._known.pop(key, None)
        return said[0] if said is not None and self._is_recent(said[1]) else None

    def _is_recent(self, asked: float) -> bool:
        return self._clock.monotonic() - asked <= self._stays
