"""Asking XNAT again, long afterwards, whether it holds what it was seen to hold. Nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xnat_watchd.adapters.ledger import Ledger
from xnat_watchd.core.delivery import Item
from xnat_watchd.core.ports import Gateway
from xnat_watchd.steps.holding import by_series


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What XNAT holds of a study, by the number of images in each series."""

    item: str
    expected: int
    missing: int
    short: tuple[str, ...]  #: what is missing, series by series
    there: bool  #: XNAT has the session at all

    @property
    def said(self) -> str:
        """Say it in one line."""
        if not self.there:
            return f"XNAT has no session of it: all {self.expected} images are missing"
        if self.missing:
            return f"XNAT lacks {self.missing} of {self.expected} images: {'; '.join(self.short)}"
        return f"XNAT holds all {self.expected} images"


def verify(item: Item, ledger: Ledger, gateway: Gateway) -> Verified:
    """Ask for one study that was archived, with all that came later to its session."""
    session = gateway.session(item.session or "") or next(iter(gateway.sessions(item.project, item.uids)), None)
    expected = _expected(item, ledger)
    if session is None:
        total = sum(expected.values())
        return Verified(item=item.name, expected=total, missing=total, short=(), there=False)
    if session.holding.study_uid != item.study_uid:  # the site gives UIDs of its own: only totals can be compared
        return _compared(item, {"": sum(expected.values())}, {"": sum(session.holding.counts.values())}, {})
    return _compared(item, expected, session.holding.counts, ledger.contents.series_named(item))


def _expected(item: Item, ledger: Ledger) -> Mapping[str, int]:
    known = by_series(ledger.contents.known(item).values())
    if known:
        return {series: len(uids) for series, uids in known.items()}
    return {series: one.count for series, one in ledger.contents.series(item).items()}


def _compared(item: Item, expected: Mapping[str, int], counts: Mapping[str, int], names: Mapping[str, str]) -> Verified:
    short = {series: (counts.get(series, 0), n) for series, n in expected.items() if counts.get(series, 0) < n}
    return Verified(
        item=item.name,
        expected=sum(expected.values()),
        missing=sum(n - there for there, n in short.values()),
        short=tuple(f"{names.get(one, 'in all')} has {there} of {n}" for one, (there, n) in short.items()),
        there=True,
    )
