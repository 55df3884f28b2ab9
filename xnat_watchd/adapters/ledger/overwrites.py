"""ZIPs that others may still write to: the stamp of what was opened, and what follows when the ZIP has changed."""

from __future__ import annotations

from datetime import datetime, timedelta

from xnat_watchd.adapters.ledger.database import Database, text
from xnat_watchd.adapters.ledger.deliveries import tell_delivery
from xnat_watchd.adapters.ledger.judged_zips import NO_MORE, JudgedZip, judged_zip
from xnat_watchd.adapters.ledger.stations import Stations
from xnat_watchd.adapters.ledger.transitions import move, move_taken
from xnat_watchd.core.delivery import CHANGED, Item
from xnat_watchd.core.states import DeliveryState, Event, Progress, Standing

KEPT_WATCHED = timedelta(hours=1)  #: how long a kept ZIP is checked for changes
MOST_WATCHED = 500  #: ZIPs of one kind that are checked at a time: the cost does not grow with the folders


class Overwrites:
    """Stamps of ZIPs, and the deliveries whose ZIP was written to after it was judged."""

    def __init__(self, database: Database, stations: Stations) -> None:
        self._db, self._stations = database, stations

    def stamp(self, delivery: int, stamp: str) -> None:
        """Store the stamp of a delivery's ZIP, as it is now."""
        with self._db.change() as db:
            db.execute("UPDATE deliveries SET stamp = ? WHERE id = ?", (stamp, delivery))

    def judged(self, delivery: int) -> JudgedZip | None:
        """Return the judged ZIP of a delivery, or None if it is known to have changed, or if there is none."""
        row = self._db.row("SELECT * FROM deliveries WHERE id = ?", delivery)
        return judged_zip(row) if row else None

    def watched(self, now: datetime, after: int = 0) -> list[JudgedZip]:
        """Return the ZIPs of this root that are opened again when they change.

        They are those of which something may still be sent, those from which no study could be read, and the latest
        kept ones: a program that had one of these open when it was moved may still write to it. Of the first kind, not
        more than `MOST_WATCHED` that came after the delivery `after`. One without a project has no place to go back to.
        """
        rows = self._db.rows(_WATCHED, after, text(now - KEPT_WATCHED), MOST_WATCHED, self._stations.me.root)
        return [one for one in map(judged_zip, rows) if one is not None]

    def mark_changed(self, delivery: int, now: datetime, busy: Item | None = None) -> None:
        """Record that a ZIP has changed: nothing more of it is sent, and its studies that were not sent end.

        What XNAT holds of it stays, since it was judged before it was sent. `busy`: the study whose step found this.
        """
        with self._db.change() as db:
            db.execute(
                "UPDATE deliveries SET sha256 = sha256 || ?, stamp = '' WHERE id = ? AND sha256 NOT LIKE '%' || ?",
                (NO_MORE, delivery, NO_MORE),
            )
            rows = db.execute(
                "SELECT key, standing FROM studies WHERE delivery = ? AND progress = ? AND skip_reason IS NULL",
                (delivery, Progress.RECEIVED),
            ).fetchall()
            for row in rows:
                if Standing(row["standing"]) is not Standing.BUSY:
                    move(db, row["key"], Standing(row["standing"]), Event.UNWANTED, now, **_ENDS)
                elif busy is not None and busy.key == row["key"]:
                    move_taken(db, busy, Event.RETURNED, now, **_ENDS)

    def supersede(self, delivery: int, now: datetime) -> None:
        """Record that the ZIP of a rejected delivery has changed and is opened again as another delivery."""
        with self._db.change() as db:
            db.execute(
                "UPDATE deliveries SET settled = ?, stamp = '' WHERE id = ? AND state = ?",
                (text(now), delivery, DeliveryState.REJECTED),
            )
            tell_delivery(db, delivery, "settled", now, why=CHANGED)

    def release(self, delivery: int, now: datetime) -> None:
        """Record that the ZIP of an ended delivery is kept no longer: it goes back to be opened again."""
        with self._db.change() as db:
            db.execute(
                "UPDATE deliveries SET kept_as = NULL, stamp = '',"
                " settled = CASE state WHEN 'rejected' THEN ? ELSE settled END WHERE id = ?",
                (text(now), delivery),
            )
            tell_delivery(db, delivery, "changed", now, why=CHANGED)

    def copies(self, delivery: int) -> list[JudgedZip]:
        """Return the duplicates of this one's bytes in its root, as they were before its ZIP changed."""
        rows = self._db.rows(f"{_COPIES} AND d.id = ? AND c.root = d.root ORDER BY c.id", NO_MORE, delivery)
        return [one for one in map(judged_zip, rows) if one is not None]

    def copies_of_others(self) -> list[JudgedZip]:
        """Return the duplicates here of ZIPs in other roots that were written to: only they hold the bytes now."""
        if not self._stations.shared:
            return []
        rows = self._db.rows(
            f"{_COPIES} AND c.root = ? AND d.root <> c.root ORDER BY c.id", NO_MORE, self._stations.me.root
        )
        return [one for one in map(judged_zip, rows) if one is not None]


_COPIES = """
SELECT c.* FROM deliveries c JOIN deliveries d ON d.project = c.project AND d.sha256 = c.sha256 || ?
WHERE c.state = 'duplicate' AND c.kept_as IS NOT NULL AND c.deleted IS NULL
"""

_WATCHED = """
SELECT * FROM deliveries WHERE id IN (
  SELECT * FROM (
    SELECT DISTINCT s.delivery FROM studies s INDEXED BY received_studies CROSS JOIN deliveries d ON d.id = s.delivery
    WHERE s.progress = 'received' AND s.skip_reason IS NULL AND s.delivery > ?1
    AND d.state = 'taken' AND d.kind = 'zip' AND d.stamp <> '' AND d.root = ?4 ORDER BY s.delivery LIMIT ?3) AS sent
  UNION ALL
  SELECT id FROM deliveries WHERE state = 'rejected' AND settled IS NULL AND stamp <> '' AND root = ?4
  AND project <> ''
  UNION ALL
  SELECT * FROM (
    SELECT id FROM deliveries INDEXED BY kept_deliveries WHERE kept_as IS NOT NULL AND deleted IS NULL AND ended >= ?2
    AND state IN ('finished', 'duplicate') AND stamp <> '' AND root = ?4 ORDER BY ended DESC LIMIT ?3) AS kept
) ORDER BY id
"""


_ENDS = {"skip_reason": CHANGED, "attempts": 0, "recoveries": 0, "since": None, "due": None, "why": CHANGED,
         "advice": None}  # fmt: skip
