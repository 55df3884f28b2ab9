"""Totals for people: what is left to do, what was done today, and the names of the files that rows are about."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

from xnat_watchd.adapters.ledger.database import Database, text
from xnat_watchd.adapters.ledger.standings import GOES_ON


class Summary:
    """Queries only. Each reads an index, and only those of its entries that it counts."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def under_way(self) -> dict[str, int]:
        """Return the `zips` that are taken and not finished with their `bytes`; those that are `held` apart."""
        count = f"SELECT count(*) AS zips, coalesce(sum(size), 0) AS bytes {_TAKEN} NOT IN ({_HELD})"
        held = f"SELECT count(*) AS held {_TAKEN} IN ({_HELD})"
        return {**_as_dict(self._db.row(count)), **_as_dict(self._db.row(held))}

    def finished(self, since: datetime) -> dict[str, int]:
        """Return the `zips` that have been finished since then, with their `bytes`."""
        row = self._db.row(
            "SELECT count(*) AS zips, coalesce(sum(size), 0) AS bytes FROM deliveries"
            " WHERE state = 'finished' AND settled IS NULL AND ended >= ?",
            text(since),
        )
        return _as_dict(row)

    def settled(self) -> int:
        """Return how many rejected ZIPs a person has settled: they need nobody any more."""
        row = self._db.row("SELECT count(*) AS n FROM deliveries WHERE state = 'rejected' AND settled > ''")
        return int(row["n"]) if row else 0

    def names(self, deliveries: Collection[int]) -> dict[int, str]:
        """Return the names of the files of these deliveries."""
        rows = self._db.rows(
            "SELECT id, name FROM deliveries WHERE id IN (SELECT value FROM json_each(?))", json.dumps([*deliveries])
        )
        return {row["id"]: row["name"] for row in rows}


_TAKEN = "FROM deliveries WHERE state = 'taken' AND settled IS NULL AND id"
_HELD = f"SELECT delivery FROM studies WHERE standing {GOES_ON} AND standing = 'held'"


def _as_dict(row: Any) -> dict[str, int]:
    return dict(row) if row else {}
