"""Whether the time of day can be trusted: it was set if it no longer agrees with the monotonic clock."""

from __future__ import annotations

from datetime import datetime, timedelta

JUMP = timedelta(days=1)  #: a clock that is set by more than this was wrong before or is wrong now
SILENCE = timedelta(days=30)  #: after so long without an event, a start asks whether the clock is right


class ClockOffset:
    """The difference between the time of day and the monotonic clock. Both are read at one moment and passed in."""

    def __init__(self, now: datetime, monotonic: float) -> None:
        self._offset = now.timestamp() - monotonic

    def jump(self, now: datetime, monotonic: float) -> timedelta:
        """Return by how much the time of day was set since the last call."""
        before, self._offset = self._offset, now.timestamp() - monotonic
        return timedelta(seconds=self._offset - before)
