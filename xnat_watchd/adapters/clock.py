"""The clock of the machine."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """The clock of the machine, as `core.ports.Clock`."""

    def now(self) -> datetime:
        """Return the time of day as an aware datetime in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that do not jump when the clock is set. They do not advance while the machine sleeps."""
        return time.monotonic()
