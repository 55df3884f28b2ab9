"""The end of a delivery: its ZIP is put to rest where people find it, after one more look at XNAT."""

from __future__ import annotations

from xnat_watchd.adapters.folders import put_away, resting_done
from xnat_watchd.adapters.ledger import Retirement
from xnat_watchd.steps.tools import Tools, clear_old_places


def retire(delivery: Retirement, tools: Tools) -> None:
    """End a delivery whose studies are all done, and move its ZIP to done. The ledger says so first."""
    for study in delivery.studies:
        clear_old_places(tools, study)
    now = tools.clock.now()
    resting = resting_done(delivery.id, delivery.name, now) if delivery.has_zip else None
    tools.ledger.deliveries.retire(delivery.id, resting, now, sent=delivery.sent)
    if resting is not None:
        put_away(tools.folders, tools.disk, delivery.id, resting)
