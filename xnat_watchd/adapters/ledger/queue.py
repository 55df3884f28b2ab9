"""The queue: which study may be taken next, and when the next one may be.

Neither question costs more if there are more studies. Indexes hold those that are ready or wait in the order in which
they are taken. A search begins at the first of each project and ends at one that nothing bars.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from xnat_watchd.adapters.ledger.database import Row, Transaction, moment, text
from xnat_watchd.adapters.ledger.items import ITEM
from xnat_watchd.adapters.ledger.precedence import GOES_FIRST
from xnat_watchd.adapters.ledger.standings import QUEUED
from xnat_watchd.adapters.ledger.stations import Station
from xnat_watchd.core.retry import LONGEST_DELAY, MOST_UPLOADS, NIGHT
from xnat_watchd.core.states import LINE, Progress


@dataclass(frozen=True, slots=True)
class Choice:
    """From which studies the next one is chosen."""

    now: datetime
    station: Station  #: that takes it
    closed: Collection[str] = ()  #: projects of which only studies to be skipped may be taken
    only: Collection[int] | None = None  #: keys of studies; None: any
    trials: Collection[str] = ()  #: projects in which the study that was tried least goes first of all


_TO_SKIP = f"FROM studies s INDEXED BY to_skip WHERE {QUEUED} AND s.skip_reason IS NOT NULL AND s.root = :root"
_IS_CLOSED = "IN (SELECT value FROM json_each(:closed))"
_WAITS_FOR_ITS_FIRST = f"EXISTS (SELECT 1 FROM studies o WHERE {GOES_FIRST})"

_IS_ACTED_ON = """(s.progress IN ('uploaded', 'archived') AND EXISTS (
    SELECT 1 FROM studies o WHERE o.project = s.project AND o.subject_key = s.subject_key
    AND o.may_act_until > :now AND o.key <> s.key))"""
"""XNAT may still be at its subject, as asked by a process that is gone."""

_IS_BARRED = f"""(
  (s.progress IN ('uploaded', 'archived') AND s.subject_key IS NOT NULL AND (s.project, s.subject_key) IN (
    SELECT o.project, o.subject_key FROM studies o
    WHERE o.standing = 'busy' AND o.progress IN ('uploaded', 'archived') AND o.subject_key IS NOT NULL))
  OR {_IS_ACTED_ON}
  OR EXISTS (SELECT 1 FROM studies o WHERE o.project = s.project AND o.study_uid = s.study_uid AND o.standing = 'busy')
  OR {_WAITS_FOR_ITS_FIRST}
)"""
"""Its subject is busy, or the same study of another ZIP is, or goes first."""


def _projects(condition: str) -> str:
    """Return SQL for the table `p` of the projects with queued studies of the root: one search for each project."""
    least = f"SELECT min(s.project) FROM studies s WHERE {QUEUED} AND s.root = :root AND {condition}"
    return f"""
WITH RECURSIVE every (project) AS (
  {least} UNION ALL SELECT ({least} AND s.project > every.project) FROM every WHERE every.project IS NOT NULL
), p AS (SELECT project FROM every WHERE project IS NOT NULL)
"""


_IS_ENROLLED = "EXISTS (SELECT 1 FROM stations WHERE id = :station AND epoch = :epoch)"
"""The station was not found gone since it began."""

# -- the next study ----------------------------------------------------------------------------------------

_MAY_BE_TAKEN = f"""
{ITEM} WHERE {QUEUED} AND s.root = :root AND {_IS_ENROLLED} AND (s.standing = 'ready' OR s.due <= :now)
AND NOT {_IS_BARRED}
AND (s.skip_reason IS NOT NULL OR s.project NOT {_IS_CLOSED})
"""

_FURTHEST = "CASE s.progress WHEN 'archived' THEN 0 WHEN 'uploaded' THEN 1 ELSE 2 END, s.standing, s.due, s.key LIMIT 1"

_OF_THESE = f"{_MAY_BE_TAKEN} AND s.key IN (SELECT CAST(value AS INTEGER) FROM json_each(:only)) ORDER BY {_FURTHEST}"

_ON_TRIAL = f"""
{_MAY_BE_TAKEN} AND s.project IN (SELECT value FROM json_each(:trials))
AND (:only = 'null' OR s.key IN (SELECT CAST(value AS INTEGER) FROM json_each(:only)))
ORDER BY s.trials, (SELECT max(e.id) FROM events e WHERE e.delivery = s.delivery AND e.study = s.key), {_FURTHEST}
"""


def _next(progress: Progress) -> str:
    """Return SQL for the next study of a progress.

    The progress stands in the text: where a bound value may decide which partial index serves, SQLite compiles the
    statement again at each call (it costs ten times what the search does).
    """
    first = f"""
