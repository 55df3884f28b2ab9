"""End a delivery: XNAT is checked once more, the end is recorded, and then the ZIP is moved away.

Mostly nothing is left to be checked: no place was given up, and the delivery has no other study. Then its end is
recorded in one write with that of its study.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from xnat_watchd.adapters.files.layout import folder_name_of, kept_in_done, kept_in_skipped, move_out_of_work
from xnat_watchd.adapters.ledger.deliveries import EndedDelivery
from xnat_watchd.core.delivery import Item
from xnat_watchd.core.states import LINE, next_progress
from xnat_watchd.studies.steps.context import Tools
from xnat_watchd.studies.steps.place_proof import clear_old_places, has_old_places
from xnat_watchd.studies.steps.source import is_judged


def retire(delivery: EndedDelivery, tools: Tools) -> bool:
    """Record that a delivery has ended, and where its ZIP is to lie. The ZIP is moved there afterwards.

    Return False if the delivery goes on after all.
    """
    for study in delivery.studies:
        clear_old_places(tools.ledger.studies.get(study), tools)
    now = tools.clock.now()
    return tools.ledger.deliveries.retire(delivery, _kept_path(delivery, now, tools), now)


def end_with(item: Item, tools: Tools) -> tuple[EndedDelivery, str | None] | None:
    """Return the delivery that ends with the next progress of its only study, and where its ZIP is to lie.

    None if the study does not end then, or if XNAT, other studies or the disk may have a say in it: then the delivery
    ends by `retire`.
    """
    if next_progress(item.progress) is not LINE[-1] or has_old_places(item, tools):
        return None
    delivery = tools.ledger.deliveries.with_one_study(item.delivery)
    if delivery is None:
        return None
    try:
        return delivery, _kept_path(delivery, tools.clock.now(), tools)
    except OSError:  # `retire` meets and reports it
        return None


def _kept_path(delivery: EndedDelivery, now: datetime, tools: Tools) -> str | None:
    """Return where the ZIP is to lie: where it lies already, if it was not brought back; None if it was written to."""
    path = tools.folders.zip_of(delivery.id)
    is_there = tools.disk.exists(path)
    if not is_there and delivery.kept_before:
        return delivery.kept_before
    if not delivery.has_zip or (is_there and not is_judged(delivery.judged, path, tools.ledger.overwrites, tools.disk)):
        return None
    if delivery.skipped:
        return tools.folders.free(kept_in_skipped(delivery.id, delivery.name))
    return tools.folders.free(kept_in_done(delivery.id, delivery.name, now))


def move_zip(delivery: int, tools: Tools) -> None:
    """Move the ZIP of a delivery that has ended to where the ledger says, if it does not lie there yet.

    A ZIP to which somebody has written since it was opened goes back to the drop folder, so that what is new in it is
    sent.
    """
    known = tools.ledger.deliveries.delivered_zip(delivery)
    if known is None:
        return
    path = tools.folders.zip_of(delivery)
    is_there = bool(known.kept_as) and tools.disk.exists(path)
    if is_there and not is_judged(known.judged, path, tools.ledger.overwrites, tools.disk):
        tools.ledger.overwrites.release(delivery, tools.clock.now())
        known = replace(known, kept_as=None)
    if known.kept_as is None:
        _give_back_copies(delivery, tools)
    tools.marks.must_be_known(folder_name_of(known.kept_as) if known.kept_as else "drop")
    target = tools.folders.kept_path(known.kept_as) if known.kept_as else None
    move_out_of_work(tools.folders, tools.disk, delivery, target or known.name, known.studies)
    if target is not None:  # the move has changed its stamp
        tools.ledger.overwrites.stamp(delivery, tools.disk.stamp(target) or "")


def _give_back_copies(delivery: int, tools: Tools) -> None:
    """Put duplicates of a ZIP that was written to back into the drop folder: only they hold the original bytes now."""
    for copy in tools.ledger.overwrites.copies(delivery):
        tools.marks.must_be_known("done")
        path = tools.folders.kept_path(copy.kept_as or "")
        if tools.disk.exists(path):
            tools.disk.put_back(path, tools.folders.drop, copy.name)
        tools.ledger.overwrites.release(copy.delivery, tools.clock.now())
