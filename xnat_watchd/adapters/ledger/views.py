"""Views of the ledger for people: counts, what needs attention, and the events of one item."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from xnat_watchd.adapters.ledger.database import Database, text
from xnat_watchd.adapters.ledger.findings import KINDS_BEHIND, OPEN, as_finding, unsent
from xnat_watchd.adapters.ledger.precedence import GOES_FIRST
from xnat_watchd.adapters.ledger.rows import (
    AttentionRow,
    IgnoredFile,
    LatestDelivery,
    LeftBehindRow,
    TableRow,
    TroubleRow,
    UnderWayRow,
    ZipFate,
    typed,
)
from xnat_watchd.adapters.ledger.standings import GOES_ON, QUEUED
from xnat_watchd.adapters.ledger.stations import Stations
from xnat_watchd.adapters.ledger.transitions import STUCK
from xnat_watchd.core.errors import for_item
from xnat_watchd.core.findings import LEFT_BEHIND, advice, holding, reason_of
from xnat_watchd.core.refusals import SETTLE
from xnat_watchd.core.sharing.row_state import RowState

Rows = list[dict[str, Any]]

MOST_LISTED = 100  #: studies under way that the status lists; it counts all of them

_INSTANCES = """
coalesce((SELECT sum(files) FROM series x WHERE x.study = s.key),
         (SELECT count(*) FROM instances i WHERE i.study = s.key)) AS instances
"""

IMAGES = f"({unsent('s')} + {_INSTANCES.replace(' AS instances', '')})"
"""The number of a study's images, those that could not be read included."""

_FATES = f"""
WITH latest AS (
  SELECT id, state, project, sha256 FROM deliveries WHERE kind = 'zip' AND root = ? ORDER BY id DESC LIMIT ?)
SELECT CAST(d.id AS TEXT) AS item, d.state,
  (SELECT CAST(max(o.id) AS TEXT) FROM deliveries o WHERE d.state = 'duplicate' AND o.project = d.project
   AND o.sha256 = d.sha256 AND o.id <> d.id AND EXISTS (SELECT 1 FROM studies s WHERE s.delivery = o.id)
   AND NOT EXISTS (SELECT 1 FROM studies s WHERE s.delivery = d.id)) AS same_as,
  (SELECT count(*) FROM studies s JOIN instances i ON i.study = s.key AND i.left_behind = 0
   WHERE s.delivery = d.id AND s.progress IN ('archived', 'complete')) AS sent,
  (SELECT count(*) FROM studies s JOIN instances i ON i.study = s.key AND i.left_behind = 0
   WHERE s.delivery = d.id AND s.progress NOT IN ('archived', 'complete') AND s.standing <> 'skipped') AS under_way,
  (SELECT coalesce(sum(f.count), 0) FROM findings f JOIN studies s ON s.key = f.study
   WHERE s.delivery = d.id AND f.settled IS NULL AND s.standing <> 'skipped' AND f.kind <> 'listed and absent')
   AS undecided,
  (SELECT coalesce(sum(f.count), 0) FROM findings f JOIN studies s ON s.key = f.study
   WHERE s.delivery = d.id AND f.settled IS NOT NULL AND f.by NOT LIKE 'delivery %' AND f.kind IN ({KINDS_BEHIND}))
   AS left_behind,
  (SELECT coalesce(sum(f.count), 0) FROM findings f JOIN studies s ON s.key = f.study
   WHERE s.delivery = d.id AND f.kind = 'listed and absent') AS absent,
  coalesce((SELECT json_group_object(c.kind, c.count) FROM clutter c WHERE c.delivery = d.id), '{{}}') AS clutter
FROM latest d ORDER BY d.id DESC
"""


_SHOWN_AS = {
    "kept_as": "resting", "skip_reason": "unwanted", "last_sent": "spoke", "merge_into": "joins", "misplaced": "strays",
}  # fmt: skip
"""Column -> its key in what `show --json` prints: scripts rely on the names that these columns had first."""


