"""Prove what XNAT's archive holds of a study: by counting where a count is proof, else by asking file by file.

A count proves something only against what is known to lie there. As many files as we hold ourselves prove nothing: they
may be the other half of the series.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from xnat_watchd.core.delivery import Instance, Item, Person, Session, file_name
from xnat_watchd.core.errors import Undecided
from xnat_watchd.core.findings import Finding, FindingKind
from xnat_watchd.core.persons import may_be_one
from xnat_watchd.core.ports import Gateway
from xnat_watchd.studies.steps.context import Tools

SCAN = r"[0-9]{1,12}(-[A-Z]{2,16}[0-9]{1,3})?"  #: a scan's ID as XNAT makes it of SeriesNumber and modality
BySeries = Mapping[str, frozenset[str]]  #: SeriesInstanceUID -> SOPInstanceUIDs


def proved(item: Item, session: Session, tools: Tools) -> frozenset[str]:
    """Return the instances of this study, whichever ZIP they came in, that the archived session is proved to hold."""
    known = tools.ledger.contents.known(item)
    if session.holding.study_uid != item.study_uid:
        return _proved_by_name(item, session, frozenset(known), tools)
    ours, remembered = by_series(wanted(item, tools)), by_series(known.values())
    # A later generation doubts what the first one proved: the server may have been restored from a backup.
    trusted = remembered if item.generation == 1 else {}
    return frozenset().union(*(_proved_of_series(one, trusted.get(one, frozenset()), session, tools) for one in ours))


def shown(item: Item, session: Session, gateway: Gateway, ours: Iterable[Instance]) -> frozenset[str]:
    """Return those of `ours` that XNAT lists, file by file: before what cannot be undone, and a long time afterwards.

    A count proves nothing here: somebody may have removed one image and added another.
    """
    grouped = by_series(ours)
    uids = frozenset[str]().union(*grouped.values())
    if session.holding.study_uid != item.study_uid:
        return gateway.sop_uids(session, named=uids) & uids
    return frozenset[str]().union(*(gateway.sop_uids(session, series) for series in grouped)) & uids


def wanted(item: Item, tools: Tools) -> list[Instance]:
    """Return the instances that XNAT must hold of this study: all except the series that the server leaves out."""
    return tools.ledger.contents.wanted(item)


def sent_to_place(item: Item, tools: Tools) -> Mapping[str, int]:
    """Return the number of images by series that were sent to the study's current place."""
    return {series: one.count for series, one in tools.ledger.contents.series(item, at_place=True).items()}


@dataclass(frozen=True, slots=True)
class EarlierCounts:
    """What a session held, by series, before a row of ours was merged into it. A new session held nothing."""

    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """Number of files in all."""
        return sum(self.counts.values())


NO_FILES = EarlierCounts({})


def is_whole(item: Item, session: Session, before: EarlierCounts | None, sent: Mapping[str, int], tools: Tools) -> bool:
    """Return whether the session is proved to hold all of this study after a row of ours was archived into it.

    The row was counted in our place, which nobody else uses. If the session now holds the sum of that count and what it
    held `before`, that is proof; else each file is asked for. `before` None: what it held is not known. `sent`: by
    `sent_to_place`.
    """
    counts = session.holding.counts
    if session.holding.study_uid != item.study_uid:
        return _is_whole_by_name(item, session, tools)
    adds_up = {one for one in counts if before and counts[one] == before.counts.get(one, 0) + sent.get(one, 0)}
    ours = by_series(wanted(item, tools))
    if any(counts.get(series, 0) < len(uids) for series, uids in ours.items()):
        return False
    return all(
        uids <= tools.gateway.sop_uids(session, series) for series, uids in ours.items() if series not in adds_up
    )


def foreign(
    item: Item, session: Session, before: EarlierCounts, sent: Mapping[str, int], tools: Tools
) -> Finding | None:
    """Return what the session holds beyond this study's images and what it held before; None if there is nothing."""
    counts = session.holding.counts
    if session.holding.study_uid != item.study_uid:
        extra = {"": sum(counts.values()) - before.total - sum(sent.values())}
    else:
        over = [one for one, n in counts.items() if n > before.counts.get(one, 0) + sent.get(one, 0)]
        extra = {series: _unknown(item, session, series, before, tools) for series in over}
    extra = {series: n for series, n in extra.items() if n > 0}
    if not extra:
        return None
    names, count = [_scans(session, series) for series in extra], sum(extra.values())
    images = "1 image" if count == 1 else f"{count} images"
    return Finding(
        kind=FindingKind.FOREIGN,
        count=count,
        why=f"XNAT's session holds {images} that nobody here knows of, in {', '.join(names)}",
        members=tuple(f"{name}: {n}" for name, n in zip(names, extra.values(), strict=True)),
    )


