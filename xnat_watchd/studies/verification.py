"""Ask XNAT again, long afterwards, whether it still holds every image of a study. Nothing is changed there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.core.delivery import Instance, Item, Session
from xnat_watchd.core.ports import Gateway
from xnat_watchd.core.states import DeliveryKind
from xnat_watchd.studies.steps.archive_proof import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What XNAT holds of a study, by the number of images in each series."""

    item: str
    expected: int
    missing: int
    short: tuple[str, ...]  #: which series lack images, one text for each
    has_session: bool  #: whether XNAT has a session of the study
    foreign_places: tuple[str, ...] = ()  #: our places in the prearchive that hold something of others

    @property
    def summary(self) -> str:
        """The result in one line."""
        return "; ".join([self._images(), *(f"not ours, and still there: {path}" for path in self.foreign_places)])

    def _images(self) -> str:
        if not self.has_session:
            return f"XNAT has no session of it: all {self.expected} images are missing"
        if self.missing:
            return f"XNAT lacks {self.missing} of {self.expected} images: {'; '.join(self.short)}"
        return f"XNAT holds all {self.expected} images"


def verify(item: Item, ledger: Ledger, gateway: Gateway, now: datetime) -> Verification:
    """Ask XNAT for each image of an archived study, later additions included. Write to the ledger what is missing.

    If others put the study into XNAT, only its counts are known, and only these are compared.
    """
    session = gateway.session(item.session or "") or next(iter(gateway.sessions(item.project, item.uids)), None)
    found = (
        _compare_counts(item, session, ledger)
        if item.kind is DeliveryKind.PREARCHIVE
        else _ask_for_each(item, session, ledger, gateway)
    )
    expected, missing = found.expected.total(), found.missing.total()
    short = [
        f"{name} has {n - found.missing[name]} of {n}" for name, n in found.expected.items() if found.missing[name]
    ]
    ledger.kept_zips.record_lost(item, missing)
    return Verification(
        item=item.name, expected=expected, missing=missing, short=tuple(short), has_session=session is not None,
        foreign_places=_foreign_places(item, ledger, gateway, now),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _ImageCounts:
    """Numbers of images, by the name of their series."""

    expected: Counter[str]
    missing: Counter[str]


def _ask_for_each(item: Item, session: Session | None, ledger: Ledger, gateway: Gateway) -> _ImageCounts:
    ours: Collection[Instance] = ledger.contents.known(item).values()
    has_session = shown(item, session, gateway, ours) if session else frozenset[str]()
    names = ledger.contents.series_named(item)
    return _ImageCounts(
        Counter(names.get(one.series_uid, "in all") for one in ours),
        Counter(names.get(one.series_uid, "in all") for one in ours if one.sop_uid not in has_session),
    )


def _compare_counts(item: Item, session: Session | None, ledger: Ledger) -> _ImageCounts:
    names, counts = ledger.contents.series_named(item), session.holding.counts if session else {}
    sent = {series: one.count for series, one in ledger.contents.series(item).items()}
    return _ImageCounts(
        Counter({names[series]: n for series, n in sent.items()}),
        Counter({names[series]: max(0, n - counts.get(series, 0)) for series, n in sent.items()}),
    )


def _foreign_places(item: Item, ledger: Ledger, gateway: Gateway, now: datetime) -> tuple[str, ...]:
    """Return our places that still hold something of others. Settle those from which it is gone."""
    places = ledger.places.mixed(item.key)
    gone = [place for place in places if gateway.look(place) is None]
    for place in gone:
        ledger.places.settle(place, now)
    return tuple(place.path for place in places if place not in gone)
