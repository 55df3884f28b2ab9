"""Threads that work ahead for one that needs the results in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Beat = Callable[[], None]
Work = Callable[[Beat], Result]
"""What a thread does. It calls what it is given at least every few MiB."""

MOST_THREADS = 4  #: more of them wait for Python's lock, or for the disk
_BEAT_EVERY = 1.0  #: seconds


class Abandoned(Exception):
    """Nobody wants the result any more."""


class OrderedThreads:
    """A few threads that work ahead, for as long as the context lasts; none, if the work is too small for them.

    `beat` is called only in the thread that asks for results, and only while the others make progress: so a disk that
    hangs is noticed, and whoever wants to stop is heard. It may raise an error, which ends the work.
    """

    def __init__(self, threads: int, beat: Beat) -> None:
        self._pool = ThreadPoolExecutor(threads, "ahead") if threads else None
        self._ahead = 2 * threads
        self._beat = beat
        self._progressed = self._abandoned = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Abandon what is still under way, and wait for the threads to end."""
        self._abandoned = True
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def begin(self, work: Work[Result]) -> Callable[[], Result]:
        """Begin some work. Return the function that waits for its result, or raises its error."""
        if self._pool is None:
            return partial(work, self._beat)
        return partial(self._result, self._pool.submit(work, self._note_progress))

    def in_order(self, work: Callable[[Item, Beat], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield the result for each item, in the order of the items."""
        begun: deque[Callable[[], Result]] = deque()
        for item in items:
            begun.append(self.begin(partial(work, item)))
            if len(begun) > self._ahead:
                yield begun.popleft()()
        while begun:
            yield begun.popleft()()

    def _result(self, future: Future[Result]) -> Result:
        while not wait([future], _BEAT_EVERY).done:
            if self._progressed:
                self._progressed = False
                self._beat()
        self._beat()
        return future.result()

    def _note_progress(self) -> None:
        self._progressed = True
        if self._abandoned:
            raise Abandoned


def usable_threads() -> int:
    """Return how many threads are worth their while here: at least two, since one of them may wait for the disk."""
    return max(2, min(MOST_THREADS, len(os.sched_getaffinity(0))))
