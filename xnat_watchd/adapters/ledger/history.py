"""What happened within periods of time: counted in SQL, period by period, by indexes that hold all that is counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from xnat_watchd.adapters.ledger.database import Database, text


@dataclass(frozen=True, slots=True)
class PeriodCounts:
    """What happened within one period. A delivery has ended once nothing of it is left to do, whatever came of it."""

    arrived: int  #: deliveries
    ended: int  #: deliveries
    bytes: int  #: of the ZIPs that were finished
    archived: int  #: studies
    waits: tuple[int, ...]  #: of these, the seconds from the arrival of the ZIP to the archive, the shortest first


@dataclass(frozen=True, slots=True)
class FailureCount:
    """How often a study was held, or a ZIP rejected, for one reason. `names`: projects that the reason may name."""

    why: str
    names: tuple[str, ...]
    count: int


class History:
    """Queries only, about all stations: nothing here changes the ledger."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def deliveries(self) -> dict[str, int]:
        """Count deliveries by state."""
        rows = self._db.rows("SELECT state, CAST(sum(count) AS BIGINT) AS n FROM delivery_counts GROUP BY state")
        return {row["state"]: row["n"] for row in rows}

    def counts(self, edges: Sequence[datetime]) -> list[PeriodCounts]:
        """Return what happened between each edge and the next.

        A study that a person had sent again counts whenever it is archived, but its wait does not: it began anew.
        """
        periods = json.dumps([[text(begin), text(end)] for begin, end in pairwise(edges)])
        waits = {row["n"]: json.loads(row["waits"]) for row in self._db.rows(_WAITS, periods)}
        return [
            PeriodCounts(row["arrived"], row["ended"], row["bytes"], row["archived"],
                         tuple(sorted(waits.get(row["n"], ()))))
            for row in self._db.rows(_COUNTS, periods)
        ]  # fmt: skip

    def failures(self, since: datetime, most: int) -> list[FailureCount]:
        """Return why studies were held and ZIPs rejected since then, the most frequent reasons first, at most so many.

        A study that changed its project may have been held under the name of the earlier one.
        """
        return [
            FailureCount(row["why"], tuple(filter(None, row["names"].split(" -> "))), row["n"])
            for row in self._db.rows(_FAILURES, text(since), most)
        ]


_PERIODS = """
WITH period (n, begins, ends) AS (
  SELECT key, json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?1))
"""

_ARCHIVED = "e.progress = 'archived' AND e.event IN ('advanced', 'parked')"
"""In the words of the index `archivals`, which SQLite uses for no others."""

_COUNTS = f"""
{_PERIODS}
SELECT n,
  (SELECT count(*) FROM deliveries WHERE arrived >= begins AND arrived < ends) AS arrived,
  (SELECT count(*) FROM deliveries WHERE ended >= begins AND ended < ends) AS ended,
  (SELECT coalesce(sum(size) FILTER (WHERE state = 'finished'), 0) FROM deliveries
   WHERE ended >= begins AND ended < ends) AS bytes,
  (SELECT count(*) FROM events e WHERE at >= begins AND at < ends AND {_ARCHIVED}) AS archived
FROM period ORDER BY n
"""

_WAITS = f"""
{_PERIODS}
SELECT n, json_group_array(CASE WHEN e.at > d.arrived THEN CAST(strftime('%s', e.at) AS BIGINT)
                                               - CAST(strftime('%s', d.arrived) AS BIGINT) ELSE 0 END) AS waits
FROM period CROSS JOIN events e ON e.at >= begins AND e.at < ends AND {_ARCHIVED}
CROSS JOIN studies s ON s.key = e.study AND s.generation = 1
CROSS JOIN deliveries d ON d.id = s.delivery AND d.kind = 'zip'
GROUP BY n
"""

_FAILURES = """
SELECT e.why, count(*) AS n, d.project || coalesce(' -> ' || (
    SELECT group_concat(detail, ' -> ') FROM events m WHERE m.delivery = e.delivery AND m.event = 'moved'), '') AS names
FROM events e JOIN deliveries d ON d.id = e.delivery
WHERE e.event IN ('held', 'rejected') AND e.at >= ?1 AND e.why <> ''
GROUP BY e.why, names ORDER BY n DESC, e.why LIMIT ?2
"""
