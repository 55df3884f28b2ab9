"""Prove whether what lies in our place is ours, and remove it only if it is.

The place is ours, but files of others may lie there. On 1.6 two imports of one account that begin in the same
millisecond exchange their files, whatever their projects, clients and stations (seen on 1.6.4); both are answered with
200, and their counts may be equal. What is asked, and why that is enough:

- On 1.6 a study keeps its UID, so a study with another UID is never ours. Under our UID every image is proved by name:
  we write the ZIP and name each member by its SOPInstanceUID, and 1.6 keeps names. That costs one listing for each scan
  of every study (4 ms each on a real 1.6.4). A count would not do: another station may send the other half of a series,
  with as many images, in the same millisecond. A file with another name is read for its UID.
- Newer servers put each import into a row of its own, found by study and by the name of our place, so that nothing of
  another import can get there. Under our UIDs the counts by series are proof, and no file is asked for.
- If a newer site remaps studies (gives them UIDs of its own), the images are proved by name. A ZIP that was sent as it
  came has names that prove nothing. It is sent again under names that do, and so is every later ZIP of that project.
  A study that can be proved neither by UID nor by name is held.
"""

from __future__ import annotations

from datetime import timedelta

from xnat_watchd.adapters.ledger.early_places import LeftPlace
from xnat_watchd.core.comparison import Mixed, Unproved, Verdict, judge, judge_images
from xnat_watchd.core.delivery import Holding, Item, Place, PrearchiveRow
from xnat_watchd.core.errors import NotYet
from xnat_watchd.studies.steps.context import BUILD_AFTER, Tools, finished_row
from xnat_watchd.studies.steps.sending import is_chosen

DOUBT_LASTS = timedelta(days=30)  #: within which nearly every server is restarted


def built(place: Place, tools: Tools) -> Holding:
    """Return what XNAT has built at a place: with counts where they are the proof. `NotYet` while it has not."""
    return tools.gateway.holding(place, counted=not tools.gateway.collides())


def judged(item: Item, place: Place, tools: Tools, seen: Holding | None = None) -> Verdict:
    """Compare what was sent to the study's place with what lies there. `NotYet` while XNAT has not built it.

    `seen`: what XNAT has `built` there, if it was asked already.
    """
    seen, sent = seen or built(place, tools), tools.ledger.contents.series(item, at_place=True)
    is_our_uid, collides = seen.study_uid == item.study_uid, tools.gateway.collides()
    if collides and not is_our_uid:
        return Mixed()
    if is_our_uid and not collides:
        return judge(sent, seen, item.study_uid)
    ours = tools.ledger.contents.at_place(item)
    images = tools.gateway.images(place, seen, frozenset[str]().union(*ours.values()), reads=is_our_uid)
    verdict = judge_images(sent, ours, images, seen.study_uid)
    return Mixed() if is_our_uid and isinstance(verdict, Unproved) else verdict  # files with other names were read


def remove(item: Item, row: PrearchiveRow, tools: Tools) -> bool:
    """Remove a row of ours that holds nothing of others, and return True. Any other row stays, and is reported.

    `NotYet` while XNAT is at work on it.
    """
    row = finished_row(tools, row, item.since)
    if not is_ours_alone(item, row, tools):
        tools.ledger.places.flag(row.place)
        return False
    tools.gateway.discard(row.place)
    return True


def is_ours_alone(item: Item, row: PrearchiveRow, tools: Tools) -> bool:
    """Return whether the row holds only images of this study, checked as far as this server may mix imports.

    Under a UID that is not known to be ours, every image must be proved by name, on newer servers too.
    """
    try:
        seen = built(row.place, tools)
    except NotYet:
        if row.status != "ERROR":
            raise
        return not tools.gateway.collides()  # XNAT built no session; only 1.6 may mix others into it
    if not tools.gateway.collides() and seen.study_uid in item.uids:
        return _holds_no_more(item, seen, tools)
    ours = frozenset(one.sop_uid for one in tools.ledger.contents.instances(item))
    images = tools.gateway.images(row.place, seen, ours, reads=seen.study_uid == item.study_uid)
    return frozenset[str]().union(*images.values()) <= ours


