"""Figures over a day, a month or a year: what was archived, how long it took, what waited, and what failed why."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import chain

from xnat_watchd.adapters.ledger.history import FailureCount, PeriodCounts
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.core.concealing import conceal
from xnat_watchd.core.states import DeliveryState

HALF, MOST = 0.5, 0.95  #: shares of the studies
REASONS = 8  #: reasons that are told; all others count together
MOST_READ = 2000  #: reasons that are looked at, before those that differ only in numbers become one
OTHER = "other reasons"
_NUMBER = re.compile(r"(?<!answered )(?<![\w.])[0-9][0-9.,]*(?![\w])")
"""A number in a reason, but for a status of HTTP, which is the reason."""


class Span(StrEnum):
    """How far back figures go."""

    DAY = "day"  #: 24 hours, by the hour
    MONTH = "month"  #: 30 days, by the day
    YEAR = "year"  #: 53 weeks, of which the last is not over


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures for each period between two edges; the last period is not over. Times are in seconds."""

    at: datetime  #: when they were counted
    edges: tuple[datetime, ...]
    archived: tuple[int, ...]  #: studies
    bytes: tuple[int, ...]  #: of ZIPs that were finished
    backlog: tuple[int, ...]  #: deliveries that were not finished when the period ended
    half: tuple[int | None, ...]  #: time from arrival to archive that half of the studies did not exceed
    most: tuple[int | None, ...]  #: likewise, 95 of 100
    overall: tuple[int | None, int | None]  #: both, of the studies of all periods
    failures: tuple[tuple[str, int], ...]  #: reasons without names, and how often


def figures_of(ledger: Ledger, span: Span, now: datetime) -> Figures:
    """Return the figures as of now, by the clock of this machine."""
    edges = edges_of(span, now)
    counts, states = ledger.history.counts(edges), ledger.history.deliveries()
    unfinished = sum(states.get(one, 0) for one in (DeliveryState.ARRIVING, DeliveryState.TAKEN))
    every = sorted(chain.from_iterable(one.waits for one in counts))
    return Figures(
        at=now,
        edges=tuple(edges),
        archived=tuple(one.archived for one in counts),
        bytes=tuple(one.bytes for one in counts),
        backlog=backlog(unfinished, counts),
        half=tuple(quantile(one.waits, HALF) for one in counts),
        most=tuple(quantile(one.waits, MOST) for one in counts),
        overall=(quantile(every, HALF), quantile(every, MOST)),
        failures=reasons(ledger.history.failures(edges[0], MOST_READ)),
    )


def edges_of(span: Span, now: datetime) -> list[datetime]:
    """Return when the periods begin and end. Days and weeks begin at midnight, whether or not a clock was changed."""
    here = now.astimezone()
    if span is Span.DAY:
        end = here.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        return [end - timedelta(hours=back) for back in range(24, -1, -1)]
    midnight = here.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    if span is Span.MONTH:
        end, days, count = midnight + timedelta(days=1), 1, 30
    else:
        end, days, count = midnight + timedelta(days=7 - midnight.weekday()), 7, 53
    return [(end - timedelta(days=days * back)).astimezone() for back in range(count, -1, -1)]


def backlog(now: int, counts: Sequence[PeriodCounts]) -> tuple[int, ...]:
    """Return how many deliveries were unfinished at the end of each period, from how many are so `now`.

    A delivery that was taken again, since a person had its study sent again, counts as unfinished all the time.
    """
    ends = [now]
    for one in reversed(counts[1:]):
        ends.append(max(0, ends[-1] - one.arrived + one.ended))
    return tuple(reversed(ends))


def quantile(ordered: Sequence[int], share: float) -> int | None:
    """Return the least of these numbers that at least this share of them does not exceed; None if there are none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def reasons(failures: Iterable[FailureCount]) -> tuple[tuple[str, int], ...]:
    """Return the most frequent reasons, and all others as one. What differs only in numbers or projects is one reason.

    No project is named: the name of one that XNAT does not know may be a patient's.
    """
    total: Counter[str] = Counter()
    for one in failures:
        total[_NUMBER.sub("N", conceal(one.why, one.names))] += one.count
    first = total.most_common(REASONS)
    rest = total.total() - sum(count for _, count in first)
    return (*first, *([(OTHER, rest)] if rest else ()))
