"""How long ZIPs are kept once XNAT has them. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """How long and how much is kept. None: without a bound."""

    span: timedelta | None = None
    size: int | None = None  #: bytes in all

    @property
    def everything(self) -> bool:
        """Return whether nothing is ever deleted."""
        return self.span is None and self.size is None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptZip:
    """A ZIP that is kept in `done` or `duplicates`."""

    delivery: int
    project: str
    kept_as: str  #: its path below the root
    sha256: str
    size: int
    since: datetime
    studies: tuple[int, ...]
    stays: str  #: why the ledger lets nobody delete it, in a few words; empty: XNAT has all of it from here


def deletable(kept: Sequence[KeptZip], keep: RetentionRules, now: datetime) -> list[KeptZip]:
    """Return the ZIPs that may be deleted, oldest first: those kept for too long, and those beyond the size."""
    excess = sum(one.size for one in kept) - keep.size if keep.size is not None else 0
    found = []
    for one in sorted(kept, key=lambda one: (one.since, one.delivery)):
        too_old = keep.span is not None and now - one.since > keep.span
        if not one.stays and (too_old or excess > 0):
            found.append(one)
            excess -= one.size
    return found


def overdue(kept: Sequence[KeptZip], keep: RetentionRules, now: datetime) -> list[KeptZip]:
    """Return the ZIPs that were kept for too long and stay all the same."""
    return [one for one in kept if one.stays and keep.span is not None and now - one.since > keep.span]
