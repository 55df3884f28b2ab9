"""How often each thing has happened since the ledger was made. A restart of the service changes nothing about that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from xnat_watchd.adapters.ledger.database import Database
from xnat_watchd.adapters.ledger.stations import Stations

BOUNDS = (60, 300, 900, 3600, 14400, 86400)
"""Seconds: the bounds by which the schema counts how long studies took to XNAT's archive."""


@dataclass(frozen=True, slots=True)
class Total:
    """How often something has happened to deliveries or studies of a project, and when last."""

    of: str  #: deliveries, or studies
    what: str  #: an event, or the progress that was reached
    project: str  #: empty: XNAT had taken no study into it when this happened
    count: int
    images: int
    bytes: int
    latest: datetime


@dataclass(frozen=True, slots=True)
class ArchiveTimes:
    """How long studies of a project took from the arrival of their ZIP to XNAT's archive."""

    counts: dict[int, int]  #: bound in seconds -> how many took no longer, and longer than the bound before
    seconds: float  #: of all of them together

    @property
    def count(self) -> int:
        """Return how many studies these are."""
        return sum(self.counts.values())


class TotalsView:
    """Queries about this root only. Their cost depends on the number of projects, and not on what ever came."""

    def __init__(self, database: Database, stations: Stations) -> None:
        self._db, self._stations = database, stations

    def all(self) -> list[Total]:
        """Return every total."""
        return [
            Total(row["of"], row["what"], row["project"], row["count"], row["images"], row["bytes"],
                  datetime.fromisoformat(row["latest"]))
            for row in self._db.rows(
                "SELECT * FROM totals WHERE root = ? ORDER BY of, what, project", self._stations.counted_root()
            )
        ]  # fmt: skip

    def archive_times(self) -> dict[str, ArchiveTimes]:
        """Return by project how long studies took. What took longer than every bound is counted under 0."""
        found: dict[str, ArchiveTimes] = {}
        sql = "SELECT * FROM archive_times WHERE root = ? ORDER BY project, bound"
        for row in self._db.rows(sql, self._stations.counted_root()):
            before = found.get(row["project"], ArchiveTimes({}, 0.0))
            counts = {**before.counts, row["bound"]: row["count"]}
            found[row["project"]] = ArchiveTimes(counts, before.seconds + row["seconds"])
        return found


def confirmed(totals: Iterable[Total]) -> frozenset[str]:
    """Return the projects into which XNAT has taken a study. Any other name is only that of a folder."""
    return frozenset(one.project for one in totals if one.project)
