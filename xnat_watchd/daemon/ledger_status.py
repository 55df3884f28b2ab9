"""The part of the status that the ledger tells. It is read again only when it may have become another."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from xnat_watchd.core.ports import Clock
from xnat_watchd.core.states import ENDED
from xnat_watchd.operator.status import Snapshot

WHILE_GOING_ON = timedelta(seconds=10)  #: for how long a reading holds without a change: it says how long things last
WHILE_IDLE = timedelta(minutes=10)  #: the same where every study has ended


class LedgerStatus:
    """Keeps the last reading. For one thread at a time."""

    def __init__(self, read: Callable[[], Snapshot], version: Callable[[], object], clock: Clock) -> None:
        self._read, self._version, self._clock = read, version, clock
        self._known: tuple[object, ...] = ()
        self._until = 0.0
        self._last: Snapshot = {}

    def snapshot(self) -> Snapshot:
        """Return the reading: a new one after a change of the ledger, on another day, and after some time."""
        known, now = (self._version(), self._clock.now().astimezone().date()), self._clock.monotonic()
        if known != self._known or now >= self._until:
            self._last = self._read()
            holds = WHILE_GOING_ON if _any_goes_on(self._last) else WHILE_IDLE
            self._known, self._until = known, now + holds.total_seconds()
        return self._last


def _any_goes_on(snapshot: Snapshot) -> bool:
    return any(standing not in ENDED for counts in snapshot["studies"].values() for standing in counts)
