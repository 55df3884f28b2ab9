"""All stations of a ledger that several share, and what each root has: asked by two statements, however many."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from xnat_watchd.adapters.ledger.database import Database
from xnat_watchd.adapters.ledger.rows import typed
from xnat_watchd.adapters.ledger.standings import GOES_ON
from xnat_watchd.adapters.ledger.stations import is_served
from xnat_watchd.core.lease import LEASE


class StationRow(TypedDict):
    """A station, as the ledger knows it."""

    id: int
    name: str
    root: str  #: that it serves; others may serve the same
    version: str
    seen: str  #: when it was heard of last
    gone: str | None  #: since when it is not there
    report: str  #: what it told of itself
    now: datetime  #: by the same clock


@dataclass(frozen=True, slots=True)
class RootContents:
    """What a root has that is not complete."""

    under_way: int = 0  #: studies
    held: int = 0  #: studies
    failed: int = 0  #: ZIPs of which no study came, and that nobody has settled
    oldest: datetime | None = None  #: when the first of them came


class Fleet:
    """Queries only."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self.shared = database.shared  #: whether there may be several stations

    def stations(self) -> list[StationRow]:
        """Return every station that was ever started."""
        return self._stations(f"{_STATIONS} ORDER BY name")

    def silent(self) -> list[StationRow]:
        """Return the stations that were not heard of for the length of the lease, by the ledger's clock.

        One that has ended in order was heard of just before.
        """
        rows = self._stations(f"{_STATIONS} AND {_MAY_BE_SILENT} ORDER BY name", -LEASE, LEASE)
        return [one for one in rows if is_silent(one)]

    def names(self) -> list[str]:
        """Return the names of all stations, and of those that were forgotten."""
        return [row["name"] for row in self._db.rows("SELECT name FROM stations WHERE name <> '' ORDER BY name")]

    def _stations(self, sql: str, *values: float) -> list[StationRow]:
        rows = self._db.rows(sql, *values)
        return typed(StationRow, ({**dict(row), "now": datetime.fromisoformat(row["now"])} for row in rows))

    def contents(self) -> dict[str, RootContents]:
        """Return what each root has: UUID -> contents. A root that has nothing is not among them.

        What a person has said is not to be sent counts only where a station can carry that out.
        """
        return {
            row["root"]: RootContents(
                row["under_way"], row["held"], row["failed"], row["oldest"] and datetime.fromisoformat(row["oldest"])
            )
            for row in self._db.rows(_CONTENTS)
        }


def is_silent(station: StationRow) -> bool:
    """Return whether a station was not heard of for the lease. A time ahead is one of a clock that was set back."""
    seen = datetime.fromisoformat(station["seen"])
    until = datetime.fromisoformat(station["gone"]) if station["gone"] else station["now"]
    return abs((until - seen).total_seconds()) > LEASE


_STATIONS = """
SELECT id, name, root, version, seen, gone, report, database_now(0) AS now
FROM stations WHERE seen IS NOT NULL
"""

_MAY_BE_SILENT = "(gone IS NOT NULL OR seen NOT BETWEEN database_now(?) AND database_now(?))"

_CONTENTS = f"""
SELECT root, CAST(sum(under_way) AS INTEGER) AS under_way, CAST(sum(held) AS INTEGER) AS held,
  CAST(sum(failed) AS INTEGER) AS failed, min(oldest) AS oldest
FROM (
  SELECT root, count(*) FILTER (WHERE standing <> 'held') AS under_way,
    count(*) FILTER (WHERE standing = 'held') AS held, 0 AS failed, min(received) AS oldest
  FROM studies WHERE standing {GOES_ON} AND (skip_reason IS NULL OR {is_served("studies.root")}) GROUP BY root
  UNION ALL
  SELECT root, 0, 0, count(*), min(arrived) FROM deliveries d WHERE state = 'rejected' AND settled IS NULL
  AND NOT EXISTS (SELECT 1 FROM deliveries n WHERE n.project = d.project AND n.sha256 = d.sha256 AND n.id > d.id)
  GROUP BY root
) c GROUP BY root
"""
