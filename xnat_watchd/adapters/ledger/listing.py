"""The list of deliveries: what came, where each one is now, and why one did not arrive."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from xnat_watchd.adapters.ledger.database import Database, text
from xnat_watchd.adapters.ledger.rows import ListedDelivery, typed
from xnat_watchd.adapters.ledger.views import IMAGES
from xnat_watchd.core.errors import for_item

MOST = 2**62  #: all of them
LONGEST_NAME = 255  #: characters of a file's name; labels are shorter


class DeliveryOutcome(StrEnum):
    """Where a delivery is, as people ask for it: one word over its own state and those of its studies."""

    NOT_TAKEN = "not taken"  #: it lies in the drop folder
    ARRIVING = "arriving"
    UNDER_WAY = "under way"
    HELD = "held"  #: at least one of its studies is
    FAILED = "failed"  #: no study came of it
    COMPLETE = "complete"  #: XNAT has all of it
    DUPLICATE = "duplicate"
    SKIPPED = "skipped"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class DeliveryQuery:
    """Which deliveries are listed. What is empty does not restrict them."""

    outcome: str = ""
    project: str = ""
    since: datetime | None = None
    words: Sequence[
        str
    ] = ()  #: each occurs in the name of the file, the subject's label or the session's, or is a place
    before: int = 0  #: only deliveries with a smaller number, and nothing that is not taken
    station: str = ""  #: only what the station of this name has taken


class DeliveryListing:
    """One query only: nothing here changes the ledger."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def rows(self, query: DeliveryQuery, most: int = MOST) -> list[ListedDelivery]:
        """Return the deliveries that fit, the newest first, at most so many.

        What lies in the drop folder and is not taken comes before them, without a number. `state`: a `DeliveryOutcome`;
        `images`: in all of its studies; `why` and `advice`: what keeps it, if anything; `same_as`: the first delivery
        of the same bytes.
        """
        values = (query.outcome, query.project, text(query.since) if query.since else "")
        if any(len(word) > LONGEST_NAME for word in query.words):
            return []  # SQLite refuses to look for a very long one
        patterns = json.dumps([_contains(word) for word in query.words])
        untaken = [] if query.before or query.station else self._db.rows(_UNTAKEN, *values, most, patterns)
        shared = int(self._db.shared)
        rows = [*map(dict, self._db.rows(_ROWS, *values, most, patterns, query.before, query.station, shared))]
        return typed(ListedDelivery, [*untaken, *map(_with_advice, rows)])

    def latest_names(self, most: int) -> list[str]:
        """Return the names of the latest files and of their subjects and sessions, the newest first."""
        rows = self._db.rows(_NAMES, most)
        return [*dict.fromkeys(name for row in rows for name in (row["file"], row["subject"], row["label"]) if name)]

    def same_as(self, delivery: int) -> int | None:
        """Return the first delivery of the same bytes, if this one is a duplicate of it."""
        row = self._db.row(f"SELECT {_SAME_AS} AS same_as FROM deliveries d WHERE d.id = ?", delivery)
        return row["same_as"] if row else None


def _with_advice(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row whose advice names the study that it is about."""
    kept = row.pop("kept") or row["item"]
    return {**row, "advice": row["advice"] and for_item(row["advice"], kept)}


def _contains(word: str) -> str:
    """Return the pattern of LIKE for texts that contain this word, whatever signs it has."""
    for sign in ("\\", "%", "_"):
        word = word.replace(sign, f"\\{sign}")
    return f"%{word}%"


_HAS_WORDS = """
NOT EXISTS (SELECT 1 FROM json_each(?5) w WHERE NOT (lower(d.name) LIKE lower(w.value) ESCAPE '\\'))
"""
_HAS_WORDS_OR_LABELS = """
NOT EXISTS (SELECT 1 FROM json_each(?5) w WHERE NOT (lower(d.name) LIKE lower(w.value) ESCAPE '\\' OR EXISTS (
  SELECT 1 FROM studies s WHERE s.delivery = d.id
  AND (lower(s.subject) LIKE lower(w.value) ESCAPE '\\' OR lower(s.label) LIKE lower(w.value) ESCAPE '\\' OR EXISTS (
    SELECT 1 FROM places p WHERE p.study = s.key AND w.value = '%' || p.folder || '%')))))
"""
"""Every word occurs. All are one value: a shell makes a thousand of `*`, and SQLite refuses as many conditions.

A place counts only by its whole name, as XNAT shows it: its random part may hold any word.
"""

_UNTAKEN = f"""
SELECT '' AS item, 'not taken' AS state, d.name, '' AS project, NULL AS size, d.since AS arrived, NULL AS ended,
  0 AS images, d.why, d.advice, NULL AS same_as,
  coalesce((SELECT min(t.name) FROM stations t WHERE d.root <> '' AND t.root = d.root), '') AS station
FROM ignored d WHERE ?1 IN ('', 'not taken') AND ?2 = '' AND d.since >= ?3 AND ?4 <> 0 AND {_HAS_WORDS}
"""

_STATE = """
CASE WHEN d.state = 'rejected' THEN 'failed'
     WHEN d.state IN ('arriving', 'duplicate', 'withdrawn') THEN d.state
     WHEN EXISTS (SELECT 1 FROM studies s WHERE s.delivery = d.id AND s.standing = 'held') THEN 'held'
     WHEN EXISTS (SELECT 1 FROM studies s WHERE s.delivery = d.id AND s.standing IN ('ready', 'busy', 'waiting'))
     THEN 'under way'
     WHEN EXISTS (SELECT 1 FROM studies s WHERE s.delivery = d.id AND s.standing = 'done') THEN 'complete'
     ELSE 'skipped' END
"""

_KEPT_BY = """
(SELECT s.{column} FROM studies s WHERE s.delivery = d.id AND s.standing IN ('held', 'waiting') AND s.why IS NOT NULL
 ORDER BY s.standing = 'held' DESC, s.number LIMIT 1)
"""

_SAME_AS = """
(SELECT min(o.id) FROM deliveries o
 WHERE d.state = 'duplicate' AND o.project = d.project AND o.sha256 = d.sha256 AND o.id < d.id)
"""

_NAMES = """
SELECT d.name AS file, s.subject, s.label FROM (SELECT id, name FROM deliveries ORDER BY id DESC LIMIT ?) d
LEFT JOIN studies s ON s.delivery = d.id ORDER BY d.id DESC
"""

_ROWS = f"""
SELECT CAST(d.id AS TEXT) AS item, {_STATE} AS state, d.name, d.project, d.size, d.arrived, d.ended,
  coalesce((SELECT sum({IMAGES}) FROM studies s WHERE s.delivery = d.id), 0) AS images,
  coalesce(d.why, {_KEPT_BY.format(column="why")}) AS why,
  CASE WHEN d.settled IS NULL THEN coalesce(d.advice, {_KEPT_BY.format(column="advice")}) END AS advice,
  {_KEPT_BY.format(column="delivery || '.' || s.number")} AS kept,
  CAST({_SAME_AS} AS TEXT) AS same_as,
  CASE WHEN ?8 = 1 THEN (SELECT t.name FROM stations t WHERE t.id = d.station) ELSE '' END AS station
FROM deliveries d
WHERE ?1 IN ('', {_STATE}) AND ?2 IN ('', d.project) AND d.arrived || '' >= ?3  -- not by its index
AND (?6 = 0 OR d.id < ?6) AND (?7 = '' OR d.station = (SELECT t.id FROM stations t WHERE t.name = ?7))
AND {_HAS_WORDS_OR_LABELS}
ORDER BY d.id DESC LIMIT ?4
"""
