"""The clock of the machine."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

TOLERATED = timedelta(seconds=1)  #: difference to a clock that is followed: the way there takes time, too


class SystemClock:
    """The clock of the machine, as `core.ports.Clock`."""

    def __init__(self) -> None:
        self._behind = timedelta(0)  #: how far the machine's clock is behind the one that is followed

    def now(self) -> datetime:
        """Return the time of day as an aware datetime in UTC."""
        return datetime.now(UTC) + self._behind

    def follow(self, shown: datetime) -> None:
        """Go by another clock, which has just shown this time, where the machine's differs by more than a second.

        The stations of one ledger go by the clock of its database: a time that one has written is due for all at once.
        """
        behind = shown - datetime.now(UTC)
        self._behind = behind if abs(behind) > TOLERATED else timedelta(0)

    def monotonic(self) -> float:
        """Return seconds that do not jump when the clock is set. They do not advance while the machine sleeps."""
        return time.monotonic()

    def uptime(self) -> float:
        """Return seconds that do not jump when the clock is set, and that advance while the machine sleeps, too."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)
