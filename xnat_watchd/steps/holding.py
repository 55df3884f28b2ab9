"""What XNAT's archive is proved to hold of a study: by counting where that is proof, else by asking file by file.

A count proves something only against what is known to lie there. As many files as we hold ourselves prove nothing: they
may be the other half of the series.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from xnat_watchd.core.delivery import Instance, Item, Session
from xnat_watchd.core.errors import Undecided
from xnat_watchd.steps.tools import Tools

BySeries = Mapping[str, frozenset[str]]  #: SeriesInstanceUID -> SOPInstanceUIDs


def held(item: Item, session: Session, tools: Tools) -> frozenset[str]:
    """Give the instances of this study, whichever ZIP they came in, that the archived session is proved to hold."""
    known = tools.ledger.contents.known(item)
    if session.holding.study_uid != item.study_uid:
        return _held_elsewise(session, frozenset(known))
    ours, remembered = by_series(wanted(item, tools)), by_series(known.values())
    # What an earlier generation has proved is what is in question now: the server may be an older copy of itself.
    trusted = remembered if item.generation == 1 else {}
    return frozenset().union(*(_held_of(one, trusted.get(one, frozenset()), session, tools) for one in ours))


def wanted(item: Item, tools: Tools) -> list[Instance]:
    """Give what XNAT must hold of this study: all of it, but for the series that the server leaves out."""
    left_out = tools.ledger.contents.left_out(item)
    return [one for one in tools.ledger.contents.instances(item) if one.series_uid not in left_out]


@dataclass(frozen=True, slots=True)
class Before:
    """What a session held before a row of ours went into it: nothing, where it came to be by that."""

    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """Files in all."""
        return sum(self.counts.values())


NOTHING = Before({})


def is_whole(item: Item, session: Session, before: Before | None, tools: Tools) -> bool:
    """Say whether the session is proved to hold all of this study after a row of ours went into it.

    The row was counted in our place, which is nobody else's: what the session held `before`, and that, is what it holds
    now, or we ask. `before` None: nobody knows any more.
    """
    sent = {series: one.count for series, one in tools.ledger.contents.series(item, at_place=True).items()}
    counts = session.holding.counts
    if session.holding.study_uid != item.study_uid:
        return sum(counts.values()) >= _expected_elsewise(item, before, sum(sent.values()), tools)
    adds_up = {one for one in counts if before and counts[one] == before.counts.get(one, 0) + sent.get(one, 0)}
    ours = by_series(wanted(item, tools))
    if any(counts.get(series, 0) < len(uids) for series, uids in ours.items()):
        return False
    return all(
        uids <= tools.gateway.sop_uids(session, series) for series, uids in ours.items() if series not in adds_up
    )


def by_series(instances: Iterable[Instance]) -> BySeries:
    """Give SOPInstanceUIDs by SeriesInstanceUID."""
    grouped: dict[str, set[str]] = {}
    for instance in instances:
        grouped.setdefault(instance.series_uid, set()).add(instance.sop_uid)
    return {series: frozenset(uids) for series, uids in grouped.items()}


def _held_of(series: str, known: frozenset[str], session: Session, tools: Tools) -> frozenset[str]:
    """Decide for one series: by its count against what we know to lie there, else by asking XNAT file by file."""
    count = session.holding.counts.get(series, 0)
    if not count:
        return frozenset()
    if count == len(known):
        return known
    return tools.gateway.sop_uids(session, series)


# Where the site gives UIDs of its own, files cannot be told from one another: only totals can be compared.


def _held_elsewise(session: Session, known: frozenset[str]) -> frozenset[str]:
    total = sum(session.holding.counts.values())
    if total not in (0, len(known)):
        raise Undecided(
            "XNAT holds another number of images of this study than was sent, under UIDs of its own",
            detail=f"{total} there, {len(known)} sent",
            advice="Compare them in XNAT; nothing more is sent, since nobody can tell which are missing.",
        )
    return known if total else frozenset()


def _expected_elsewise(item: Item, before: Before | None, sent: int, tools: Tools) -> int:
    if before is not None:
        return before.total + sent
    return len({*tools.ledger.contents.known(item), *(one.sop_uid for one in wanted(item, tools))})