def _holds_no_more(item: Item, seen: Holding, tools: Tools) -> bool:
    """Return whether a row under a UID of ours has no more files than the study; if it was remapped, in all.

    A person may have moved something into the row meanwhile.
    """
    sent = tools.ledger.contents.series(item)
    if seen.study_uid == item.study_uid:
        return not isinstance(judge(sent, seen, item.study_uid), Mixed)
    return sum(seen.counts.values()) <= sum(one.count for one in sent.values())


def clear_appeared(item: Item, tools: Tools) -> None:
    """Remove what a restarted server brings back: 1.6 first writes an import to another folder of our timestamp.

    After its restart a row appears there, with all images or a part of them, and so it does of an import that it had
    refused (seen on XNAT 1.6.4). It is written down as a place of the study's, so that it is told and judged as any.
    """
    if not item.doubted:
        return
    now = tools.clock.now()
    times = {place.timestamp for place in tools.ledger.places.doubted(now - DOUBT_LASTS, item.key)}
    for place in tools.gateway.rows_with(item.project, times) if times else ():
        if not is_chosen(place):
            tools.ledger.places.add_appeared(item.key, place, now)
    for place in tools.ledger.places.former(item.key, appeared=True):
        clear(item, place, tools)


def clear_old_places(item: Item, tools: Tools) -> None:
    """Remove what appeared late at places that a study has given up: it is a second copy."""
    clear_appeared(item, tools)
    if not item.has_given_up:
        return
    for place in tools.ledger.places.former(item.key):  # except those that a server locked when it died
        clear(item, place, tools)


def has_old_places(item: Item, tools: Tools) -> bool:
    """Return whether XNAT must be asked before nothing of a study can be left at a place that it has given up."""
    return item.doubted or (item.has_given_up and bool(tools.ledger.places.former(item.key)))


def clear(item: Item, place: Place, tools: Tools) -> None:
    """Remove what lies at a place that is no longer used, under the conditions of `remove`."""
    row = tools.gateway.look(place)
    if row is not None and row.status == "ERROR" and not is_chosen(place):  # only what is built can be judged
        tools.gateway.build(place)
        row = tools.gateway.look(place)
    if row is not None:
        remove(item, row, tools)


def clear_left(left: LeftPlace, tools: Tools) -> None:
    """Remove what a ZIP has left where it was sent while it was checked. `NotYet` while XNAT is at work on it.

    XNAT got the beginning of one study there. Something else than that stays, and is reported.
    """
    row, early = tools.gateway.look(left.place), tools.ledger.early_places
    if row is not None and row.is_receiving and tools.clock.now() - left.ended >= BUILD_AFTER:
        tools.gateway.build(left.place)
        row = tools.gateway.look(left.place)
    is_foreign = row is not None and not _is_left_by_us(left, finished_row(tools, row, None), tools)
    if is_foreign != left.mixed:
        early.flag(left.delivery, mixed=is_foreign)
    if row is not None and not is_foreign:
        tools.gateway.discard(left.place)


def _is_left_by_us(left: LeftPlace, row: PrearchiveRow, tools: Tools) -> bool:
    if tools.gateway.collides():  # nothing is sent early there: the server is another one now
        return False
    try:
        seen = built(row.place, tools)
    except NotYet:
        if row.status != "ERROR":
            raise
        return True  # XNAT built no session of what it received
    return seen.study_uid == left.study_uid and sum(seen.counts.values()) <= left.members


def reclaim(item: Item, uid: str, tools: Tools) -> None:
    """Claim what lies at earlier places and is ours, now that we know which UID the site gives the study."""
    for place in tools.ledger.places.mixed(item.key):
        row = tools.gateway.look(place)
        if row is None:
            tools.ledger.places.settle(place, tools.clock.now())
        elif not tools.gateway.collides() and tools.gateway.holding(place).study_uid == uid:
            tools.ledger.places.unflag(place)
