"""The end of a delivery: after one more look at XNAT it has ended, and then its ZIP is put to rest."""

from __future__ import annotations

from datetime import datetime

from xnat_watchd.adapters.folders import put_away, resting_done, resting_skipped
from xnat_watchd.adapters.ledger import Retirement
from xnat_watchd.steps.tools import Tools, clear_old_places


def retire(delivery: Retirement, tools: Tools) -> None:
    """End a delivery that has come to its end: the ledger says where its ZIP is to lie, before it is moved there."""
    for study in delivery.studies:
        clear_old_places(tools, study)
    now = tools.clock.now()
    tools.ledger.deliveries.retire(delivery, _resting(delivery, now, tools), now)


def _resting(delivery: Retirement, now: datetime, tools: Tools) -> str | None:
    """Give where the ZIP is to lie; None for one to which somebody has written. One that was not needed lies there."""
    size = tools.disk.size(tools.folders.zip_of(delivery.id))
    if size is None and delivery.rested:
        return delivery.rested
    if not delivery.has_zip or size not in {None, delivery.size}:
        return None
    if delivery.skipped:
        return tools.folders.free(resting_skipped(delivery.id, delivery.name))
    return tools.folders.free(resting_done(delivery.id, delivery.name, now))


def put_to_rest(delivery: int, tools: Tools) -> None:
    """Move the ZIP of a delivery that has ended to where the ledger says, if it does not lie there yet.

    One to which somebody has written since it was opened has no such place. It goes back to the drop folder: what is
    new in it is sent.
    """
    known = tools.ledger.deliveries.rest(delivery)
    if known is not None:
        target = tools.folders.rest(known.resting) if known.resting else tools.folders.drop / known.name
        put_away(tools.folders, tools.disk, delivery, target, known.studies)