SELECT s.key FROM studies s
WHERE {QUEUED} AND s.root = :root AND s.progress = '{progress}' AND s.project = p.project AND NOT {_IS_BARRED}
"""
    return f"""
{_projects(f"s.progress = '{progress}'")}, found (key) AS (
  SELECT coalesce(
    ({first} AND s.standing = 'ready' ORDER BY s.due, s.key LIMIT 1),
    ({first} AND s.standing = 'waiting' AND s.due <= :now ORDER BY s.due, s.key LIMIT 1))
  FROM p WHERE p.project NOT {_IS_CLOSED}
  UNION ALL
  SELECT key FROM (
    SELECT s.key {_TO_SKIP} AND s.progress = '{progress}'
    AND (s.standing = 'ready' OR s.due <= :now) AND NOT {_IS_BARRED} ORDER BY s.key LIMIT 1) AS unwanted
)
SELECT s.key FROM studies s WHERE s.key IN (SELECT key FROM found) ORDER BY s.standing, s.due, s.key LIMIT 1
"""


_NEXT = f"""
{ITEM} WHERE {_IS_ENROLLED} AND s.key = coalesce(({"), (".join(_next(progress) for progress in reversed(LINE[:-1]))}))
"""
"""The second and the third search are made only where the one before has found nothing."""

_DUE_BY_MISTAKE = """
UPDATE studies SET due = :now WHERE key IN (
  SELECT key FROM studies WHERE standing = 'waiting' AND root = :root AND uploads = :last AND due > :morning
  UNION ALL
  SELECT key FROM studies WHERE standing = 'waiting' AND root = :root
  AND uploads IN (SELECT CAST(value AS INTEGER) FROM json_each(:others)) AND due > :horizon)
"""
"""No study waits for longer than `LONGEST_DELAY`, or `NIGHT` before its last upload; else the clock was set back.

That is looked for when no other study may be taken.
"""


def next_study(db: Transaction, choice: Choice) -> Row | None:
    """Return the next study that may be taken: one of a project on trial, else one that has come furthest."""
    asked = {
        "now": text(choice.now), "closed": json.dumps([*choice.closed]), "trials": json.dumps([*choice.trials]),
        "only": json.dumps(None if choice.only is None else [*choice.only]),
        "root": choice.station.root, "station": choice.station.id, "epoch": choice.station.epoch,
    }  # fmt: skip
    sql = _NEXT if choice.only is None else _OF_THESE
    row: Row | None = db.execute(_ON_TRIAL, asked).fetchone() if choice.trials else None
    row = row or db.execute(sql, asked).fetchone()
    if row is None and _correct_due(db, choice):
        row = db.execute(sql, asked).fetchone()
    return row


def _correct_due(db: Transaction, choice: Choice) -> bool:
    last, now = MOST_UPLOADS - 1, choice.now
    corrected = db.execute(_DUE_BY_MISTAKE, {
        "now": text(now), "morning": text(now + NIGHT), "horizon": text(now + LONGEST_DELAY), "last": last,
        "root": choice.station.root,
        "others": json.dumps([uploads for uploads in range(MOST_UPLOADS + 1) if uploads != last]),
    })  # fmt: skip
    return corrected.rowcount > 0


def waiting_since(row: Row, now: datetime) -> datetime | None:
    """Return since when XNAT has said "not yet"; now if the service was off, or the clock was set, in between."""
    since, due = moment(row["since"]), moment(row["due"])
    if since is None or (due is not None and since <= now <= due + LONGEST_DELAY):
        return since
    return now


# -- when the next one may be taken ------------------------------------------------------------------------

_OF_PROJECT = f"""
SELECT s.due FROM studies s WHERE {QUEUED} AND s.root = :root AND s.project = p.project AND NOT {_WAITS_FOR_ITS_FIRST}
AND NOT {_IS_ACTED_ON}
"""

IS_READY = f"""
{_projects("s.standing = 'ready'")}
SELECT 1 FROM p WHERE p.project NOT {_IS_CLOSED} AND EXISTS ({_OF_PROJECT} AND s.standing = 'ready') UNION ALL
SELECT 1 {_TO_SKIP} AND s.standing = 'ready' LIMIT 1
"""
"""One row if a study is ready. One that waits for the same study of another ZIP does not count."""

NEXT_DUE = f"""
{_projects("s.standing = 'waiting'")}
SELECT min(due) AS due FROM (
  SELECT ({_OF_PROJECT} AND s.standing = 'waiting' AND s.due > '' ORDER BY s.due LIMIT 1) AS due FROM p
  WHERE p.project NOT {_IS_CLOSED} UNION ALL
  SELECT min(s.due) {_TO_SKIP} AND s.standing = 'waiting') AS waiting
"""
"""When the next waiting study may be taken; null if none waits for a time."""
