"""Throughput: what was done since an event, how much is left, and how many bytes."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from xnat_watchd.adapters.ledger.database import Database
from xnat_watchd.adapters.ledger.rows import EventRow, typed


@dataclass(frozen=True, slots=True)
class Throughput:
    """What was done, and all that was to be done. Bytes are those of the ZIPs."""

    studies_done: int
    studies: int
    bytes_sent: int
    bytes: int


class ThroughputView:
    """Queries for showing how far the work is. What had ended before the first query is left out."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def latest_event(self) -> int:
        """Return the number of the latest event, from which to count."""
        row = self._db.row("SELECT max(id) AS latest FROM events")
        return int(row["latest"] or 0) if row else 0

    def latest_event_of(self, delivery: int) -> int:
        """Return the number of the latest event of a delivery: another number tells that something happened to it."""
        row = self._db.row("SELECT max(id) AS latest FROM events WHERE delivery = ?", delivery)
        return int(row["latest"] or 0) if row else 0

    def events(self, after: int, keys: Collection[int] | None = None) -> list[EventRow]:
        """Return the events after this number, of these studies or of all: what happened to which item, and why."""
        rows = self._db.rows(
            "SELECT e.id, e.event, e.progress, e.why, d.kind, e.delivery || coalesce('.' || s.number, '') AS item"
            " FROM events e JOIN deliveries d ON d.id = e.delivery LEFT JOIN studies s ON s.key = e.study"
            " WHERE e.id > ?1 AND (?2 = 'null' OR e.study IN (SELECT CAST(value AS INTEGER) FROM json_each(?2)))"
            " ORDER BY e.id",
            after,
            _listed(keys),
        )
        return typed(EventRow, rows)

    def since(self, event: int, keys: Collection[int] | None = None) -> Throughput:
        """Return what was done since that event. A study counts as done if it is done, held or waits for a setting."""
        row = self._db.row(_SINCE, event, _listed(keys))
        return Throughput(*(int(n or 0) for n in row)) if row else Throughput(0, 0, 0, 0)


def _listed(keys: Collection[int] | None) -> str:
    return json.dumps(None if keys is None else sorted(keys))


_SINCE = """
WITH ours AS (
  SELECT key FROM studies WHERE standing IN ('ready', 'busy') OR (standing = 'waiting' AND due IS NOT NULL)
  UNION SELECT study FROM events WHERE id > ?1 AND study IS NOT NULL
), part AS (
  SELECT s.standing IN ('done', 'held') OR (s.standing = 'waiting' AND s.due IS NULL) AS rests,
         s.progress <> 'received' AS sent,
         EXISTS (SELECT 1 FROM events e WHERE e.delivery = s.delivery AND e.study = s.key AND e.id <= ?1
                 AND e.progress <> 'received') AS before,
         CASE d.kind WHEN 'zip' THEN d.size / (SELECT count(*) FROM studies o WHERE o.delivery = s.delivery)
                     ELSE 0 END AS bytes
  FROM ours JOIN studies s ON s.key = ours.key JOIN deliveries d ON d.id = s.delivery
  WHERE ?2 = 'null' OR s.key IN (SELECT CAST(value AS INTEGER) FROM json_each(?2))
)
SELECT count(*) FILTER (WHERE rests), count(*), sum(bytes) FILTER (WHERE sent AND NOT before),
       sum(bytes) FILTER (WHERE NOT before AND (sent OR NOT rests))
FROM part
"""
