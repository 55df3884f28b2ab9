"""Memory for what is kept of long answers, shared by all gateways of a process: the server chooses how long they are.

Each answer is bounded; this bounds all of them together, however many workers ask at once.
"""

from __future__ import annotations

import threading
import weakref

BUDGET = 64 << 20  #: bytes; the longest table alone may take 50 MiB
FREE = 1 << 20  #: bytes of each answer that are not counted: usual answers are never refused because of long ones
STEP = 1 << 20  #: bytes that are taken at once


class BudgetSpent(Exception):
    """Other answers take the room just now."""


class MemoryBudget:
    """What is left of it. Every method may be called from any thread."""

    def __init__(self, size: int = BUDGET) -> None:
        self.free = size
        self._lock = threading.RLock()  # what is given back may be found to be garbage while something is taken

    def take(self, size: int) -> None:
        """Take so many bytes, or raise `BudgetSpent`."""
        with self._lock:
            if size > self.free:
                raise BudgetSpent
            self.free -= size

    def give_back(self, size: int) -> None:
        """Have so many bytes free again."""
        with self._lock:
            self.free += size


class MemoryUse:
    """What one answer takes of a room, from its beginning until nobody knows what was read from it any more."""

    def __init__(self, memory: MemoryBudget) -> None:
        self._memory, self._taken = memory, 0

    def grow(self, size: int) -> None:
        """See that there is room for `size` bytes in all. Raises `BudgetSpent`."""
        while size > FREE + self._taken:
            self._memory.take(STEP)
            self._taken += STEP

    def release_with(self, found: object) -> None:
        """Give the room back when this is gone, which must be an object that allows weak references."""
        if self._taken:
            weakref.finalize(found, self._memory.give_back, self._taken).atexit = False
            self._taken = 0

    def release(self) -> None:
        """Give the room back now: nothing was kept."""
        self._memory.give_back(self._taken)
        self._taken = 0
