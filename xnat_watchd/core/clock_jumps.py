"""Whether the time of day can be trusted: it was set when it no longer agrees with the time that passes."""

from __future__ import annotations

from datetime import datetime, timedelta

JUMP = timedelta(days=1)  #: by which a clock is not set for nothing
SILENCE = timedelta(days=30)  #: without an event, after which a start asks whether the clock is right


class ClockOffset:
    """Sees by how much a clock was set. Two readings of one moment are its arguments."""

    def __init__(self, now: datetime, monotonic: float) -> None:
        self._offset = now.timestamp() - monotonic

    def jump(self, now: datetime, monotonic: float) -> timedelta:
        """Return by how much the time of day was set since this was asked last."""
        before, self._offset = self._offset, now.timestamp() - monotonic
        return timedelta(seconds=self._offset - before)
