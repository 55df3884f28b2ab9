"""The decisions of people about studies: skip, settle, retry, accept, resend."""

from __future__ import annotations

import json
from datetime import datetime

from xnat_watchd.adapters.ledger.database import Database, Row, Transaction, text
from xnat_watchd.adapters.ledger.deliveries import move_delivery, tell_delivery
from xnat_watchd.adapters.ledger.findings import open_findings, settle_findings, undecided
from xnat_watchd.adapters.ledger.restarts import restart
from xnat_watchd.adapters.ledger.studies import NOTHING_TO_SEND, _leave_out
from xnat_watchd.adapters.ledger.transitions import RESET, STUCK, move, resume
from xnat_watchd.core.errors import Impossible
from xnat_watchd.core.findings import ACCEPTABLE, Finding, FindingKind, advice, holding, reason_of
from xnat_watchd.core.states import ENDED, DeliveryKind, DeliveryState, Event, Progress, Standing

ON_ITS_WAY = "it is on its way already"
AT_WORK = "it is being worked on just now"
DROP_IT = "Drop its ZIP again; then decide about that one."
IN_A_MOMENT = "Type it again in a moment."


class Decisions:
    """Decisions are recorded here and carried out by the service: at once if it runs, else after its next start.

    The reason that a person types is kept as `detail`, since it may hold a name. `by` is the person's login name. What
    cannot be done raises `Impossible`.
    """

    def __init__(self, database: Database) -> None:
        self._db = database

    def skip(self, key: int, why: str, now: datetime, *, by: str | None = None) -> None:
        """Have a study skipped: first the service removes what is left of it in the prearchive."""
        with self._db.change() as db:
            standing = _standing(_row(db, key))
            if standing in ENDED:
                raise Impossible(f"it is {standing} already")
            if standing is Standing.BUSY:
                raise Impossible(AT_WORK, advice=IN_A_MOMENT)
            move(db, key, standing, Event.UNWANTED, now, skip_reason=why, due=None,
                 why="a person gave it up", detail=why, who=by, advice=None, **RESET)  # fmt: skip

    def settle(self, delivery: int, why: str, now: datetime, *, by: str | None = None) -> None:
        """Record that nothing more is to be done about a rejected delivery. Its ZIP stays where it is."""
        with self._db.change() as db:
            row = db.execute("SELECT state, settled FROM deliveries WHERE id = ?", (delivery,)).fetchone()
            if row["state"] != DeliveryState.REJECTED or row["settled"]:
                raise Impossible("it is settled already" if row["settled"] else "it was not rejected")
            db.execute("UPDATE deliveries SET settled = ? WHERE id = ?", (text(now), delivery))
            tell_delivery(db, delivery, "settled", now, why="a person has settled it", detail=why, who=by)

    def retry(
        self,
        key: int,
        now: datetime,
        *,
        why: str | None = None,
        by: str | None = None,
        subject: str | None = None,
        label: str | None = None,
        project: str | None = None,
    ) -> None:
        """Let a study that is held or waits go on from where it stopped, perhaps under other labels.

        It settles no finding. If the project's gate is shut, the project is tried at once too. With another `project`
        all that was decided for the old one is decided again; `Impossible` if the old one may hold something of it.
        """
        chosen: dict[str, object] = {"label": label} if label else {}
        if subject:
            chosen |= {"subject": subject, "subject_key": subject.casefold(), "claimed": None}
        with self._db.change() as db:
            row = _row(db, key)
            _must_be_stuck(db, key)
            if found := holding(open_findings(db, key)):
                raise Impossible(reason_of(found), advice=advice(found))
            if project and project != row["project"]:
                _to_project(db, row, project, now, by)
                chosen = {"project": project, "subject": None, "subject_key": None, "label": None, "server_uid": None,
                          "claimed": None, **chosen}  # fmt: skip
            resume(db, row, now, detail=why, who=by, **chosen)

    def accept(self, key: int, why: str, by: str, now: datetime) -> str:
        """Accept the open findings of a held study, or that XNAT leaves out series; return what was accepted.

        A later finding, or another series left out, holds the study again.
        """
        with self._db.change() as db:
            row = _row(db, key)
            if row["lost"] > row["loss_accepted"]:
                return _accept_loss(db, row, why, by, now)
            _must_be_held(row)
            if found := holding(open_findings(db, key)):
                return _accept_findings(db, row, found, why, by, now)
            return _accept_left_out(db, key, why, by, now)

    def resend(self, key: int, why: str, now: datetime, *, by: str | None = None) -> None:
        """Start a study from its beginning, in a new generation: XNAT is asked, and what it lacks is sent."""
        with self._db.change() as db:
            row = _row(db, key)
            standing = _standing(row)
            if standing is Standing.BUSY:
                raise Impossible(AT_WORK, advice=IN_A_MOMENT)
            on_its_way = standing is Standing.READY or row["due"] is not None
            if row["skip_reason"] is None and on_its_way and not _is_locked(db, key):
                raise Impossible(ON_ITS_WAY)
            if found := holding(undecided(db, key)):
                ended = standing in ENDED or row["skip_reason"] is not None
                raise Impossible(reason_of(found), advice=DROP_IT if ended else advice(found))
            _take_again(db, row, now)
            restart(db, row, now, why, by)


