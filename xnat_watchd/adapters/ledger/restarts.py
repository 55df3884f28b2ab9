"""A study once more: sent again from the beginning, or tried again since its bytes were dropped again."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from xnat_watchd.adapters.ledger.database import text
from xnat_watchd.adapters.ledger.findings import open_findings, undecided
from xnat_watchd.adapters.ledger.gates import try_now
from xnat_watchd.adapters.ledger.transitions import RESET, move, resume
from xnat_watchd.core.findings import holding
from xnat_watchd.core.states import Event, Progress, Standing


def restart(db: sqlite3.Connection, row: sqlite3.Row, now: datetime, why: str) -> None:
    """Have a study begin from the beginning in a new generation, wanted again if nobody wanted it."""
    db.execute("UPDATE places SET ended = ? WHERE study = ? AND ended IS NULL", (text(now), row["key"]))
    move(db, row["key"], Standing(row["standing"]), Event.RESENT, now, generation=row["generation"] + 1,
         progress=Progress.RECEIVED, session=None, unwanted=None, claimed=None, in_doubt=1, due=None, why=None,
         detail=why, advice=None, lost=0, loss_accepted=0, **RESET)  # fmt: skip
    try_now(db, now, row["project"])


def try_dropped_again(db: sqlite3.Connection, delivery: int, now: datetime) -> bool:
    """Take the same bytes, dropped again, for what people mean by it: try again what is held, want what was unwanted.

    What a finding holds stays held: the same bytes are the same verdict. Return whether anything is. What a later
    delivery has replaced stays replaced.
    """
    rows = db.execute("SELECT * FROM studies WHERE delivery = ? ORDER BY key", (delivery,)).fetchall()
    stays_held = {row["key"] for row in rows if holding(open_findings(db, row["key"]))}
    for row in rows:
        if row["key"] not in stays_held and holding(undecided(db, row["key"])):
            continue
        if row["unwanted"] is not None and row["standing"] != Standing.SKIPPED:
            restart(db, row, now, "its ZIP was dropped again")
        elif row["standing"] == Standing.HELD and row["key"] not in stays_held:
            resume(db, row, now)
    return bool(stays_held)
