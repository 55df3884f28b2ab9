"""Deliveries: their arrival, what they hold, where their ZIPs are kept."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from xnat_watchd.adapters.ledger.database import Database, Row, Transaction, text
from xnat_watchd.adapters.ledger.findings import add_findings
from xnat_watchd.adapters.ledger.gates import try_soon
from xnat_watchd.adapters.ledger.healing import REPLACED
from xnat_watchd.adapters.ledger.items import columns_of, insert_study
from xnat_watchd.adapters.ledger.judged_zips import JudgedZip, judged_zip
from xnat_watchd.adapters.ledger.restarts import try_dropped_again
from xnat_watchd.adapters.ledger.standings import GOES_ON, HAS_ENDED
from xnat_watchd.adapters.ledger.stations import Stations, is_served
from xnat_watchd.core.delivery import Study, ZipContents
from xnat_watchd.core.errors import Taken, TakenOver, WatchdError
from xnat_watchd.core.findings import advice, reason_of
from xnat_watchd.core.states import DELIVERIES, DeliveryState, IllegalTransition, Progress, Standing


@dataclass(frozen=True, slots=True)
class Arrival:
    """A ZIP that is being taken. `identity` tells the file as it was dropped from others."""

    id: int
    name: str
    project: str
    identity: str
    openings: int


@dataclass(frozen=True, slots=True)
class EndedDelivery:
    """A delivery whose studies are all done or skipped."""

    id: int
    name: str
    studies: tuple[int, ...]
    sent: bool  #: something of it was sent; False: XNAT had all of it already
    has_zip: bool = True  #: False: others had put its study into XNAT
    size: int | None = None  #: bytes of its ZIP when it was opened
    skipped: int = 0  #: number of its studies that were skipped
    kept_before: str | None = None  #: where its ZIP was kept before something of it was to be sent again
    judged: JudgedZip | None = None  #: None too if its ZIP is known to have changed


@dataclass(frozen=True, slots=True)
class DeliveredZip:
    """What the ledger knows of a delivery's ZIP."""

    name: str
    state: DeliveryState
    kept_as: str | None  #: where the ZIP is to be kept in the end
    sha256: str | None  #: of the ZIP, once it was opened
    studies: int
    why: str
    advice: str
    judged: JudgedZip | None  #: None if it is known to have changed
    project: str  #: empty: it is not known
    identity: str  #: of the file as it was dropped


_ENDED_AFTER = f"AND d.id IN (SELECT e.delivery FROM events e WHERE e.id > ? AND e.standing {HAS_ENDED})"

_WITH_STUDIES = """
SELECT d.*, d.kind = 'zip' AS has_zip, json_group_array(s.key) AS studies,
       count(*) FILTER (WHERE s.standing = 'skipped') AS skipped,
       d.kind <> 'zip' OR EXISTS (SELECT 1 FROM instances i JOIN studies t ON t.key = i.study
                                  WHERE t.delivery = d.id AND i.place IS NOT NULL) AS sent
FROM deliveries d JOIN studies s ON s.delivery = d.id
"""

_IS_UNDER_WAY = f"EXISTS (SELECT 1 FROM studies s WHERE s.delivery = deliveries.id AND s.standing {GOES_ON})"

_IS_UNDER_WAY_OR_ENDED = f"(state <> 'taken' OR {_IS_UNDER_WAY})"

_SAME_BYTES = "o.project = d.project AND o.state = 'taken' AND o.sha256 ="

_BEFORE_RECORDING = f"""
SELECT d.project, d.root, d.station, t.epoch,
       coalesce(
         (SELECT o.id FROM deliveries o WHERE {_SAME_BYTES} ?2 AND o.root = d.root),
         (SELECT min(o.id) FROM deliveries o WHERE {_SAME_BYTES} ?2 AND o.root <> d.root AND {is_served("o.root")})
       ) AS other,
       EXISTS (SELECT 1 FROM gates g WHERE g.scope = d.project AND g.until IS NOT NULL) AS is_shut
FROM deliveries d JOIN stations t ON t.id = d.station WHERE d.id = ?1
"""
"""Where it came from, which other delivery of the same bytes is under way, and whether its project's gate is shut.

What lies in a root that no station serves is not under way: who drops the same ZIP elsewhere has it sent from there.
"""