def _to_project(db: Transaction, row: Row, project: str, now: datetime, by: str | None) -> None:
    """Forget what was decided for a study's old project. The delivery changes its project with its last study."""
    key, delivery = row["key"], row["delivery"]
    was_sent = db.execute("SELECT 1 FROM places WHERE study = ? AND last_sent IS NOT NULL", (key,)).fetchone()
    if row["kind"] != DeliveryKind.ZIP or row["progress"] != Progress.RECEIVED or was_sent:
        raise Impossible(
            "XNAT may hold something of it in its project",
            advice="`xnat-watchd skip ITEM --why TEXT`; then drop its ZIP into the folder of the right project.",
        )
    same = db.execute(
        "SELECT id FROM deliveries WHERE project = ? AND sha256 = ? AND state = ?",
        (project, row["sha256"], DeliveryState.TAKEN),
    ).fetchone()
    if same is not None:
        raise Impossible(f"the same ZIP is under way for that project as delivery {same['id']}")
    db.execute("UPDATE instances SET place = NULL WHERE study = ?", (key,))
    db.execute("DELETE FROM places WHERE study = ?", (key,))
    db.execute("UPDATE series SET left_out = 0, accepted = 0 WHERE study = ?", (key,))
    stay = db.execute(
        "SELECT 1 FROM studies WHERE delivery = ? AND key <> ? AND project <> ?", (delivery, key, project)
    ).fetchone()
    if stay is None:
        db.execute("UPDATE deliveries SET project = ? WHERE id = ?", (project, delivery))
    tell_delivery(db, delivery, "moved", now, why="to another project", detail=f"{row['project']} -> {project}", who=by)


def _is_locked(db: Transaction, key: int) -> bool:
    sql = "SELECT 1 FROM places WHERE study = ? AND ended IS NULL AND locked IS NOT NULL"
    return db.execute(sql, (key,)).fetchone() is not None


def _row(db: Transaction, key: int) -> Row:
    row: Row = db.execute(
        "SELECT s.*, d.kind, d.state, d.sha256, d.kept_as, d.deleted FROM studies s"
        " JOIN deliveries d ON d.id = s.delivery WHERE s.key = ?",
        (key,),
    ).fetchone()
    return row


def _standing(row: Row) -> Standing:
    return Standing(row["standing"])


def _must_be_held(row: Row) -> None:
    if _standing(row) is not Standing.HELD:
        raise Impossible("it is not held")


def _must_be_stuck(db: Transaction, key: int) -> None:
    if db.execute(f"SELECT 1 FROM studies WHERE key = ? AND {STUCK}", (key,)).fetchone() is None:
        raise Impossible("it is not held, and does not wait")


