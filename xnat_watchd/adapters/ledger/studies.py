"""Studies: the progress of each, and whether the service may act on it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from xnat_watchd.adapters.ledger.database import Database, Transaction, moment, text
from xnat_watchd.adapters.ledger.early_places import end_sendings
from xnat_watchd.adapters.ledger.fences import must_be_under
from xnat_watchd.adapters.ledger.healing import REPLACED, settle_healed
from xnat_watchd.adapters.ledger.items import ITEM, as_item
from xnat_watchd.adapters.ledger.people import claim, must_be_its_persons, record_person
from xnat_watchd.adapters.ledger.queue import IS_READY, NEXT_DUE, Choice, next_study, waiting_since
from xnat_watchd.adapters.ledger.rows import HeldStudy
from xnat_watchd.adapters.ledger.standings import GOES_ON
from xnat_watchd.adapters.ledger.stations import Stations
from xnat_watchd.adapters.ledger.transitions import move, move_taken, set_columns, stand
from xnat_watchd.core.delivery import CHANGED, Item
from xnat_watchd.core.errors import InDoubt, NotYet, RepeatOnce, Scope, Stopped, WatchdError
from xnat_watchd.core.retry import MOST_UPLOADS
from xnat_watchd.core.states import LINE, Event, Progress, Standing, next_progress

CREATES = "creates subject"  #: an event in a study's story
STILL_THE_SAME = timedelta(hours=1)  #: how long the same reason to wait for XNAT makes no new event
NOTHING_TO_SEND = "nothing of it is sent, as a person has accepted"
UNWANTED = "a person wanted it no more"
FATAL_RECOVERIES = 3  #: a study that was busy at so many starts may be what ends the service

UNTOLD = "the connection to the ledger's database was lost when it was taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFacts:
    """What one step found out. A value that is None stays as it was in the ledger; `note` goes into the event."""

    server_uid: str | None = None
    subject: str | None = None
    label: str | None = None
    session: str | None = None
    subject_id: str | None = None  #: accession ID of the subject
    left_out: frozenset[str] = frozenset()
    creates_subject: bool = False  #: XNAT has no such subject yet: our archiving will create it
    note: str = ""


class Studies:
    """Studies, and the people of their subject labels."""

    def __init__(self, database: Database, stations: Stations) -> None:
        self._db, self._stations = database, stations

    # How a study moves.

    def any_busy(self, project: str = "") -> bool:
        """Return whether any study, or any of this project, is being worked on at whichever station."""
        sql = f"SELECT 1 FROM studies WHERE standing {GOES_ON} AND standing = 'busy' AND ? IN ('', project)"
        return bool(self._db.row(sql, project))

    def any_busy_here(self) -> bool:
        """Return whether any study is being worked on at this station."""
        sql = f"SELECT 1 FROM studies WHERE standing {GOES_ON} AND standing = 'busy' AND owner = ?"
        return bool(self._db.row(sql, self._stations.me.id))

    def recover(self, now: datetime, lateness: timedelta = timedelta(0)) -> list[str]:
        """Put what this station has left busy in doubt; hold what was so too often. Return the names of the studies.

        `lateness`: for how long XNAT may still act on them. Until one is settled, no other of its subject is archived.
        """
        until = text(now + lateness)
        with self._db.change() as db:
            end_sendings(db, self._stations.me.id, until)
            rows = db.execute(_BUSY_HERE, (self._stations.me.id,)).fetchall()
            for row in rows:
                if row["progress"] == Progress.UPLOADED:  # it may be archived already: the answer may be lost
                    record_person(db, row["key"])
                times = row["recoveries"] + 1
                if times >= FATAL_RECOVERIES:
                    why = f"the service died {times} times while it worked on this study"
                    move(db, row["key"], Standing.BUSY, Event.HELD, now, recoveries=times, in_doubt=1, why=why,
                         may_act_until=until,
                         advice="Report it with the journal; `xnat-watchd retry ITEM` tries once more.")  # fmt: skip
                else:
                    move(db, row["key"], Standing.BUSY, Event.RECOVERED, now, recoveries=times, in_doubt=1,
                         may_act_until=until)  # fmt: skip
            return [f"{row['delivery']}.{row['number']}" for row in rows]

    def busy_here(self) -> dict[int, int]:
        """Return the studies that this station has taken: key -> fence."""
        return {row["key"]: row["fence"] for row in self._db.rows(_BUSY_HERE, self._stations.me.id)}

    def return_untold(self, key: int, fence: int, now: datetime) -> bool:
        """Make a study ready that was taken while the connection was lost, so that no worker knows of it.

        Return False if it is another's since, or is not busy any more.
        """
        with self._db.change() as db:
            sql = "SELECT 1 FROM studies WHERE key = ? AND fence = ? AND standing = 'busy'"
            if db.execute(sql, (key, fence)).fetchone() is None:
                return False
            move(db, key, Standing.BUSY, Event.RETURNED, now, fence, in_doubt=1, why=UNTOLD, detail=None, advice=None)
            return True

    def take(
        self,
        now: datetime,
        closed: Collection[str] = (),
        only: Collection[int] | None = None,
        trials: Collection[str] = (),
    ) -> Item | None:
        """Take the next study that may be worked on, and record that we are about to act.

        Taking is no event if it is only to look whether XNAT is ready: what is found then may be one.

        The study that has come furthest is first, so that studies get done. Never two of one subject are in the archive
        step (F38), and never a study whose StudyInstanceUID is under way from an earlier ZIP. A station that was found
        gone takes nothing until it has begun anew, and none takes what it cannot read. Of the `closed` projects
        only studies to be skipped are taken. With `only`, one of these keys is taken. In a project on `trials` the
        study that was tried least there goes first of all.
        """
        me = self._stations.me
        with self._db.change() as db:
            row = next_study(db, Choice(now, me, closed, only, trials))
            if row is None:
                return None
            attempts, fence = row["attempts"] + 1, row["fence"] + 1
            since = waiting_since(row, now)
            put = move if since is None else stand
            put(db, row["key"], Standing(row["standing"]), Event.TAKEN, now, row["fence"], attempts=attempts, due=None,
                owner=me.id, fence=fence)  # fmt: skip
            return as_item(db, row, fence, attempts, since)

    def get(self, key: int) -> Item:
        """Return a study without taking it."""
        with self._db.change() as db:
            row = db.execute(ITEM + "WHERE s.key = ?", (key,)).fetchone()
            return as_item(db, row, row["fence"], row["attempts"], moment(row["since"]))

    def advance(self, item: Item, now: datetime, facts: StepFacts, until: Progress) -> Progress:
        """Record the next progress with the facts that prove it. Return the progress reached.

        Of an archived study it is recorded for good that the subject label which it claims belongs to its person.
        """
        reached = next_progress(item.progress)
        event = Event.ADVANCED
        if reached is LINE[-1]:
            event = Event.FINISHED
        elif LINE.index(reached) >= LINE.index(until):
            event = Event.PARKED
        with self._db.change() as db:
            if facts.left_out:
                _leave_out(db, item.key, facts.left_out)
            if reached is Progress.ARCHIVED:
                record_person(db, item.key)
            move_taken(db, item, event, now, detail=facts.note or None, progress=reached, attempts=0,
                 recoveries=0, trials=0, refusal=None, delayed=None, in_doubt=0, since=None, due=None, advice=None,
                 may_act_until=None, why=_waits_for(until) if event is Event.PARKED else None,
                 **({"claimed": None} if reached is Progress.ARCHIVED else {}), **_columns(facts))  # fmt: skip
            if reached is Progress.UPLOADED:
                db.execute(_MORNING, (text(now), item.project, MOST_UPLOADS - 1, text(now)))
            if reached is Progress.ARCHIVED:
                settle_healed(db, item.key, now)
        return reached

    def skip(self, item: Item, now: datetime, note: str) -> bool:
        """End a study that is to be skipped: nothing of ours is left in the prearchive; rows of others stay.

        Return False if a person had it sent again since it was taken: then it starts from its beginning.
        """
        with self._db.change() as db:
            row = db.execute("SELECT generation FROM studies WHERE key = ?", (item.key,)).fetchone()
            if row["generation"] != item.generation:
                move_taken(db, item, Event.RETURNED, now, attempts=0)
                return False
            db.execute("DELETE FROM places WHERE study = ? AND ended IS NULL AND last_sent IS NULL", (item.key,))
            move_taken(db, item, Event.SKIPPED, now, in_doubt=0, since=None, due=None,
                 why=_unwanted(note), detail=note, advice=None)  # fmt: skip
            return True

    def park(self, item: Item, now: datetime, until: Progress) -> None:
        """Put back a study that was taken although it has come as far as `until` asks for."""
        with self._db.change() as db:
            move_taken(
                db,
                item,
                Event.PARKED,
                now,
                attempts=item.attempts - 1,
                why=_waits_for(until),
            )

    def postpone(self, item: Item, due: datetime, now: datetime, error: WatchdError, *, charged: bool) -> None:
        """Let a study wait until `due`. If it is not `charged`, the attempt does not count.

        Then it makes no event either if the last one has the same reason and is less than an hour old.
        """
        with self._db.change() as db:
            put = stand if not charged and _was_told(db, item, error, now) else move
            put(db, item.key, Standing.BUSY, Event.POSTPONED, now, item.fence, due=text(due), **_reason(error),
                attempts=item.attempts - (not charged), in_doubt=int(item.in_doubt or isinstance(error, InDoubt)),
                since=text(item.since or now) if isinstance(error, NotYet) else None,
                **_trouble(item, error, now))  # fmt: skip

    def give_back(self, item: Item, now: datetime, error: WatchdError, *, in_doubt: bool) -> None:
        """Make a study ready again without counting the attempt: the trouble was the server's."""
        with self._db.change() as db:
            move_taken(db, item, Event.RETURNED, now, attempts=item.attempts - 1,
                 in_doubt=int(item.in_doubt or in_doubt), **_reason(error), **_trouble(item, error, now))  # fmt: skip

    def hold(self, item: Item, now: datetime, error: WatchdError) -> None:
        """Hold a study until a person has decided. It keeps its progress."""
        with self._db.change() as db:
            move_taken(db, item, Event.HELD, now, in_doubt=1, due=None, **_reason(error),
                 **_trouble(item, error, now))  # fmt: skip

    def let_wait(self, keys: Collection[int], now: datetime) -> None:
        """Let held studies wait for their project instead, since the trouble is the project's. Their trials stay.

        One that is held no more stays as it is: another station may have met the same trouble, or a person decided.
        """
        with self._db.change() as db:
            for key in keys:
                if db.execute("SELECT 1 FROM studies WHERE key = ? AND standing = 'held'", (key,)).fetchone():
                    move(db, key, Standing.HELD, Event.RELEASED, now, attempts=0, recoveries=0, in_doubt=1)

    def raise_until(self, goes_on: Mapping[str, Progress], now: datetime) -> None:
        """Release what waits for `until` in this root if the setting of its project is further along now."""
        with self._db.change() as db:
            for row in db.execute(
                "SELECT key, project, progress FROM studies WHERE standing = ? AND due IS NULL AND root = ?",
                (Standing.WAITING, self._stations.me.root),
            ).fetchall():
                if LINE.index(Progress(row["progress"])) < LINE.index(goes_on[row["project"]]):
                    move(db, row["key"], Standing.WAITING, Event.RAISED, now, why=None)

    def projects(self) -> list[str]:
        """Return every project that a study was ever sent to or meant for."""
        return [row["project"] for row in self._db.rows("SELECT DISTINCT project FROM studies")]

    def next_due(self, now: datetime, closed: Collection[str] = ()) -> datetime | None:
        """Return when the next waiting study may be taken: `now` if one is ready, None if nothing of this root waits.

        A study that waits for another one does not count, and none of the `closed` projects does.
        """
        asked = {"closed": json.dumps(sorted(closed)), "root": self._stations.me.root, "now": text(now)}
        if self._db.row(IS_READY, **asked):
            return now
        row = self._db.row(NEXT_DUE, **asked)
        return moment(row["due"]) if row else None

    def newest_event(self) -> int:
        """Return the number of the newest event of all."""
        row = self._db.row("SELECT coalesce(max(id), 0) AS newest FROM events")
        return int(row["newest"]) if row else 0

    def held_after(self, event: int) -> tuple[int, list[HeldStudy]]:
        """Return the number of the newest event, and item, project and reason of each study held after `event`."""
        rows = self._db.rows(_HELD_AFTER, event)
        held = [
            HeldStudy(item=row["item"], project=row["project"], reason=row["reason"] or "")
            for row in rows if row["item"] is not None
        ]  # fmt: skip
        return int(rows[0]["newest"]), held

    def has_uploaded(self, project: str, since: datetime) -> bool:
        """Return whether an upload to this project was proved since then."""
        sql = (
            "SELECT 1 FROM events e JOIN studies s ON s.key = e.study WHERE s.project = ? AND e.progress = ?"
            " AND e.event IN ('advanced', 'parked') AND e.at > ? LIMIT 1"
        )
        return self._db.row(sql, project, Progress.UPLOADED, text(since)) is not None

    def in_trouble(self, item: Item) -> dict[int, tuple[Standing, int]]:
        """Return the studies that met what may be the project's trouble since one last succeeded at this step there.

        Each comes with its standing and with how often it met the trouble. Studies that have ended are left out.
        """
        rows = self._db.rows(
            "SELECT key, standing, trials FROM studies s WHERE project = ?1 AND progress = ?2"
            f" AND standing {GOES_ON} AND skip_reason IS NULL"
            " AND EXISTS (SELECT 1 FROM events e WHERE e.study = s.key AND e.scope = 'project' AND e.progress = ?2"
            " AND e.id > coalesce((SELECT max(x.id) FROM events x JOIN studies y ON y.key = x.study"
            " WHERE y.project = ?1 AND x.progress = ?3 AND x.event IN ('advanced', 'finished', 'parked')), 0))",
            item.project, item.progress, next_progress(item.progress),
        )  # fmt: skip
        return {row["key"]: (Standing(row["standing"]), row["trials"]) for row in rows}

    # What is found out on the way.

    def note(self, item: Item, facts: StepFacts, now: datetime, *, claims: str = "") -> None:
        """Record what a step found out before it makes its next request.

        `claims`: a subject label that is claimed with it, as `claim_subject` does; raises `Undecided` as that does.
        """
        with self._db.change() as db:
            if claims:
                must_be_its_persons(db, item, claims)
            found = _columns(facts) | ({"claimed": claims.casefold()} if claims else {})
            set_columns(db, item.key, now, found, under=item.fence)
            if facts.creates_subject:
                db.execute(
                    "INSERT INTO events (at, delivery, study, event, detail) VALUES (?,?,?,?,?)",
                    (text(now), item.delivery, item.key, CREATES, facts.subject),
                )

    def archived_as(self, item: Item, accession: str) -> bool:
        """Return whether a study of ours with this UID was archived as this session."""
        sql = "SELECT 1 FROM studies WHERE project = ? AND study_uid = ? AND session = ?"
        return self._db.row(sql, item.project, item.study_uid, accession) is not None

    def claim_subject(self, item: Item, subject: str) -> None:
        """Claim a subject label for this study's person, until the study ends or claims another one.

        Raises `Undecided` if another person has it.
        """
        with self._db.change() as db:
            must_be_under(db, item.key, item.fence)
            claim(db, item, subject)

    def record_person(self, item: Item, subject: str) -> None:
        """Record for good that XNAT has, or may have, something of this study's person under a subject label.

        Raises `Undecided` if another person has it.
        """
        with self._db.change() as db:
            must_be_under(db, item.key, item.fence)
            claim(db, item, subject)
            record_person(db, item.key)


