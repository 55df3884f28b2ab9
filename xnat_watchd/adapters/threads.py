"""Threads that are woken and never poll: a wake-up call, and loops that stop together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from xnat_watchd.core.errors import Stopped

LOOK = 0.2  #: seconds between two looks at whether everything is to stop


class WakeUp:
    """Wakes the thread that waits on it. A call that comes before the wait counts too."""

    def __init__(self) -> None:
        self._called = threading.Event()

    def set(self) -> None:
        """Wake the thread that waits, or the next one that will wait."""
        self._called.set()

    def wait(self, seconds: float | None) -> bool:
        """Wait until the call comes or the time has passed. Return whether the call came."""
        called = self._called.wait(seconds)
        self._called.clear()
        return called


class Loop(threading.Thread):
    """Calls `turn` again and again. Waits in between for as many seconds as `turn` returns, or until it is woken.

    A turn that raises ends the loop and stops the whole process: a service with a dead thread must not look alive.
    """

    def __init__(
        self,
        name: str,
        turn: Callable[[], float | None],
        stop: threading.Event,
        on_end: Callable[[], None],
        wake_up: WakeUp | None = None,
    ) -> None:
        super().__init__(name=name)
        self.wake_up = wake_up or WakeUp()
        self.failed = False
        self._turn, self._stop_all, self._on_end = turn, stop, on_end

    def run(self) -> None:
        """Take turns until everything is told to stop."""
        self.failed = True
        try:
            while not self._stop_all.is_set():
                self.wake_up.wait(self._turn())
            self.failed = False
        finally:
            self._on_end()


class EndedByFault(Exception):
    """A thread has ended by an error that nobody expected. The log has told of it."""


def until_stop(act: Callable[[], None], stop: threading.Event, errors: tuple[type[Exception], ...]) -> None:
    """Act in a thread of its own, which is abandoned at a stop: it waits for others and cannot be interrupted.

    Raise `Stopped` then, else what it has raised if that is one of these errors, and `EndedByFault` for any other.
    """
    ended: SimpleQueue[Exception | None] = SimpleQueue()

    def acting() -> None:
        try:
            act()
        except errors as error:
            ended.put(error)
        else:
            ended.put(None)

    thread = threading.Thread(target=acting, name=f"{threading.current_thread().name}-waiting", daemon=True)
    thread.start()
    while True:
        was_alive = thread.is_alive()
        with suppress(Empty):
            error = ended.get(timeout=LOOK if was_alive else 0)
            if error is not None:
                raise error
            return
        if not was_alive:
            raise EndedByFault("a fault in xnat-watchd")
        if stop.is_set():
            raise Stopped("told to stop while others have not answered")
