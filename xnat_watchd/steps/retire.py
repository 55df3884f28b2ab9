"""The end of a delivery: its ZIP is put to rest where people find it, after one more look at XNAT."""

from __future__ import annotations

from xnat_watchd.adapters.folders import put_away, resting_done
from xnat_watchd.adapters.ledger import Retirement
from xnat_watchd.steps.tools import Tools, clear_old_places


def retire(delivery: Retirement, tools: Tools) -> None:
    """End a delivery whose studies are all done, and move its ZIP to done. The ledger says so first.

    A ZIP to which somebody has written since it was opened goes back to the drop folder: what is new in it is sent.
    """
    for study in delivery.studies:
        clear_old_places(tools, study)
    now, path = tools.clock.now(), tools.folders.zip_of(delivery.id)
    grown = delivery.has_zip and tools.disk.size(path) not in {None, delivery.size}
    resting = resting_done(delivery.id, delivery.name, now) if delivery.has_zip and not grown else None
    tools.ledger.deliveries.retire(delivery.id, resting, now, sent=delivery.sent)
    if grown:
        tools.disk.move(path, tools.folders.drop / delivery.name)
    elif resting is not None:
        put_away(tools.folders, tools.disk, delivery.id, resting, len(delivery.studies))
