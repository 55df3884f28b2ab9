"""Remove uploads that XNAT put elsewhere than we asked. They must be gone before anything else is sent."""

from __future__ import annotations

from collections import Counter

from xnat_watchd.core.delivery import Item, MisplacedUpload, Place, PrearchiveRow
from xnat_watchd.core.errors import Misplaced, RepeatOnce
from xnat_watchd.studies.steps.context import Tools, finished_row
from xnat_watchd.studies.steps.place_proof import is_ours_alone


def clear_misplaced(item: Item, tools: Tools) -> None:
    """Make sure that nothing of the study lies where XNAT misplaced an upload. Remove what is certainly ours alone.

    `Misplaced` as long as something lies there. What we may not see, Unassigned above all (F170), is gone by the word
    of the person who typed `retry`.
    """
    for upload in item.misplaced:
        place = Place.at(upload.path)
        if place is None or place == item.place:  # in the archive, where studies are found by UID; or at its own place
            continue
        row = _seen(item, place, tools)
        if row is not None:
            _remove(item, upload, row, tools)
    if item.misplaced:
        tools.ledger.places.clear_misplaced(item)


def _seen(item: Item, place: Place, tools: Tools) -> PrearchiveRow | None:
    try:
        return tools.gateway.look(place)
    except RepeatOnce as refused:  # no right there (F176), or a passing fault (F62)
        if item.why != str(refused):
            raise
        return None


def _remove(item: Item, upload: MisplacedUpload, row: PrearchiveRow, tools: Tools) -> None:
    if not (row.place.folder == upload.folder and _is_ours_alone(item, finished_row(tools, row, item.since), tools)):
        raise Misplaced("an upload of it still lies where XNAT was not asked to put it", [], detail=upload.path)
    tools.gateway.discard(row.place)


def _is_ours_alone(item: Item, row: PrearchiveRow, tools: Tools) -> bool:
    """Return whether nothing but this study lies there, and no more of a series than was sent (F61)."""
    holding = tools.gateway.holding(row.place)
    sent = Counter(one.series_uid for one in tools.ledger.contents.instances(item))
    within = holding.study_uid in item.uids and Counter(holding.counts) <= sent
    return within and is_ours_alone(item, row, tools)