def _unknown(item: Item, session: Session, series: str, before: EarlierCounts, tools: Tools) -> int:
    """Count the images of a series that are neither ours nor were there before. XNAT 1.6 may count twice (F81)."""
    known, there = tools.ledger.contents.known(item), tools.gateway.sop_uids(session, series)
    others = before.counts.get(series, 0) - sum(one.series_uid == series for one in known.values())
    return len(there - known.keys() - {one.sop_uid for one in wanted(item, tools)}) - max(0, others)


def _scans(session: Session, series: str) -> str:
    """Return the series' name by its scan numbers, which are checked: text from the server may not enter the log."""
    ids = [scan.id for scan in session.holding.scans if scan.series_uid == series and re.fullmatch(SCAN, scan.id)]
    return f"series {' and '.join(ids)}" if ids else "some series"


def by_series(instances: Iterable[Instance]) -> BySeries:
    """Return SOPInstanceUIDs by SeriesInstanceUID."""
    grouped: dict[str, set[str]] = {}
    for instance in instances:
        grouped.setdefault(instance.series_uid, set()).add(instance.sop_uid)
    return {series: frozenset(uids) for series, uids in grouped.items()}


def _proved_of_series(series: str, known: frozenset[str], session: Session, tools: Tools) -> frozenset[str]:
    """Return what is proved of one series: by its count if that equals what is known to be there, else file by file."""
    count = session.holding.counts.get(series, 0)
    if not count:
        return frozenset()
    if count == len(known):
        return known
    return tools.gateway.sop_uids(session, series)


# If the site gives images new UIDs, they are known by the names that we gave their files.


def _proved_by_name(item: Item, session: Session, known: frozenset[str], tools: Tools) -> frozenset[str]:
    total = sum(session.holding.counts.values())
    if not total:
        return frozenset()
    uids = {file_name(uid): uid for uid in (*known, *(one.sop_uid for one in wanted(item, tools)))}
    names = tools.gateway.names(session)
    if names <= uids.keys():
        return frozenset(uids[name] for name in names)
    if total != len(known):
        raise Undecided(
            "XNAT holds a different number of images of this study than was sent, under UIDs and names of its own",
            detail=f"{total} there, {len(known)} sent",
            advice="Compare them in XNAT. Nothing more is sent, because it is not known which images are missing.",
        )
    return known


def _is_whole_by_name(item: Item, session: Session, tools: Tools) -> bool:
    ours = {file_name(one.sop_uid) for one in wanted(item, tools)}
    if ours <= tools.gateway.names(session):
        return True
    known = {*tools.ledger.contents.known(item), *(one.sop_uid for one in wanted(item, tools))}
    # An older version sent ZIPs as they were, and proved such a place by its counts.
    return not item.named and sum(session.holding.counts.values()) >= len(known)


def must_be_its_patients(item: Item, session: Session, tools: Tools) -> None:
    """Raise `Undecided` if others archived a session under this study's UID, with images of another patient in it.

    What we archived ourselves is known by its subject, whose person the ledger remembers. A site that anonymises shows
    its own labels instead of a patient: there the subject decides, once it is known or a person has named it.
    """
    if tools.ledger.studies.archived_as(item, session.id):
        return
    name, number = tools.gateway.patient(session.id)
    if (name, number) == (session.subject, session.label) and (item.subject or "").casefold() == name.casefold():
        return
    if not may_be_one(item.person, Person(name=name, id=number)):
        raise Undecided(
            "XNAT has this study already, with another patient",
            detail=f"session {session.id}: {name} ({number})",
            advice="Find out whose images they are: a session must not hold two patients. Then type "
            "`xnat-watchd skip ITEM --why TEXT`; or have the session removed in XNAT, then `xnat-watchd retry ITEM`.",
        )