_BUSY_HERE = "SELECT * FROM studies WHERE standing = 'busy' AND owner = ? ORDER BY key"

_HELD_AFTER = """
SELECT n.newest, s.delivery || '.' || s.number AS item, s.project, e.why AS reason
FROM (SELECT coalesce(max(id), 0) AS newest FROM events) n
LEFT JOIN events e ON e.id > ? AND e.standing = 'held' LEFT JOIN studies s ON s.key = e.study ORDER BY e.id
"""
"""A row for each study that was held; one without an item where there is none."""

_MORNING = """UPDATE studies SET due = ? WHERE project = ? AND standing = 'waiting' AND progress = 'received'
  AND uploads = ? AND trials > 0 AND due > ?"""  #: another study succeeded: if it was the project's trouble, it is over


def _was_told(db: Transaction, item: Item, error: WatchdError, now: datetime) -> bool:
    """Return whether the last event of a study has this reason to wait and is less than an hour old."""
    last = db.execute(
        "SELECT event, why, at FROM events WHERE delivery = ? AND study = ? ORDER BY id DESC LIMIT 1",
        (item.delivery, item.key),
    ).fetchone()
    told = moment(last["at"]) if last and (last["event"], last["why"]) == (Event.POSTPONED, str(error)) else None
    return told is not None and abs(now - told) < STILL_THE_SAME


