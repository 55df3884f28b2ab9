"""The ZIPs that are kept, and what XNAT was last seen to hold of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

from xnat_watchd.adapters.ledger.database import Database, Transaction, moment, text
from xnat_watchd.adapters.ledger.standings import GOES_ON
from xnat_watchd.adapters.ledger.stations import Stations
from xnat_watchd.core.delivery import Item
from xnat_watchd.core.retention import KeptZip


class KeptZips:
    """ZIPs that are kept until the rules of retention allow their deletion."""

    def __init__(self, database: Database, stations: Stations) -> None:
        self._db, self._stations = database, stations

    def kept(self) -> list[KeptZip]:
        """Return every kept ZIP of this root, with the studies whose images it holds."""
        return [
            KeptZip(
                delivery=row["id"], project=row["project"], kept_as=row["kept_as"], sha256=row["sha256"],
                size=row["size"], since=datetime.fromisoformat(row["ended"]),
                studies=tuple(json.loads(row["studies"])), stays=row["stays"],
            )
            for row in self._db.rows(_KEPT, self._stations.me.root)
        ]  # fmt: skip

    def record_proof(self, kept: KeptZip, why: str, now: datetime) -> None:
        """Record that XNAT was seen to hold all of a ZIP, before it is deleted."""
        with self._db.change() as db:
            _tell(db, kept.delivery, "proved", why, now)

    def record_kept(self, kept: KeptZip, why: str, now: datetime) -> None:
        """Record why a ZIP is not deleted although its time has come; only once while the reason is the same."""
        with self._db.change() as db:
            last = db.execute(
                "SELECT event, why FROM events WHERE delivery = ? ORDER BY id DESC LIMIT 1", (kept.delivery,)
            ).fetchone()
            if tuple(last) != ("kept", why):
                _tell(db, kept.delivery, "kept", why, now)

    def delete(self, kept: KeptZip, now: datetime, remove: Callable[[], None]) -> bool:
        """Delete a ZIP and record that, if it is still kept in this root and nothing of it is under way again.

        Both happen in one transaction. A person's `resend` comes before it, and the ZIP stays; or it comes after it,
        and the person is told that the ZIP was deleted.
        """
        with self._db.change() as db:
            where = kept.delivery, kept.kept_as, json.dumps(kept.studies), self._stations.me.root
            if db.execute(_STILL_KEPT, where).fetchone() is None:
                return False
            remove()
            db.execute("UPDATE deliveries SET deleted = ? WHERE id = ?", (text(now), kept.delivery))
            _tell(db, kept.delivery, "deleted", "by the rules of [retention]", now)
            return True

    def record_lost(self, item: Item, images: int) -> None:
        """Record how many images of a study XNAT lacks that it was seen to hold before; 0 when it has all of them."""
        with self._db.change() as db:
            db.execute("UPDATE studies SET lost = ? WHERE key = ? AND lost <> ?", (images, item.key, images))

    def record_verified(self, item: Item, why: str, now: datetime) -> None:
        """Record what XNAT was seen to hold of a study."""
        with self._db.change() as db:
            db.execute(
                "INSERT INTO events (at, delivery, study, event, progress, why) VALUES (?,?,?,?,?,?)",
                (text(now), item.delivery, item.key, "verified", item.progress, why),
            )

    def archived_since(self, since: datetime) -> list[int]:
        """Return the studies in XNAT's archive that have changed in the ledger since then."""
        rows = self._db.rows(
            "SELECT key FROM studies WHERE progress IN ('archived', 'complete') AND changed >= ? ORDER BY key",
            text(since),
        )
        return [row["key"] for row in rows]

    def last_event(self) -> datetime | None:
        """Return the time of the last event, or of the end of the last pause if that is later."""
        row = self._db.row(
            "SELECT max(at) AS at"
            " FROM (SELECT max(at) AS at FROM events UNION ALL SELECT max(until) FROM pauses) AS last"
        )
        return moment(row["at"]) if row else None


def _tell(db: Transaction, delivery: int, event: str, why: str, now: datetime) -> None:
    db.execute("INSERT INTO events (at, delivery, event, why) VALUES (?,?,?,?)", (text(now), delivery, event, why))


_KEPT = """
WITH kept AS (
  SELECT d.*, coalesce(
           (SELECT s.delivery FROM studies s WHERE s.delivery = d.id LIMIT 1),
           (SELECT max(o.id) FROM deliveries o JOIN studies s ON s.delivery = o.id
            WHERE o.project = d.project AND o.sha256 = d.sha256)) AS bytes_of  -- or of another with the same bytes
  FROM deliveries d
  WHERE d.kind = 'zip' AND d.root = ?
  AND d.state IN ('finished', 'duplicate') AND d.kept_as IS NOT NULL AND d.deleted IS NULL
)
SELECT d.id, d.project, d.kept_as, d.sha256, d.size, d.ended, json_group_array(s.key) AS studies,
       CASE
         WHEN count(*) FILTER (WHERE s.standing <> 'done') > 0 THEN 'not all of it was sent'
         -- some of it may lie here alone: also where a person has accepted what was found
         WHEN count(*) FILTER (WHERE EXISTS (SELECT 1 FROM findings f WHERE f.study = s.key)) > 0
         THEN 'something was wrong with its content'
         WHEN count(*) FILTER (WHERE EXISTS (
           SELECT 1 FROM studies o
           WHERE o.project = s.project AND o.study_uid = s.study_uid AND o.standing = 'held')) > 0
         THEN 'another ZIP of its study is held'
         WHEN count(*) FILTER (WHERE EXISTS (
           SELECT 1 FROM series x JOIN studies o ON o.key = x.study JOIN series y ON y.uid = x.uid
           WHERE o.project = s.project AND o.study_uid = s.study_uid AND x.left_out = 1 AND y.study = s.key)) > 0
         THEN 'XNAT leaves out a series of it'
         -- what came to XNAT from elsewhere may be something else: it lists the UIDs of images, not their contents
         WHEN count(*) FILTER (WHERE EXISTS (
           SELECT 1 FROM instances i WHERE i.study = s.key AND i.place IS NULL AND i.left_behind = 0 AND NOT EXISTS (
             SELECT 1 FROM studies o JOIN instances j ON j.study = o.key
             WHERE o.project = s.project AND o.study_uid = s.study_uid AND j.sop_uid = i.sop_uid
             AND j.place IS NOT NULL AND (j.size, j.crc) = (i.size, i.crc)
             AND (length(j.digest) = 0 OR length(i.digest) = 0 OR j.digest = i.digest)))) > 0
         THEN 'XNAT had images of it from elsewhere, and tells their UIDs only'
         ELSE ''
       END AS stays
FROM kept d JOIN studies s ON s.delivery = d.bytes_of
GROUP BY d.id, d.project, d.kept_as, d.sha256, d.size, d.ended ORDER BY d.id
"""

_STILL_KEPT = f"""
SELECT 1 FROM deliveries d WHERE d.id = ?1 AND d.kept_as = ?2 AND d.root = ?4 AND d.deleted IS NULL
AND d.state IN ('finished', 'duplicate') AND NOT EXISTS (
  SELECT 1 FROM studies s WHERE s.key IN (SELECT CAST(value AS INTEGER) FROM json_each(?3)) AND s.standing {GOES_ON})
"""