_TAKEN_BY = "SELECT d.station, t.epoch FROM deliveries d JOIN stations t ON t.id = d.station WHERE d.id = ?"

_ABANDONED = """
FROM deliveries d WHERE d.state = 'arriving' AND d.root = ?1 AND d.station <> ?2
AND EXISTS (SELECT 1 FROM stations o WHERE o.id = d.station AND o.gone IS NOT NULL)
"""
"""What a station was taking in a root when it was heard of last."""


class Deliveries:
    """Deliveries and the folder that they come from."""

    def __init__(self, database: Database, stations: Stations) -> None:
        self._db, self._stations = database, stations

    def expect(self, name: str, project: str, identity: str, now: datetime) -> int:
        """Record the intent to take a file and to open it, before it is touched. Return the delivery's number.

        Raise `Taken` if the same file is being taken already, perhaps by another station that sees the same folder, and
        `TakenOver` if this station was found gone, or what belongs to its root was moved away.
        """
        me = self._stations.me
        with self._db.change() as db:
            row = db.execute(
                "INSERT INTO deliveries (name, project, identity, state, arrived, openings, station, root)"
                " VALUES (?,?,?,?,?,1,?,?) ON CONFLICT DO NOTHING"
                " RETURNING id, station, (SELECT epoch FROM stations t WHERE t.id = station) AS epoch",
                (name, project, identity, DeliveryState.ARRIVING, text(now), me.id, me.root),
            ).fetchone()
            if row is None:
                raise Taken("a file of this path, size and time is being taken already")
            self._must_be_ours(row)
            tell_delivery(db, row["id"], DeliveryState.ARRIVING, now)
            return int(row["id"])

    def arrivals(self) -> list[Arrival]:
        """Return the deliveries that this station is taking. At start-up: those at which it stopped."""
        rows = self._db.rows(
            "SELECT * FROM deliveries WHERE state = ? AND station = ? AND root = ? ORDER BY id",
            DeliveryState.ARRIVING, self._stations.me.id, self._stations.me.root,
        )  # fmt: skip
        return [Arrival(r["id"], r["name"], r["project"], r["identity"], r["openings"]) for r in rows]

    def take_over(self) -> bool:
        """Take over what a station was taking in this root that is not there any more; return whether there was any."""
        if not self._stations.shared:
            return False
        me = self._stations.me
        if self._db.row(f"SELECT 1 {_ABANDONED}", me.root, me.id) is None:
            return False
        with self._db.change() as db:
            done = db.execute(
                f"UPDATE deliveries SET station = ?2 WHERE id IN (SELECT d.id {_ABANDONED})", (me.root, me.id)
            )
            return done.rowcount > 0

    def delivered_zip(self, delivery: int) -> DeliveredZip | None:
        """Return what is to become of a delivery's ZIP, or None if this root has no such delivery."""
        row = self._db.row(
            "SELECT d.*, (SELECT count(*) FROM studies s WHERE s.delivery = d.id) AS studies"
            " FROM deliveries d WHERE d.id = ? AND d.root = ?",
            delivery, self._stations.me.root,
        )  # fmt: skip
        if row is None:
            return None
        return DeliveredZip(
            row["name"], DeliveryState(row["state"]), row["kept_as"], row["sha256"], row["studies"],
            row["why"] or "", row["advice"] or "", judged_zip(row), row["project"], row["identity"],
        )  # fmt: skip

    def file_name(self, delivery: int) -> str:
        """Return the name under which the ZIP was dropped, without folders."""
        row = self._db.row("SELECT name FROM deliveries WHERE id = ?", delivery)
        return str(row["name"]).rpartition("/")[2] if row else ""

    def begin_opening(self, delivery: int) -> int:
        """Count one more opening of the ZIP before it begins: a ZIP that ends the service three times is rejected.

        The first one is counted when the ZIP is taken. Raise `TakenOver` as `withdraw` does.
        """
        with self._db.change() as db:
            self._must_be_ours(db.execute(_TAKEN_BY, (delivery,)).fetchone())
            row = db.execute(
                "UPDATE deliveries SET openings = openings + 1 WHERE id = ? RETURNING openings", (delivery,)
            ).fetchone()
            return int(row["openings"])

    def end_opening(self, delivery: int) -> None:
        """Record that an opening ended without an outcome, and did not end the service."""
        with self._db.change() as db:
            db.execute("UPDATE deliveries SET openings = 0 WHERE id = ?", (delivery,))

    def record(self, delivery: int, contents: ZipContents, kept_as: str, now: datetime, stamp: str = "") -> int | None:
        """Record what a ZIP of this stamp holds. Studies with a finding that holds them are held from the start.

        Where the same bytes for the same project are on their way, this delivery ends as their duplicate and its ZIP
        is to lie in `kept_as`; return the other one then, else None. Raise `TakenOver` as `withdraw` does.
        """
        with self._db.change() as db:
            row = db.execute(_BEFORE_RECORDING, (delivery, contents.sha256)).fetchone()
            self._must_be_ours(row)
            other = row["other"]
            if other is not None:
                _end_as_duplicate(db, delivery, other, contents, kept_as, now, stamp)
                return int(other)
            _enter_all(db, delivery, {"project": row["project"], "root": row["root"]}, contents, now, stamp)
            if row["is_shut"]:
                try_soon(db, now, row["project"])
            return None

    def reject(
        self, delivery: int, error: WatchdError, kept_as: str, now: datetime, sha256: str | None, stamp: str = ""
    ) -> None:
        """End a delivery of which no study came. `kept_as`: where its ZIP, of this digest and stamp, is to be put.

        Raise `TakenOver` as `withdraw` does.
        """
        with self._db.change() as db:
            self._must_be_ours(db.execute(_TAKEN_BY, (delivery,)).fetchone())
            move_delivery(
                db, delivery, DeliveryState.REJECTED, now,
                ended=text(now), kept_as=kept_as, why=str(error), detail=error.detail, advice=error.advice,
                sha256=sha256, stamp=stamp,
            )  # fmt: skip

    def must_be_ours(self, delivery: int) -> None:
        """Raise `TakenOver` as `withdraw` does."""
        self._must_be_ours(self._db.row(_TAKEN_BY, delivery))

    def _must_be_ours(self, row: Row | None) -> None:
        """Raise `TakenOver` if another station takes it, or this one was found gone since it began."""
        me = self._stations.me
        if row is None or (row["station"], row["epoch"]) != (me.id, me.epoch):
            raise TakenOver

    def rejected(self, project: str, most: int) -> dict[int, str]:
        """Return the latest ones in this root that nobody has settled: number -> where its ZIP lies.

        They are those of a project, and those of which no project is known.
        """
        rows = self._db.rows(
            "SELECT id, kept_as FROM deliveries WHERE state = 'rejected' AND settled IS NULL AND project IN (?, '')"
            " AND kept_as IS NOT NULL AND root = ? ORDER BY id DESC LIMIT ?",
            project, self._stations.me.root, most,
        )  # fmt: skip
        return {row["id"]: row["kept_as"] for row in rows}

    def replace(self, rejected: int, by: int, now: datetime) -> bool:
        """Record that a later delivery holds all of a rejected one, about which nothing is left to do then.

        Return False if a person has settled it meanwhile.
        """
        with self._db.change() as db:
            done = db.execute(
                "UPDATE deliveries SET settled = ? WHERE id = ? AND state = 'rejected' AND settled IS NULL",
                (text(now), rejected),
            )
            if done.rowcount:
                tell_delivery(db, rejected, "settled", now, why=f"{REPLACED}{by}")
            return done.rowcount > 0

    def withdraw(self, delivery: int, now: datetime) -> None:
        """End a delivery whose file was gone before it was taken.

        Raise `TakenOver` if another station takes it now, or may: this one was found gone, and has to begin anew first.
        """
        with self._db.change() as db:
            self._must_be_ours(db.execute(_TAKEN_BY, (delivery,)).fetchone())
            move_delivery(db, delivery, DeliveryState.WITHDRAWN, now, ended=text(now))

    def original(self, duplicate: int) -> int | None:
        """Return the delivery of this root that is under way with the same bytes for the same project, if one is."""
        row = self._db.row(
            f"SELECT o.id FROM deliveries d JOIN deliveries o ON {_SAME_BYTES} d.sha256 AND o.root = d.root"
            " WHERE d.id = ? AND d.root = ?",
            duplicate, self._stations.me.root,
        )  # fmt: skip
        return int(row["id"]) if row else None

    def give_zip(self, duplicate: int, now: datetime) -> None:
        """Record that the ZIP of a duplicate is to be that of its original, whose own is lost."""
        with self._db.change() as db:
            db.execute("UPDATE deliveries SET kept_as = NULL, stamp = '' WHERE id = ?", (duplicate,))
            tell_delivery(db, duplicate, "given", now, why="the ZIP of the same bytes that is under way was lost")

    def left_in_work(self, zips: Collection[int], before: datetime) -> list[int]:
        """Return those of this root that had ended before a time, of the deliveries whose ZIP lies in the work folder.

        The station that has recorded such an end has not moved the ZIP away: it is gone, or was not told of it.
        """
        rows = self._db.rows(
            "SELECT id FROM deliveries WHERE id IN (SELECT CAST(value AS INTEGER) FROM json_each(?)) AND root = ?"
            " AND state NOT IN ('arriving', 'taken') AND ended <= ? ORDER BY id",
            json.dumps([*zips]), self._stations.me.root, text(before),
        )  # fmt: skip
        return [row["id"] for row in rows]

    def retirable(self, after: int | None = None) -> list[EndedDelivery]:
        """Return the deliveries of this root whose studies are all done or skipped.

        `after`: the number of an event. Then only deliveries with a study that ended after it are looked at, since
        thousands may be under way.
        """
        newer = "" if after is None else _ENDED_AFTER
        rows = self._db.rows(
            f"{_WITH_STUDIES} WHERE d.state = 'taken' AND d.root = ? {newer} GROUP BY d.id"
            f" HAVING count(*) FILTER (WHERE s.standing {GOES_ON}) = 0 ORDER BY d.id",
            self._stations.me.root, *([] if after is None else [after]),
        )  # fmt: skip
        return [_ended(row) for row in rows]

    def with_one_study(self, delivery: int) -> EndedDelivery | None:
        """Return a delivery that ends as soon as its only study does; None if it has several."""
        row = self._db.row(f"{_WITH_STUDIES} WHERE d.id = ? GROUP BY d.id HAVING count(*) = 1", delivery)
        return _ended(row) if row else None

    def retire(self, delivery: EndedDelivery, kept_as: str | None, now: datetime) -> bool:
        """End a delivery whose studies have all ended. `kept_as`: where its ZIP is to be kept, below the root.

        Return False if it goes on, since a person had a study of it sent again while XNAT was asked; or if another
        station of its root has ended it meanwhile.
        """
        state, why = DeliveryState.FINISHED, None
        if delivery.skipped:
            why = f"{delivery.skipped} of {len(delivery.studies)} studies skipped"
        elif not delivery.sent:
            state, why = DeliveryState.DUPLICATE, "XNAT had every image already"
        with self._db.change() as db:
            return move_delivery(
                db, delivery.id, state, now, unless=_IS_UNDER_WAY_OR_ENDED, ended=text(now), kept_as=kept_as, why=why
            )

    def ignore(
        self,
        ignored: dict[str, tuple[str, str]],
        now: datetime,
        patience: float = 0.0,
        waits: Collection[str] = (),
    ) -> datetime | None:
        """Replace what is known of the files in this drop folder that are not taken: name -> (why, advice).

        An advice in `waits` is kept only for a file that has been there for `patience` seconds. Return when the next
        advice is to be kept, which takes another call, or None.
        """
        root = self._stations.me.root
        known = {
            r["name"]: r for r in self._db.rows("SELECT name, why, advice, since FROM ignored WHERE root = ?", root)
        }
        since = {name: known[name]["since"] if name in known else "" for name in ignored}
        due = text(now - timedelta(seconds=patience))
        rows = [
            (name, why, "" if advice in waits and not "" < since[name] <= due else advice, since[name] or text(now))
            for name, (why, advice) in ignored.items()
        ]
        if {tuple(row) for row in known.values()} != set(rows):
            with self._db.change() as db:
                db.execute("DELETE FROM ignored WHERE root = ?", (root,))
                db.executemany(
                    "INSERT INTO ignored (root, name, why, advice, since) VALUES (?,?,?,?,?)",
                    [(root, *row) for row in rows],
                )
        oldest = min((row[3] for row in rows if row[2] != ignored[row[0]][1]), default=None)
        return datetime.fromisoformat(oldest) + timedelta(seconds=patience) if oldest else None