_FIRST_OF_PROJECT = f"""
SELECT delivery || '.' || number AS item FROM studies WHERE key = (SELECT min(key) FROM (
  SELECT * FROM (SELECT s.key FROM studies s WHERE {QUEUED} AND s.standing = 'ready' AND s.root = ?2
                 AND s.project = ?1 ORDER BY s.due, s.key LIMIT 1) AS ready UNION ALL
  SELECT * FROM (SELECT s.key FROM studies s WHERE {QUEUED} AND s.standing = 'waiting' AND s.root = ?2
                 AND s.project = ?1 ORDER BY s.due, s.key LIMIT 1) AS waiting UNION ALL
  SELECT key FROM studies WHERE standing {GOES_ON} AND standing = 'busy' AND project = ?1 AND root = ?2) AS first)
"""

_UNDER_WAY = f"""
WITH sooner (key, rank) AS (
  SELECT key, 0 FROM studies WHERE standing {GOES_ON} AND standing = 'busy' AND root = ?2 UNION ALL
  SELECT * FROM (SELECT key, 1 FROM studies WHERE standing {GOES_ON} AND standing = 'ready' AND root = ?2
                 LIMIT ?1) AS ready UNION ALL
  SELECT * FROM (SELECT key, 2 FROM studies WHERE standing {GOES_ON} AND standing = 'waiting' AND due > ''
                 AND root = ?2 ORDER BY due LIMIT ?1) AS soon UNION ALL
  SELECT * FROM (SELECT key, 3 FROM studies WHERE standing {GOES_ON} AND standing = 'waiting' AND due IS NULL
                 AND root = ?2 LIMIT ?1) AS waiting
)
SELECT delivery || '.' || number AS item, project, progress, standing, due,
       coalesce((SELECT 'waits for ' || o.delivery || '.' || o.number
                 || ', which has part of the same study and is ' || o.standing
                 FROM studies o WHERE {GOES_FIRST} ORDER BY o.key LIMIT 1), why) AS why, changed AS at
FROM studies s WHERE key IN (SELECT key FROM sooner ORDER BY rank LIMIT ?1)
ORDER BY standing = 'busy' DESC, key
"""


