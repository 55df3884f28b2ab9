"""When a command may stop waiting: nothing more will happen within a minute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from xnat_watchd.adapters.ledger.database import text
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.pauses import Activity
from xnat_watchd.core.states import Standing
from xnat_watchd.daemon.state import ONCE_WAITS, is_shut_for_long


def are_idle(ledger: Ledger, studies: Iterable[Mapping[str, Any]], now: datetime) -> bool:
    """Return whether none of these studies is worked on now, nor will be within a minute.

    `studies` are rows of the ledger's `found.standings`.
    """
    if ledger.pauses.lasts(Activity.WORK):
        return not ledger.studies.any_busy_here()
    gates = ledger.gates.all()
    shut = {scope for scope, gate in gates.items() if is_shut_for_long(gate, now)}
    return all(_is_idle(study, shut, text(now + ONCE_WAITS)) for study in studies)


def _is_idle(study: Mapping[str, Any], shut: set[str], soon: str) -> bool:
    match study["standing"]:
        case Standing.BUSY:
            return False
        case Standing.DONE:
            return not study["open"] or "" in shut
        case Standing.HELD:
            return True
        case Standing.READY:
            return bool(study["barred"]) or not shut.isdisjoint({"", study["project"]})
    return study["due"] is None or study["due"] > soon or not shut.isdisjoint({"", study["project"]})
