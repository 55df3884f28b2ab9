"""Totals for people: what is left to do, what was done today, and the names of the files that rows are about."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

from xnat_watchd.adapters.ledger.database import Database, text
from xnat_watchd.adapters.ledger.standings import GOES_ON
from xnat_watchd.adapters.ledger.stations import Stations


class Summary:
    """Queries about this root only. Each reads an index, and only those of its entries that it counts."""

    def __init__(self, database: Database, stations: Stations) -> None:
        self._db, self._stations = database, stations

    def under_way(self) -> dict[str, int]:
        """Return the `zips` that are taken and not finished with their `bytes`; those that are `held` apart."""
        root = self._stations.me.root
        sql = "SELECT count AS zips, bytes FROM delivery_counts WHERE root = ? AND state = 'taken'"
        every, held = _as_dict(self._db.row(sql, root)), _as_dict(self._db.row(_HELD, root))
        return {
            "zips": every.get("zips", 0) - held["held"], "bytes": every.get("bytes", 0) - held["bytes"],
            "held": held["held"],
        }  # fmt: skip

    def finished(self, since: datetime) -> dict[str, int]:
        """Return the `zips` that have been finished since then, with their `bytes`."""
        row = self._db.row(
            "SELECT count(*) AS zips, coalesce(sum(size), 0) AS bytes FROM deliveries"
            " WHERE state = 'finished' AND settled IS NULL AND ended >= ? AND root = ?",
            text(since), self._stations.me.root,
        )  # fmt: skip
        return _as_dict(row)

    def settled(self) -> int:
        """Return how many rejected ZIPs a person has settled: they need nobody any more."""
        sql = "SELECT count(*) AS n FROM deliveries WHERE state = 'rejected' AND settled > '' AND root = ?"
        row = self._db.row(sql, self._stations.me.root)
        return int(row["n"]) if row else 0

    def names(self, deliveries: Collection[int]) -> dict[int, str]:
        """Return the names of the files of these deliveries."""
        rows = self._db.rows(
            "SELECT id, name FROM deliveries WHERE id IN (SELECT CAST(value AS INTEGER) FROM json_each(?))",
            json.dumps([*deliveries]),
        )
        return {row["id"]: row["name"] for row in rows}


_HELD = f"""
SELECT count(*) AS held, coalesce(sum(d.size), 0) AS bytes
FROM (SELECT DISTINCT delivery FROM studies WHERE standing {GOES_ON} AND standing = 'held' AND root = ?) h
CROSS JOIN deliveries d ON d.id = h.delivery WHERE d.state = 'taken'  -- in this order: few are held
"""


def _as_dict(row: Any) -> dict[str, int]:
    return dict(row) if row else {}
