"""A memory budget for long answers, shared by all gateways of a process: the server chooses how long they are.

Each answer has its own limit. The budget limits all of them together, however many workers ask at once.
"""

from __future__ import annotations

import threading
import weakref

BUDGET = 64 << 20  #: bytes; the longest table alone may take 50 MiB
FREE = 1 << 20  #: bytes of each answer that are not counted: usual answers are never refused because of long ones
STEP = 1 << 20  #: bytes that are reserved at once


class BudgetSpent(Exception):
    """Other answers take the memory now."""


class MemoryBudget:
    """The memory that is still free. Every method may be called from any thread."""

    def __init__(self, size: int = BUDGET) -> None:
        self.free = size
        self._lock = threading.RLock()  # a garbage collection inside `take` may call `give_back`

    def take(self, size: int) -> None:
        """Reserve this many bytes, or raise `BudgetSpent`."""
        with self._lock:
            if size > self.free:
                raise BudgetSpent
            self.free -= size

    def give_back(self, size: int) -> None:
        """Free this many bytes."""
        with self._lock:
            self.free += size


def hold(memory: MemoryBudget, size: int, by: object) -> None:
    """Reserve this many bytes until `by` is gone, which must allow weak references. Or raise `BudgetSpent`."""
    memory.take(size)
    weakref.finalize(by, memory.give_back, size).atexit = False


class MemoryUse:
    """What one answer takes of a budget, until the document that was read from it is gone."""

    def __init__(self, memory: MemoryBudget) -> None:
        self._memory, self._taken = memory, 0

    def grow(self, size: int) -> None:
        """Reserve memory for `size` bytes in all. Raise `BudgetSpent` if there is not enough."""
        while size > FREE + self._taken:
            self._memory.take(STEP)
            self._taken += STEP

    def release_with(self, found: object) -> None:
        """Free the memory when this object is gone. It must allow weak references."""
        if self._taken:
            weakref.finalize(found, self._memory.give_back, self._taken).atexit = False
            self._taken = 0

    def release(self) -> None:
        """Free the memory now."""
        self._memory.give_back(self._taken)
        self._taken = 0
