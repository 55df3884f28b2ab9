"""What the ledger knows of ZIPs that others may still write to: what was judged, by its stamp, and that it changed."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta

from xnat_watchd.adapters.ledger.database import Database, text
from xnat_watchd.adapters.ledger.deliveries import tell_delivery
from xnat_watchd.adapters.ledger.transitions import move
from xnat_watchd.core.delivery import CHANGED, Item
from xnat_watchd.core.states import DeliveryState, Event, Progress, Standing

RESTS_WATCHED = timedelta(hours=1)  #: for so long a ZIP at rest is seen to stay as it is
MOST_WATCHED = 100  #: the last ones of them: a look into the folder costs the same however many there are
_NO_MORE = " changed"  #: behind the digest of a ZIP that holds other bytes by now: no ZIP is the same as that one


@dataclass(frozen=True, slots=True)
class JudgedZip:
    """A ZIP of which the content was judged, and how it is known to be that one still."""

    delivery: int
    name: str
    state: DeliveryState
    resting: str | None
    stamp: str  #: of `adapters.stamps`; empty: no proof
    size: int | None  #: in bytes; None where no study came of it
    sha256: str | None


class Overwrites:
    """Stamps of ZIPs, and what becomes of a delivery whose ZIP was written to after it was judged."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def stamp(self, delivery: int, stamp: str) -> None:
        """Keep what the file system says of a delivery's ZIP, where it lies now."""
        with self._db.change() as db:
            db.execute("UPDATE deliveries SET stamp = ? WHERE id = ?", (stamp, delivery))

    def judged(self, delivery: int) -> JudgedZip | None:
        """Return what was judged of a delivery, or None where its ZIP is known to have changed, or there is none."""
        row = self._db.row("SELECT * FROM deliveries WHERE id = ? AND kind = 'zip'", delivery)
        return None if row is None or str(row["sha256"]).endswith(_NO_MORE) else _judged(row)

    def watched(self, now: datetime) -> list[JudgedZip]:
        """Return what is judged anew when it changes: ZIPs of which something may be sent, or no study has come.

        And the last ones that were put to rest: whoever had one of them open then may write to it still.
        """
        rows = self._db.rows(
            """
            SELECT * FROM deliveries d WHERE kind = 'zip' AND stamp <> '' AND (
              (state = 'taken' AND EXISTS (
                SELECT 1 FROM studies s WHERE s.delivery = d.id AND s.progress = 'received' AND s.unwanted IS NULL))
              OR (state = 'rejected' AND settled IS NULL)
              OR id IN (
                SELECT r.id FROM deliveries r WHERE r.state IN ('finished', 'duplicate') AND r.resting IS NOT NULL
                AND r.deleted IS NULL AND r.ended >= ? ORDER BY r.id DESC LIMIT ?))
            ORDER BY id
            """,
            text(now - RESTS_WATCHED),
            MOST_WATCHED,
        )
        return [_judged(row) for row in rows]

    def mark_changed(self, delivery: int, now: datetime, busy: Item | None = None) -> None:
        """Note that a ZIP has changed: nothing more of it is sent, and what was not sent yet ends unsent.

        What XNAT holds of it stays, since what was sent was judged. `busy`: the study at whose step this was found out.
        """
        with self._db.change() as db:
            db.execute(
                "UPDATE deliveries SET sha256 = sha256 || ?, stamp = '' WHERE id = ? AND sha256 NOT LIKE '%' || ?",
                (_NO_MORE, delivery, _NO_MORE),
            )
            rows = db.execute(
                "SELECT key, standing FROM studies WHERE delivery = ? AND progress = ? AND unwanted IS NULL",
                (delivery, Progress.RECEIVED),
            ).fetchall()
            for row in rows:
                if Standing(row["standing"]) is not Standing.BUSY:
                    _end(db, row["key"], Standing(row["standing"]), Event.UNWANTED, now)
                elif busy is not None and busy.key == row["key"]:
                    _end(db, busy.key, Standing.BUSY, Event.RETURNED, now)

    def supersede(self, delivery: int, now: datetime) -> None:
        """Note that the ZIP of a delivery of which no study came has changed, and is looked at under another number."""
        with self._db.change() as db:
            db.execute(
                "UPDATE deliveries SET settled = ?, stamp = '' WHERE id = ? AND state = ?",
                (text(now), delivery, DeliveryState.REJECTED),
            )
            tell_delivery(db, delivery, "settled", now, why=CHANGED)

    def release(self, delivery: int, now: datetime) -> None:
        """Note that the ZIP of a delivery that has ended rests nowhere: it goes back, and is looked at anew."""
        with self._db.change() as db:
            db.execute(
                "UPDATE deliveries SET resting = NULL, stamp = '',"
                " settled = CASE state WHEN 'rejected' THEN ? ELSE settled END WHERE id = ?",
                (text(now), delivery),
            )
            tell_delivery(db, delivery, "changed", now, why=CHANGED)

    def copies(self, delivery: int) -> list[JudgedZip]:
        """Return the deliveries of the bytes that a ZIP held before it changed, which ended as the same as this one."""
        rows = self._db.rows(
            "SELECT c.* FROM deliveries d JOIN deliveries c ON c.project = d.project"
            " AND c.sha256 || ? = d.sha256 WHERE d.id = ? AND c.sha256 = substr(d.sha256, 1, 64)"
            " AND c.state = 'duplicate' AND c.resting IS NOT NULL AND c.deleted IS NULL ORDER BY c.id",
            _NO_MORE,
            delivery,
        )
        return [_judged(row) for row in rows]


def _end(db: sqlite3.Connection, key: int, was: Standing, event: Event, now: datetime) -> None:
    move(db, key, was, event, now, unwanted=CHANGED, attempts=0, recoveries=0, since=None, due=None, why=CHANGED,
         advice=None)  # fmt: skip


def _judged(row: sqlite3.Row) -> JudgedZip:
    return JudgedZip(
        row["id"], row["name"], DeliveryState(row["state"]), row["resting"], row["stamp"], row["size"], row["sha256"]
    )