def _accept_findings(db: Transaction, row: Row, found: tuple[Finding, ...], why: str, by: str, now: datetime) -> str:
    if any(one.kind not in ACCEPTABLE for one in found):
        raise Impossible(reason_of(found), advice=advice(found))
    settle_findings(db, row["key"], by, why, now)
    db.executemany(
        "UPDATE instances SET left_behind = 1 WHERE study = ? AND sop_uid = ?",
        [(row["key"], uid) for one in found if one.kind is FindingKind.TWO_CONTENTS for uid in one.members],
    )
    db.execute(
        "UPDATE deliveries SET as_it_is = 0 WHERE id = ?", (row["delivery"],)
    )  # the ZIP holds images that are not sent
    if row["kind"] == DeliveryKind.ZIP and not _is_anything_left(db, row["key"]):
        move(db, row["key"], Standing.HELD, Event.UNWANTED, now, skip_reason=NOTHING_TO_SEND, attempts=0, recoveries=0,
             since=None, due=None, why=NOTHING_TO_SEND, detail=why, who=by, advice=None)  # fmt: skip
        return f"{reason_of(found)}: nothing of it is sent"
    resume(db, row, now, why=f"accepted: {reason_of(found)}", detail=why, who=by)
    return reason_of(found)


def _accept_loss(db: Transaction, row: Row, why: str, by: str, now: datetime) -> str:
    """Accept that XNAT lacks images that it held. One more missing image needs a new decision. The ZIP is kept."""
    accepted = f"XNAT lacks {row['lost']} of its images, which it was seen to hold"
    db.execute("UPDATE studies SET loss_accepted = lost WHERE key = ?", (row["key"],))
    db.execute(
        "INSERT INTO events (at, delivery, study, event, progress, standing, why, detail, who)"
        " VALUES (?,?,?,?,?,?,?,?,?)",
        (text(now), row["delivery"], row["key"], "accepted", row["progress"], row["standing"], accepted, why, by),
    )
    return accepted


def _is_anything_left(db: Transaction, key: int) -> bool:
    sql = "SELECT 1 FROM instances WHERE study = ? AND left_behind = 0 LIMIT 1"
    return db.execute(sql, (key,)).fetchone() is not None


def _accept_left_out(db: Transaction, key: int, why: str, by: str, now: datetime) -> str:
    series = _missing_twice(db, key)
    if not series:
        raise Impossible(
            "nothing was found out about its content, and XNAT has not left out the same series of it twice",
            advice="`xnat-watchd show ITEM`",
        )
    db.executemany("UPDATE series SET accepted = 1 WHERE study = ? AND uid = ?", [(key, s) for s in series])
    _leave_out(db, key, series)
    accepted = f"XNAT leaves out {len(series)} series"
    resume(db, _row(db, key), now, why=f"accepted: {accepted}", detail=why, who=by)
    return accepted


def _missing_twice(db: Transaction, key: int) -> frozenset[str]:
    """Return the series of which nothing arrived at either of the last two places."""
    rows = db.execute(
        "SELECT missing FROM places WHERE study = ? AND ended IS NOT NULL AND last_sent IS NOT NULL AND mixed = 0"
        " AND appeared IS NULL ORDER BY id DESC LIMIT 2",
        (key,),
    ).fetchall()
    first, second = [frozenset[str](json.loads(row["missing"])) for row in rows] if len(rows) > 1 else [frozenset()] * 2
    return first & second


def _take_again(db: Transaction, row: Row, now: datetime) -> None:
    """Take an ended delivery again. Its ZIP stays where it is kept until something of it has to be sent."""
    if row["kind"] != DeliveryKind.ZIP:
        raise Impossible("it did not come in a ZIP: others had put it into XNAT")
    if row["deleted"]:
        raise Impossible(
            f"its ZIP was deleted on {row['deleted'][:10]}, as [retention] says",
            advice="Export the study again and drop the new ZIP.",
        )
    if row["state"] == DeliveryState.TAKEN:
        return
    if row["kept_as"] is None:
        raise Impossible("its ZIP was written to after it was opened, and went back to the drop folder")
    other = db.execute(
        "SELECT id FROM deliveries WHERE project = ? AND sha256 = ? AND state = ?",
        (row["project"], row["sha256"], DeliveryState.TAKEN),
    ).fetchone()
    if other is not None:
        raise Impossible(f"the same ZIP is under way as delivery {other['id']}")
    move_delivery(db, row["delivery"], DeliveryState.TAKEN, now, ended=None, why=None)
