"""The places in XNAT's prearchive where ZIPs are sent while they are checked, before anybody knows their studies.

Each is recorded before anything is sent there. If the ZIP goes as it is, the place becomes its study's. Else something
of it may lie there. It is removed, but not before its sender has ended, or nothing of that can appear any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from xnat_watchd.adapters.ledger.database import Database, Transaction, text
from xnat_watchd.adapters.ledger.stations import Stations
from xnat_watchd.core.delivery import Place
from xnat_watchd.core.states import DeliveryState


@dataclass(frozen=True, slots=True)
class LeftPlace:
    """A place where something of a ZIP may lie that was not sent to its end there."""

    delivery: int
    place: Place
    study_uid: str
    members: int  #: of the ZIP: no more files of it can lie there
    ended: datetime  #: since when nothing is sent there
    mixed: bool  #: something lies there that is not proved to be ours


class EarlyPlaces:
    """The places of ZIPs that are sent while they are checked: one of each delivery at most."""

    def __init__(self, database: Database, stations: Stations) -> None:
        self._db, self._stations = database, stations

    def may_begin(self, project: str, study_uid: str) -> bool:
        """Return whether no study of this UID came to the project yet, and the site gives studies there no new UIDs."""
        known = "SELECT 1 FROM studies WHERE project = ? AND (study_uid = ? OR server_uid IS NOT NULL) LIMIT 1"
        return self._db.row(known, project, study_uid) is None

    def begin(self, delivery: int, place: Place, study_uid: str, members: int) -> bool:
        """Record a place before anything is sent there.

        Return False if the delivery had one already: then it was interrupted, and is sent once all of it is checked.
        So it is if another station takes it now, or may: this one was found gone, and has to begin anew first.
        """
        me = self._stations.me
        with self._db.change() as db:
            begun = db.execute(
                "INSERT INTO early_places (delivery, project, timestamp, folder, study_uid, members)"
                " SELECT d.id, ?, ?, ?, ?, ? FROM deliveries d JOIN stations t ON t.id = d.station"
                " WHERE d.id = ? AND d.state = ? AND d.station = ? AND t.epoch = ?"
                " ON CONFLICT (delivery) DO NOTHING",
                (place.project, place.timestamp, place.folder, study_uid, members, delivery, DeliveryState.ARRIVING,
                 me.id, me.epoch),
            )  # fmt: skip
            return begun.rowcount > 0

    def end(self, delivery: int, now: datetime) -> None:
        """Record that nothing more is sent there, and that the place is not the study's."""
        with self._db.change() as db:
            db.execute("UPDATE early_places SET ended = ? WHERE delivery = ? AND ended IS NULL", (text(now), delivery))

    def adopt(self, delivery: int, now: datetime, stamp: str) -> int | None:
        """Make the place that of the delivery's only study, as if all of the ZIP were sent there now.

        Return the study's key. None if its sender has ended, or if the same study of another ZIP is known meanwhile:
        then nothing is changed.
        """
        with self._db.change() as db:
            study = db.execute(
                "SELECT s.key FROM studies s"
                " JOIN early_places e ON e.delivery = s.delivery AND e.study_uid = s.study_uid"
                " WHERE s.delivery = ? AND e.ended IS NULL AND NOT EXISTS (SELECT 1 FROM studies o"
                " WHERE o.project = s.project AND o.study_uid = s.study_uid AND o.key <> s.key)",
                (delivery,),
            ).fetchone()
            if study is None:
                return None
            row = db.execute(
                "INSERT INTO places (study, project, timestamp, folder, chosen, last_sent, stamp)"
                " SELECT ?, project, timestamp, folder, ?, ?, ? FROM early_places WHERE delivery = ? RETURNING id",
                (study["key"], text(now), text(now), stamp, delivery),
            ).fetchone()
            db.execute("UPDATE studies SET uploads = uploads + 1 WHERE key = ?", (study["key"],))
            db.execute("UPDATE instances SET place = ? WHERE study = ?", (row["id"], study["key"]))
            db.execute("DELETE FROM early_places WHERE delivery = ?", (delivery,))
            return int(study["key"])

    def delivery_at(self, place: Place) -> int | None:
        """Return the delivery that is sent to this place, or has left something there; None if none is known to."""
        row = self._db.row(
            "SELECT delivery FROM early_places WHERE (project, timestamp, folder) = (?, ?, ?)",
            place.project,
            place.timestamp,
            place.folder,
        )
        return int(row["delivery"]) if row else None

    def left(self, since: datetime, now: datetime) -> list[LeftPlace]:
        """Return the places whose senders have ended `since` then, so that nobody sends there any more."""
        rows = self._db.rows(
            "SELECT * FROM early_places WHERE ended BETWEEN ? AND ? ORDER BY delivery", text(since), text(now)
        )
        return [
            LeftPlace(
                row["delivery"], Place(row["project"], row["timestamp"], row["folder"]), row["study_uid"],
                row["members"], datetime.fromisoformat(row["ended"]), bool(row["mixed"]),
            )
            for row in rows
        ]  # fmt: skip

    def flag(self, delivery: int, *, mixed: bool) -> None:
        """Write whether something lies at the place that is not proved to be ours: it is left there, and told."""
        with self._db.change() as db:
            db.execute("UPDATE early_places SET mixed = ? WHERE delivery = ?", (int(mixed), delivery))


def end_sendings(db: Transaction, station: int, until: str) -> None:
    """Record that a station sends nothing early any more, and until when something of it may still appear in XNAT."""
    db.execute(
        "UPDATE early_places SET ended = ? WHERE ended IS NULL"
        " AND delivery IN (SELECT id FROM deliveries WHERE station = ?)",
        (until, station),
    )