def _ended(row: Row) -> EndedDelivery:
    return EndedDelivery(
        row["id"], row["name"], tuple(json.loads(row["studies"])), bool(row["sent"]), bool(row["has_zip"]),
        row["size"], row["skipped"], row["kept_as"], judged_zip(row),
    )  # fmt: skip


def move_delivery(
    db: Transaction,
    delivery: int,
    state: DeliveryState,
    now: datetime,
    unless: str = "",
    **columns: object,
) -> bool:
    """Change a delivery's state together with its event. No other code changes it.

    `unless`: SQL for a condition under which nothing is changed; return False then.
    """
    sets = "".join(f", {name} = ?" for name in columns)
    origins = ", ".join(f"'{one}'" for one, targets in DELIVERIES.items() if state in targets)
    moved = db.execute(
        f"UPDATE deliveries SET state = ?{sets} WHERE id = ? AND state IN ({origins})"
        f"{f' AND NOT {unless}' if unless else ''}",
        (state, *columns.values(), delivery),
    )
    if not moved.rowcount:
        row = db.execute(
            f"SELECT state, {unless or 'NULL'} AS stays FROM deliveries WHERE id = ?", (delivery,)
        ).fetchone()
        if row["stays"]:
            return False
        raise IllegalTransition(f"delivery {delivery} cannot become {state}: it is {row['state']}")
    tell_delivery(db, delivery, state, now, why=columns.get("why"), detail=columns.get("detail"))
    return True