def _columns(facts: StepFacts) -> dict[str, object]:
    named: dict[str, object] = {
        "server_uid": facts.server_uid, "subject": facts.subject, "label": facts.label, "session": facts.session,
        "subject_key": facts.subject.casefold() if facts.subject is not None else None, "subject_id": facts.subject_id,
    }  # fmt: skip
    return {name: value for name, value in named.items() if value is not None}


def _reason(error: WatchdError) -> dict[str, object]:
    return {"why": str(error), "detail": error.detail or None, "advice": error.advice}


def _trouble(item: Item, error: WatchdError, now: datetime) -> dict[str, object]:
    """Return the columns about trouble: its scope, and since when it lasts. An unconfirmed refusal has no scope yet."""
    scope = None if isinstance(error, RepeatOnce) else error.scope
    delayed = None if isinstance(error, NotYet | Stopped) else text(item.delayed or now)
    refusal = error.refusal if isinstance(error, RepeatOnce) else None
    return {
        "scope": scope, "trials": item.trials + (scope is Scope.PROJECT), "refusal": refusal, "delayed": delayed,
    }  # fmt: skip


def _waits_for(until: Progress) -> str:
    return f"the setting `pipeline.until` ends at {until}"


def _unwanted(reason: str) -> str:
    """Return why a study was skipped, without a person's own words: they may hold a name."""
    is_replaced = reason.startswith(REPLACED) and reason.removeprefix(REPLACED).isdecimal()
    return reason if is_replaced or reason in (CHANGED, NOTHING_TO_SEND) else UNWANTED


def _leave_out(db: Transaction, key: int, series: Collection[str]) -> None:
    db.executemany("UPDATE series SET left_out = 1 WHERE study = ? AND uid = ?", [(key, uid) for uid in series])
