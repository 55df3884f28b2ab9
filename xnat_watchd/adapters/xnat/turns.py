"""When each gateway of a process may import. Every wait is a wait on the stop event."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from xnat_watchd.core.errors import Stopped
from xnat_watchd.core.ports import Clock

POLL_INTERVAL = 0.05  #: seconds between two checks whether it is our turn
IMPORT_GAP = timedelta(milliseconds=50)
"""Time between the starts of two imports: two in one millisecond share an upload cache and mix (F61, F68, F149)."""


def stopping(*, spoke: bool = False) -> Stopped:
    """Return the error of a request that is ended because the program stops."""
    error = Stopped("the program is stopping")
    error.spoke = spoke
    return error


def unheard(*, spoke: bool = False) -> Stopped:
    """Return the error of a request that is not begun, or is ended, because other stations may act on our work."""
    error = Stopped(
        "the ledger that the stations share did not answer for too long",
        advice="Nothing to do: it goes on once the database of the ledger answers.",
    )
    error.spoke = spoke
    return error


@contextmanager
def locked(lock: threading.Lock, stop: threading.Event) -> Iterator[None]:
    """Hold a lock. Raise `Stopped` if the program stops while we wait for it."""
    while not lock.acquire(blocking=False):
        if stop.wait(POLL_INTERVAL):
            raise stopping()
    try:
        yield
    finally:
        lock.release()


class Turns:
    """Whose turn it is to import: several side by side, 50 ms between their starts, or one alone."""

    def __init__(self, clock: Clock, stop: threading.Event) -> None:
        self._clock = clock
        self._stop = stop
        self.among_stations: Callable[[], float] = lambda: 0.0
        """Reserves a start among all stations of a shared ledger, and returns in how many seconds it is."""
        self._lock = threading.Lock()
        self._running = 0
        self._waiting_alone = 0
        self._last_start: float | None = None

    @contextmanager
    def importing(self, *, alone: bool, waiting: Callable[[], None]) -> Iterator[None]:
        """Wait for our turn, and hold it for the block. `waiting` is called repeatedly during the wait."""
        with self._queued(alone=alone):
            while not self._try_to_enter(alone=alone):
                waiting()
                if self._stop.wait(POLL_INTERVAL):
                    raise stopping()
        try:
            yield
        finally:
            with self._lock:
                self._running = self._running - 1 if self._running > 0 else 0

    def wait_for_gap(self, *, among_stations: bool) -> None:
        """Reserve the next free start time, and wait for it; `among_stations`: one that is free at all stations."""
        ahead = self.among_stations() if among_stations else 0.0
        with self._lock:
            now = self._clock.monotonic()
            latest = now if self._last_start is None else self._last_start + IMPORT_GAP.total_seconds()
            self._last_start = start = max(now + ahead, latest)
        if self._stop.wait(start - now):
            raise stopping()

    @contextmanager
    def _queued(self, *, alone: bool) -> Iterator[None]:
        """Count one that waits to be alone. Meanwhile nobody else enters, or it would wait for ever."""
        with self._lock:
            self._waiting_alone += alone
        try:
            yield
        finally:
            with self._lock:
                self._waiting_alone -= alone

    def _try_to_enter(self, *, alone: bool) -> bool:
        with self._lock:
            free = self._running == 0 if alone else self._running >= 0 and not self._waiting_alone
            if free:
                self._running = -1 if alone else self._running + 1
            return free