def tell_delivery(
    db: Transaction,
    delivery: int,
    event: str,
    now: datetime,
    why: object = None,
    detail: object = None,
    who: str | None = None,
) -> None:
    """Record an event of a delivery as a whole. `who`: the login name of the person who decided it."""
    db.execute(
        "INSERT INTO events (at, delivery, event, why, detail, who) VALUES (?,?,?,?,?,?)",
        (text(now), delivery, event, why, detail, who),
    )


def _end_as_duplicate(
    db: Transaction,
    delivery: int,
    other: int,
    contents: ZipContents,
    kept_as: str,
    now: datetime,
    stamp: str,
) -> None:
    still_held = try_dropped_again(db, other, now)
    move_delivery(
        db, delivery, DeliveryState.DUPLICATE, now,
        ended=text(now), kept_as=kept_as, sha256=contents.sha256, size=contents.size, stamp=stamp,
        why=f"the same as delivery {other}, which is {'still held' if still_held else 'under way'}",
    )  # fmt: skip


def _enter_all(
    db: Transaction, delivery: int, origin: Mapping[str, str], contents: ZipContents, now: datetime, stamp: str
) -> None:
    move_delivery(
        db, delivery, DeliveryState.TAKEN, now,
        sha256=contents.sha256, size=contents.size, as_it_is=int(contents.as_it_is), stamp=stamp,
    )  # fmt: skip
    if contents.clutter_kinds:
        db.executemany(
            "INSERT INTO clutter (delivery, kind, count) VALUES (?,?,?)",
            [(delivery, kind, count) for kind, count in contents.clutter_kinds.items()],
        )
    for number, study in enumerate(contents.studies, 1):
        _enter(db, delivery, number, origin, study, now)


