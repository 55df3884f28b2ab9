"""The queue: which study may be taken next, and when the next one may be."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime

from xnat_watchd.adapters.ledger.database import moment
from xnat_watchd.adapters.ledger.items import ITEM
from xnat_watchd.adapters.ledger.precedence import GOES_FIRST
from xnat_watchd.adapters.ledger.standings import GOES_ON
from xnat_watchd.core.retry import LONGEST_DELAY
from xnat_watchd.core.states import LINE

_MAY_BE_TAKEN = f"""
{ITEM}
WHERE s.standing IN ('ready', 'waiting') AND (s.standing = 'ready' OR s.due <= :now
       OR s.due > CASE WHEN s.uploads = :last THEN :morning ELSE :horizon END)
  AND (s.skip_reason IS NOT NULL OR s.project NOT IN (SELECT value FROM json_each(:closed)))
  AND (:only = 'null' OR s.key IN (SELECT value FROM json_each(:only)))
  AND NOT EXISTS (SELECT 1 FROM studies o WHERE {GOES_FIRST})
  AND NOT EXISTS (SELECT 1 FROM studies o WHERE o.project = s.project AND o.study_uid = s.study_uid
                  AND o.standing = 'busy')
  AND (s.progress NOT IN ('uploaded', 'archived') OR NOT EXISTS (
       SELECT 1 FROM studies o WHERE o.project = s.project AND o.subject_key = s.subject_key
       AND o.standing = 'busy' AND o.progress IN ('uploaded', 'archived')))
"""

_ON_TRIAL = f"""
{_MAY_BE_TAKEN} AND s.project IN (SELECT value FROM json_each(:trials))
ORDER BY s.trials, (SELECT max(e.id) FROM events e WHERE e.delivery = s.delivery AND e.study = s.key),
  CASE s.progress WHEN 'archived' THEN 0 WHEN 'uploaded' THEN 1 ELSE 2 END, s.due, s.key LIMIT 1
"""

_NEXT = f"{_MAY_BE_TAKEN} AND s.progress = :progress ORDER BY s.due, s.key LIMIT 1"
"""One progress at a time, in the order of the index `to_take`: the first study that may be taken ends the search, so
the cost does not grow with the number of ready studies.
"""


def next_study(db: sqlite3.Connection, trials: bool, asked: Mapping[str, object]) -> sqlite3.Row | None:  # noqa: FBT001 - named there
    """Return the next study that may be taken: one of a project on trial, else one that has come furthest."""
    row: sqlite3.Row | None = db.execute(_ON_TRIAL, asked).fetchone() if trials else None
    for progress in reversed(LINE[:-1]):
        if row is None:
            row = db.execute(_NEXT, {**asked, "progress": progress}).fetchone()
    return row


ONE_DUE = f"""
SELECT s.due FROM studies s WHERE s.standing {GOES_ON} AND s.standing = ?
AND (s.standing = 'ready' OR s.due IS NOT NULL) AND NOT EXISTS (SELECT 1 FROM studies o WHERE {GOES_FIRST})
AND (s.skip_reason IS NOT NULL OR s.project NOT IN (SELECT value FROM json_each(?))) ORDER BY s.due LIMIT 1
"""


def waiting_since(row: sqlite3.Row, now: datetime) -> datetime | None:
    """Return since when XNAT has said "not yet"; now if the service was off, or the clock was set, in between."""
    since, due = moment(row["since"]), moment(row["due"])
    if since is None or (due is not None and since <= now <= due + LONGEST_DELAY):
        return since
    return now
