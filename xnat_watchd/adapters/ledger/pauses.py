"""Pauses of the work: because a person asked for one, or because the clock cannot be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from xnat_watchd.adapters.ledger.database import Database, text
from xnat_watchd.adapters.ledger.stations import Stations


class Activity(StrEnum):
    """An activity that can be paused."""

    WORK = "work"  #: all requests to XNAT for studies; ZIPs are still taken
    RETENTION = "retention"  #: the deletion of kept ZIPs


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause that has not ended."""

    of: Activity
    since: str
    why: str
    advice: str
    detail: str = ""  #: the reason that a person typed; it may hold a name


class Pauses:
    """Pauses of this station. They survive restarts, and ended ones stay on record."""

    def __init__(self, database: Database, stations: Stations) -> None:
        self._db, self._stations = database, stations

    def open(self) -> list[Pause]:
        """Return the pauses that have not ended."""
        sql = "SELECT * FROM pauses WHERE until IS NULL AND station = ? ORDER BY id"
        rows = self._db.rows(sql, self._stations.me.id)
        return [Pause(Activity(row["of"]), row["since"], row["why"], row["advice"], row["detail"]) for row in rows]

    def changes(self) -> int:
        """Return how often a pause was begun or ended so far: another number tells that one was since."""
        sql = "SELECT count(*) + count(until) AS n FROM pauses WHERE station = ?"
        row = self._db.row(sql, self._stations.me.id)
        return int(row["n"]) if row else 0

    def lasts(self, of: Activity) -> bool:
        """Return whether this activity is paused."""
        return any(pause.of is of for pause in self.open())

    def begin(self, of: Activity, why: str, advice: str, now: datetime, detail: str = "") -> bool:
        """Pause an activity; return False if it is paused already. `detail`: the reason that a person typed."""
        with self._db.change() as db:
            done = db.execute(
                "INSERT INTO pauses (of, since, why, advice, detail, station) VALUES (?,?,?,?,?,?)"
                " ON CONFLICT DO NOTHING",
                (of, text(now), why, advice, detail, self._stations.here().id),
            )
            return done.rowcount > 0

    def end(self, now: datetime, by: str = "") -> list[Activity]:
        """End all pauses; return the activities that were paused. `by`: the login name of the person."""
        sql = "UPDATE pauses SET until = ?, ended_by = ? WHERE until IS NULL AND station = ? RETURNING of"
        with self._db.change() as db:
            rows = db.execute(sql, (text(now), by, self._stations.me.id)).fetchall()
        return [Activity(row["of"]) for row in rows]
