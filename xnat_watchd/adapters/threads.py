"""Threads that are woken, never polled: a bell to ring, and loops that stop together."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Bell:
    """Wakes whoever waits on it; what rang before the wait is heard too."""

    def __init__(self) -> None:
        self._rung = threading.Event()

    def ring(self) -> None:
        """Wake the one who waits, or who will wait next."""
        self._rung.set()

    def wait(self, seconds: float | None) -> bool:
        """Wait until it rings or the time has passed; say whether it rang."""
        rung = self._rung.wait(seconds)
        self._rung.clear()
        return rung


class Loop(threading.Thread):
    """Calls `turn` again and again, waiting in between for as long as `turn` says, or until its bell rings.

    A turn that raises ends the loop and stops the whole process: a service with a dead thread must not look alive.
    """

    def __init__(
        self,
        name: str,
        turn: Callable[[], float | None],
        stop: threading.Event,
        on_end: Callable[[], None],
        bell: Bell | None = None,
    ) -> None:
        super().__init__(name=name)
        self.bell = bell or Bell()
        self.failed = False
        self._turn, self._stop_all, self._on_end = turn, stop, on_end

    def run(self) -> None:
        """Turn until all is to stop."""
        self.failed = True
        try:
            while not self._stop_all.is_set():
                self.bell.wait(self._turn())
            self.failed = False
        finally:
            self._on_end()
