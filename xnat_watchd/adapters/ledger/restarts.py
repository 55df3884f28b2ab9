"""Send a study again from its beginning, or try it again because its ZIP was dropped again."""

from __future__ import annotations

from datetime import datetime

from xnat_watchd.adapters.ledger.database import Row, Transaction, text
from xnat_watchd.adapters.ledger.findings import open_findings, undecided
from xnat_watchd.adapters.ledger.gates import try_now
from xnat_watchd.adapters.ledger.transitions import RESET, move, resume
from xnat_watchd.core.findings import holding
from xnat_watchd.core.states import Event, Progress, Standing


def restart(db: Transaction, row: Row, now: datetime, why: str, by: str | None = None) -> None:
    """Start a study from its beginning in a new generation. If it was to be skipped, it is not any more."""
    db.execute("UPDATE places SET ended = ? WHERE study = ? AND ended IS NULL", (text(now), row["key"]))
    move(db, row["key"], Standing(row["standing"]), Event.RESENT, now, generation=row["generation"] + 1,
         progress=Progress.RECEIVED, session=None, skip_reason=None, claimed=None, in_doubt=1, due=None, why=None,
         detail=why, who=by, advice=None, lost=0, loss_accepted=0, **RESET)  # fmt: skip
    try_now(db, now, row["project"])


def try_dropped_again(db: Transaction, delivery: int, now: datetime) -> bool:
    """Do what people mean who drop the same ZIP again: try held studies again, and start skipped ones again.

    A study that a finding holds stays held, since the same bytes have the same finding. Return whether there is one.
    A study that a later delivery has replaced stays replaced.
    """
    rows = db.execute("SELECT * FROM studies WHERE delivery = ? ORDER BY key", (delivery,)).fetchall()
    stays_held = {row["key"] for row in rows if holding(open_findings(db, row["key"]))}
    for row in rows:
        if row["key"] not in stays_held and holding(undecided(db, row["key"])):
            continue
        if row["skip_reason"] is not None and row["standing"] != Standing.SKIPPED:
            restart(db, row, now, "its ZIP was dropped again")
        elif row["standing"] == Standing.HELD and row["key"] not in stays_held:
            resume(db, row, now)
    return bool(stays_held)
