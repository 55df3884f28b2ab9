"""When a study is tried again. Pure arithmetic; chance is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

LONGEST_DELAY = timedelta(hours=2)  #: no other delay is longer, so a `due` beyond it means that the clock jumped
MOST_UPLOADS = 3  #: how often all of a study is sent without a person's decision
NIGHT = timedelta(hours=16)  #: delay before the last of these uploads, the only one beyond LONGEST_DELAY


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential back-off with jitter for a study's own trouble, and frequent looks while XNAT is at work."""

    first: timedelta = timedelta(seconds=15)
    ceiling: timedelta = timedelta(hours=1)
    patience: int = 20  #: attempts, about half a day
    look_again: timedelta = timedelta(seconds=2)
    look_ceiling: timedelta = timedelta(minutes=1)
    absent_ceiling: timedelta = timedelta(minutes=10)  #: while XNAT shows nothing of it
    deadline: timedelta = timedelta(hours=4)  #: how long XNAT may be at work on one step

    def delay(self, attempts: int, jitter: float) -> timedelta | None:
        """Return how long to wait after so many attempts, or None to give up. `jitter` lies in [0, 1)."""
        if attempts >= self.patience:
            return None
        doubled = self.first * (1 << min(max(attempts - 1, 0), 20))
        return min(doubled, self.ceiling) * (0.5 + jitter / 2)

    def look_delay(self, since: datetime, now: datetime, jitter: float, *, absent: bool = False) -> timedelta | None:
        """Return how long to wait while XNAT has said "not yet" since `since`, or None after its deadline."""
        waited = max(now - since, timedelta(0))
        if waited >= self.deadline:
            return None
        ceiling = self.absent_ceiling if absent else self.look_ceiling
        return min(max(self.look_again, waited / 4), ceiling) * (0.5 + jitter / 2)


def is_due(due: datetime | None, now: datetime) -> bool:
    """Return whether a waiting study may be taken: its time has come, or the clock has jumped back."""
    return due is not None and (due <= now or due > now + LONGEST_DELAY)