class Views:
    """Queries only: nothing here changes the ledger.

    What stands in the status is that of this root, and of this station. A delivery that is named is shown whose it is.
    """

    def __init__(self, database: Database, stations: Stations) -> None:
        self._db, self._stations = database, stations

    def deliveries(self) -> dict[str, int]:
        """Count deliveries by state."""
        sql = "SELECT state, count FROM delivery_counts WHERE count > 0 AND root = ? ORDER BY state"
        rows = self._db.rows(sql, self._stations.me.root)
        return {row["state"]: row["count"] for row in rows}

    def studies(self) -> dict[str, dict[str, int]]:
        """Count studies by progress and standing."""
        counts: dict[str, dict[str, int]] = {}
        sql = "SELECT * FROM study_counts WHERE count > 0 AND root = ? ORDER BY progress, standing"
        for row in self._db.rows(sql, self._stations.me.root):
            counts.setdefault(row["progress"], {})[row["standing"]] = row["count"]
        return counts

    def confirmed_projects(self) -> list[str]:
        """Return the projects into which XNAT has taken a study. Any other name is only that of a folder.

        The cost depends on the number of projects: everybody who looks has this asked every few seconds.
        """
        rows = self._db.rows("SELECT DISTINCT project FROM totals WHERE project <> ''")
        return [row["project"] for row in rows]

    def projects(self) -> list[str]:
        """Return the projects for which anything came, whether XNAT has them or not."""
        return [row["project"] for row in self._db.rows("SELECT DISTINCT project FROM deliveries")]

    def ignored(self) -> list[IgnoredFile]:
        """Return the files in the drop folder that are not taken, with the reason and what to do."""
        sql = "SELECT name, why, advice FROM ignored WHERE root = ? ORDER BY advice = '', name"
        return typed(IgnoredFile, self._db.rows(sql, self._stations.me.root))

    def attention(self) -> list[AttentionRow]:
        """Return what a person must decide: held studies, rejected deliveries and the like, newest first.

        A rejected delivery stays until a person has settled it, or until the same bytes come again, which replace it.
        Another ZIP of the same name does not: it may be somebody else's.
        """
        rows = self._rows(
            f"""
            SELECT delivery || '.' || number AS item, project, why, advice, changed AS at, key FROM studies
            WHERE standing {GOES_ON} AND standing = 'held' AND root = ?1
            UNION ALL
            SELECT delivery || '.' || number, project, why, advice, changed, key FROM studies
            WHERE key IN (SELECT study FROM findings WHERE settled IS NULL AND kind <> 'listed and absent')
            AND skip_reason IS NULL AND standing <> 'held' AND root = ?1
            UNION ALL
            SELECT CAST(id AS TEXT), project, why, advice || ' {SETTLE}', ended,
                   NULL
            FROM deliveries d WHERE state = 'rejected' AND settled IS NULL AND root = ?1 AND NOT EXISTS (
              SELECT 1 FROM deliveries n WHERE n.project = d.project AND n.sha256 = d.sha256 AND n.id > d.id)
            UNION ALL
            SELECT s.delivery || '.' || s.number, p.project,
                   'what lies at a place of ours in XNAT is not proved to be ours',
                   'Ask the XNAT administrator whose it is: /prearchive/projects/' || p.project || '/' || p.timestamp
                   || CASE WHEN p.folder LIKE 'watchd-%' THEN '/' || p.folder ELSE '' END  -- another may be a PatientID
                   || '. Once it is gone from there: `xnat-watchd verify ITEM`.',
                   coalesce(p.ended, p.chosen), NULL
            FROM places p JOIN studies s ON s.key = p.study WHERE p.mixed = 1 AND p.settled IS NULL AND s.root = ?1
            UNION ALL
            SELECT CAST(delivery AS TEXT), project, 'what lies at a place of ours in XNAT is not proved to be ours',
                   'Ask the XNAT administrator whose it is: /prearchive/projects/' || project || '/' || timestamp
                   || '/' || folder || '. The service sees when it is gone from there.', ended, NULL
            FROM early_places WHERE mixed = 1
            UNION ALL
            SELECT delivery || '.' || number, project,
                   'XNAT lacks ' || lost || ' of its images, which it was seen to hold',
                   'Ask who removed them. `xnat-watchd verify ITEM` looks again, `xnat-watchd resend ITEM` sends them'
                   || ' again. If it is right so: `xnat-watchd accept ITEM --why TEXT`.', changed, NULL
            FROM studies WHERE lost > 0 AND lost > loss_accepted AND root = ?1
            ORDER BY at DESC
            """,
            self._stations.me.root,
        )
        return typed(AttentionRow, map(self._with_findings, rows))

    def _with_findings(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a row of `attention` with the reason and advice of the study's open findings, if it has any."""
        key = row.pop("key")
        found = holding(map(as_finding, self._db.rows(OPEN, key))) if key is not None else ()
        why, what_to_do = (reason_of(found), advice(found)) if found else (row["why"], row["advice"] or "")
        return {**row, "why": why, "advice": for_item(what_to_do, row["item"])}

    def left_behind(self, key: int | None = None) -> list[LeftBehindRow]:
        """Return the studies here, or this one, of which a person has decided that some images are not sent to XNAT.

        `images`: the number that is sent; `of`: the number of all.
        """
        rows = self._db.rows(
            f"""
            SELECT s.delivery || '.' || s.number AS item, s.project, {IMAGES} - behind AS images, {IMAGES} AS "of",
                   f.why
            FROM (SELECT f.study, sum(f.count) AS behind, group_concat(f.why, '; ') AS why FROM findings f
                  WHERE f.settled IS NOT NULL AND f.by NOT LIKE 'delivery %' AND f.kind IN ({KINDS_BEHIND})
                  AND (CAST(?1 AS INTEGER) IS NULL OR f.study = ?1) GROUP BY f.study) f
            JOIN studies s ON s.key = f.study WHERE f.study = ?1 OR s.root = ?2 ORDER BY s.key
            """,
            key, self._stations.me.root,
        )  # fmt: skip
        return typed(LeftBehindRow, rows)

    def fates(self, most: int) -> list[ZipFate]:
        """Return what became of the members of the latest ZIPs, the oldest first, in numbers without names.

        `sent`: images in XNAT's archive; `under_way`: images on their way there; `undecided`: images about which a
        person must decide; `left_behind`: images that stay in the ZIP; `absent`: images that a DICOMDIR lists and the
        ZIP lacks; `clutter`: members that are no images, by kind; `same_as`: the delivery that holds the same bytes.
        """
        rows = self._rows(_FATES, self._stations.me.root, most)
        return typed(ZipFate, ({**row, "clutter": json.loads(row["clutter"])} for row in reversed(rows)))

    def delayed(self, since: datetime) -> list[TroubleRow]:
        """Return the studies that are not held and have met trouble since before then."""
        rows = self._rows(
            f"""
            SELECT delivery || '.' || number AS item, project, progress || ', and does not get on: ' || why AS why,
                   advice, delayed AS at, 1 AS passes
            FROM studies WHERE standing {GOES_ON} AND standing <> 'held' AND delayed < ?
            AND why IS NOT NULL AND root = ? ORDER BY delayed
            """,
            text(since), self._stations.me.root,
        )  # fmt: skip
        return typed(TroubleRow, ({**row, "advice": for_item(row["advice"] or "", row["item"])} for row in rows))

    def locked(self, since: datetime) -> list[TroubleRow]:
        """Return the studies whose row XNAT has been archiving since before then, and whose answer was lost.

        The row may stay after the study has gone on at another place: then only the row is left to be removed.
        """
        rows = self._rows(
            """
            SELECT s.delivery || '.' || s.number AS item, s.project, s.why, s.advice, p.locked AS at, 1 AS passes,
                   p.ended IS NOT NULL OR s.standing = 'done' AS is_left,
                   p.timestamp || CASE WHEN p.folder LIKE 'watchd-%' THEN '/' || p.folder ELSE '' END AS place
            FROM places p JOIN studies s ON s.key = p.study
            WHERE p.doubted IS NOT NULL AND p.locked < ? AND (s.standing <> 'held' OR p.ended IS NOT NULL)
            AND s.root = ? ORDER BY p.id
            """,
            text(since), self._stations.me.root,
        )  # fmt: skip
        return typed(TroubleRow, map(_locked, rows))

    def waiting_projects(self, projects: Collection[str]) -> dict[str, str]:
        """Return those of the projects that have studies ready, busy or waiting, each with the name of the first."""
        rows = {name: self._db.row(_FIRST_OF_PROJECT, name, self._stations.me.root) for name in projects}
        return {name: row["item"] for name, row in rows.items() if row}

    def under_way(self) -> list[UnderWayRow]:
        """Return studies that are not done and not held, busy ones first; one may wait for another delivery.

        They are `MOST_LISTED` at most. Those that may be worked on soonest count before those that wait for a setting.
        """
        return typed(UnderWayRow, self._db.rows(_UNDER_WAY, MOST_LISTED, self._stations.me.root))

    def latest(self, most: int) -> list[LatestDelivery]:
        """Return the latest deliveries, the oldest first, each with its studies' progress and standing."""
        sql = "SELECT id, name, project, state, why FROM deliveries WHERE root = ? ORDER BY id DESC LIMIT ?"
        deliveries = self._rows(sql, self._stations.me.root, most)
        for delivery in deliveries:
            delivery["studies"] = self._rows(
                f"SELECT number, progress, standing, subject, label, why, {_INSTANCES} FROM studies s"
                " WHERE delivery = ? ORDER BY number",
                delivery["id"],
            )
        return typed(LatestDelivery, reversed(deliveries))

    def delivery(self, number: int) -> dict[str, Any] | None:
        """Return one delivery with its studies, its places and every event of it."""
        found = self._rows(
            "SELECT d.*, t.name AS taken_by FROM deliveries d JOIN stations t ON t.id = d.station WHERE d.id = ?",
            number,
        )
        if not found:
            return None
        studies = self._rows(
            f"SELECT s.*, {_INSTANCES}, {IMAGES} AS images FROM studies s WHERE delivery = ? ORDER BY number",
            number,
        )
        for study in studies:
            study["findings"] = self._findings(study["key"])
            study["advice"] = for_item(study["advice"] or "", f"{number}.{study['number']}")
            study["left_behind"] = sum(
                one["count"] for one in study["findings"]
                if one["settled"] and one["kind"] in LEFT_BEHIND and not one["by"].startswith("delivery ")
            )  # fmt: skip
            study["series"] = self._rows(
                "SELECT x.number, x.modality, x.left_out, x.accepted, coalesce(x.files, count(i.sop_uid)) AS instances,"
                " coalesce(sum(i.left_behind), 0) AS left_behind"
                " FROM series x LEFT JOIN instances i ON i.study = x.study AND i.series = x.uid WHERE x.study = ?"
                " GROUP BY x.study, x.uid, x.number, x.modality, x.left_out, x.accepted, x.files",
                study["key"],
            )
            places = self._rows("SELECT * FROM places WHERE study = ? ORDER BY id", study["key"])
            study["places"] = [*map(_shown, places)]
        events = self._rows(
            "SELECT e.at, s.number, e.event, e.progress, e.standing, e.why, e.detail, e.who FROM events e"
            " LEFT JOIN studies s ON s.key = e.study WHERE e.delivery = ? ORDER BY e.id",
            number,
        )
        taken_by = found[0].pop("taken_by") if self._db.shared else ""
        return {
            **_shown(found[0]),
            "station": taken_by,
            "clutter": self.clutter(number),
            "studies": [*map(_shown, studies)],
            "events": events,
        }

    def clutter(self, delivery: int) -> dict[str, int]:
        """Return how many members of a ZIP are certainly no images, by kind."""
        rows = self._db.rows("SELECT kind, count FROM clutter WHERE delivery = ?", delivery)
        return {row["kind"]: row["count"] for row in rows}

    def _findings(self, key: int) -> Rows:
        rows = self._rows(
            "SELECT kind, count, why, members, found, settled, by, reason FROM findings WHERE study = ? ORDER BY id",
            key,
        )
        return [{**row, "members": json.loads(row["members"])} for row in rows]

    def held(self) -> dict[str, int]:
        """Return the held studies of this root: name -> key."""
        return self._keys(f"standing {GOES_ON} AND standing = 'held' AND root = ?", self._stations.me.root)

    def stuck(self) -> dict[str, int]:
        """Return the studies of this root that `retry` moves, which are held or wait: name -> key."""
        return self._keys(f"{STUCK} AND root = ?", self._stations.me.root)

    def rejected(self, delivery: int) -> bool:
        """Return whether this delivery was rejected."""
        return bool(self._db.row("SELECT 1 FROM deliveries WHERE id = ? AND state = 'rejected'", delivery))

    def keys(self, delivery: int, number: int | None) -> dict[str, int]:
        """Return the studies of a delivery, or the one of this number: name -> key."""
        return self._keys("delivery = ?1 AND (CAST(?2 AS INTEGER) IS NULL OR number = ?2)", delivery, number)

    def standing(self, key: int) -> str:
        """Return a study's standing."""
        row = self._db.row("SELECT standing FROM studies WHERE key = ?", key)
        return str(row["standing"]) if row else ""

    def share_tables(self) -> list[TableRow]:
        """Return each share table: its name, the number of rows in each state, and why it cannot be read."""
        counts: dict[str, dict[str, int]] = {}
        me = self._stations.me.id
        sql = "SELECT name, state, count(*) AS n FROM share_rows WHERE station = ? GROUP BY name, state"
        for row in self._db.rows(sql, me):
            counts.setdefault(row["name"], {})[row["state"]] = row["n"]
        sql = "SELECT name, checked, why, advice FROM share_tables WHERE station = ? ORDER BY name"
        tables = self._db.rows(sql, me)
        return typed(TableRow, ({**dict(one), "rows": _ordered(counts.get(one["name"], {}))} for one in tables))

    def _keys(self, condition: str, *values: object) -> dict[str, int]:
        sql = f"SELECT key, delivery, number FROM studies WHERE {condition} ORDER BY key"
        rows = self._db.rows(sql, *values)
        return {f"{r['delivery']}.{r['number']}": r["key"] for r in rows}

    def _rows(self, sql: str, *values: object) -> Rows:
        return [dict(row) for row in self._db.rows(sql, *values)]


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {_SHOWN_AS.get(column, column): value for column, value in row.items()}


def _locked(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of `locked` with the study's reason and advice, or with its own if the study has gone on."""
    is_left, place = row.pop("is_left"), row.pop("place")
    if is_left:
        row |= {
            "why": "a row of it stays locked in XNAT, which may have died while it archived",
            "advice": "Ask the XNAT administrator to set its status back to READY in the database (table "
            f"xdat_search.prearchive), or to remove it: /prearchive/projects/{row['project']}/{place}. If it is ours "
            "alone, it is removed by itself then.",
        }
    return {**row, "advice": for_item(row["advice"] or "", row["item"])}


def _ordered(counts: Mapping[str, int]) -> dict[str, int]:
    return {state: counts[state] for state in RowState if state in counts}
