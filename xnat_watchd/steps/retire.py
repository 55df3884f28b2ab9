"""The end of a delivery: after one more look at XNAT it has ended, and then its ZIP is put to rest."""

from __future__ import annotations

from xnat_watchd.adapters.folders import put_away, resting_done
from xnat_watchd.adapters.ledger import Retirement
from xnat_watchd.steps.tools import Tools, clear_old_places


def retire(delivery: Retirement, tools: Tools) -> None:
    """End a delivery whose studies are all done: the ledger says where its ZIP is to lie, before it is moved there."""
    for study in delivery.studies:
        clear_old_places(tools, study)
    now, path = tools.clock.now(), tools.folders.zip_of(delivery.id)
    grown = delivery.has_zip and tools.disk.size(path) not in {None, delivery.size}
    resting = resting_done(delivery.id, delivery.name, now) if delivery.has_zip and not grown else None
    tools.ledger.deliveries.retire(delivery.id, resting, now, sent=delivery.sent)


def put_to_rest(delivery: int, tools: Tools) -> None:
    """Move the ZIP of a delivery that has ended to where the ledger says, if it does not lie there yet.

    One to which somebody has written since it was opened has no such place. It goes back to the drop folder: what is
    new in it is sent.
    """
    known = tools.ledger.deliveries.rest(delivery)
    if known is not None:
        target = tools.folders.rest(known.resting) if known.resting else tools.folders.drop / known.name
        put_away(tools.folders, tools.disk, delivery, target, known.studies)