def _enter(db: Transaction, delivery: int, number: int, origin: Mapping[str, str], study: Study, now: datetime) -> None:
    findings = study.findings
    why = reason_of(findings) or None
    standing = Standing.HELD if why else Standing.READY
    key = insert_study(db, {
        "delivery": delivery, "number": number, **origin, "study_uid": study.uid, **columns_of(study),
        "progress": Progress.RECEIVED, "standing": standing, "why": why, "advice": advice(findings) if why else None,
        "received": text(now), "changed": text(now),
    })  # fmt: skip
    db.executemany(
        "INSERT INTO series (study, uid, number, modality, image) VALUES (?,?,?,?,?)",
        [(key, s.uid, s.number, s.modality, int(s.image)) for s in study.series],
    )
    db.executemany(
        "INSERT INTO instances (study, sop_uid, series, size, crc, member, digest) VALUES (?,?,?,?,?,?,?)",
        [(key, i.sop_uid, i.series_uid, i.size, i.crc, i.member, i.digest) for i in study.instances],
    )
    if findings:
        add_findings(db, key, findings, now)
    db.execute(
        "INSERT INTO events (at, delivery, study, event, progress, standing, why) VALUES (?,?,?,?,?,?,?)",
        (text(now), delivery, key, "held" if why else "received", Progress.RECEIVED, standing, why),
    )
