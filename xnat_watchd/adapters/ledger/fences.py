"""Fences: who was given a study under an older one than it has now writes nothing about it."""

from __future__ import annotations

from xnat_watchd.adapters.ledger.database import Transaction
from xnat_watchd.core.errors import TakenOver


def must_be_under(db: Transaction, key: int, fence: int) -> None:
    """Raise `TakenOver` if a study has another fence than that under which it was taken."""
    if db.execute("SELECT 1 FROM studies WHERE key = ? AND fence = ?", (key, fence)).fetchone() is None:
        raise TakenOver
