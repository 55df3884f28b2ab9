"""The places in XNAT's prearchive that were chosen for studies. Each is recorded before anything is sent there."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

from xnat_watchd.adapters.ledger.database import Database, Transaction, moment, text
from xnat_watchd.adapters.ledger.fences import must_be_under
from xnat_watchd.adapters.ledger.standings import HAS_ENDED
from xnat_watchd.core.delivery import Item, Place
from xnat_watchd.core.errors import TakenOver

_COUNT_UPLOAD = "UPDATE studies SET uploads = uploads + 1 WHERE key = ?"
_DISCOUNT = "UPDATE studies SET uploads = uploads - 1 WHERE key = ? AND uploads > 0"


class Places:
    """The places of studies. A study has one current place; older ones stay on record."""

    def __init__(self, database: Database) -> None:
        self._db = database

    @contextmanager
    def _change(self, item: Item) -> Iterator[Transaction]:
        """Open a transaction about a study. Raise `TakenOver` if another station was given it since it was taken."""
        with self._db.change() as db:
            must_be_under(db, item.key, item.fence)
            yield db

    def choose(
        self,
        item: Item,
        place: Place,
        sending: Iterable[str],
        now: datetime,
        merge_into: str | None = None,
        *,
        named: bool = False,
        stamp: str | None = None,
    ) -> None:
        """Record the place to which these instances will be sent, before anything is sent.

        `merge_into`: the accession ID of a session that has part of this study already. `named`: each file that is sent
        is named by its SOPInstanceUID. `stamp`: of the ZIP whose import begins at once, as by `begin_import`.
        """
        began = None if stamp is None else text(now)
        with self._db.change() as db:
            row = db.execute(
                "INSERT INTO places (study, project, timestamp, folder, chosen, merge_into, named, last_sent, stamp)"
                " SELECT key, ?, ?, ?, ?, ?, ?, ?, ? FROM studies WHERE key = ? AND fence = ? RETURNING id",
                (place.project, place.timestamp, place.folder, text(now), merge_into, int(named), began, stamp or "",
                 item.key, item.fence),
            ).fetchone()  # fmt: skip
            if row is None:
                raise TakenOver
            if began:
                db.execute(_COUNT_UPLOAD, (item.key,))
            db.executemany(
                "UPDATE instances SET place = ? WHERE study = ? AND sop_uid = ?",
                [(row["id"], item.key, sop_uid) for sop_uid in sending],
            )

    def begin_import(self, item: Item, now: datetime, stamp: str = "") -> None:
        """Record that an import to the current place begins, as if all of it were sent in this moment.

        `stamp`: of the ZIP; empty if a copy of ours is sent.
        """
        with self._change(item) as db:
            db.execute(
                "UPDATE places SET last_sent = ?, stamp = ? WHERE study = ? AND ended IS NULL",
                (text(now), stamp, item.key),
            )
            db.execute(_COUNT_UPLOAD, (item.key,))

    def correct_import(self, item: Item, last_sent: datetime | None) -> None:
        """Record that not all was sent yet. `last_sent`: when something was sent last; None if nothing was."""
        with self._change(item) as db:
            db.execute(
                "UPDATE places SET last_sent = ? WHERE study = ? AND ended IS NULL",
                (text(last_sent) if last_sent else None, item.key),
            )
            db.execute(_DISCOUNT, (item.key,))

    def stamp(self, place: Place) -> str:
        """Return the stamp of the ZIP that was sent to a place; empty if nothing was, or a copy of ours."""
        row = self._db.row(
            "SELECT stamp FROM places WHERE (project, timestamp, folder) = (?, ?, ?)",
            place.project,
            place.timestamp,
            place.folder,
        )
        return str(row["stamp"]) if row else ""

    def end_import(self, item: Item, now: datetime) -> None:
        """Record that everything was sent to the current place: the wait for a late effect begins now."""
        with self._change(item) as db:
            db.execute("UPDATE places SET last_sent = ? WHERE study = ? AND ended IS NULL", (text(now), item.key))
            db.execute(_COUNT_UPLOAD, (item.key,))

    def discount_upload(self, item: Item) -> None:
        """Record that XNAT refused the last complete upload without reading it: it does not count as one."""
        with self._change(item) as db:
            db.execute(_DISCOUNT, (item.key,))

    def last_import(self, item: Item) -> datetime | None:
        """Return when something of this study was last sent to any place."""
        row = self._db.row("SELECT max(last_sent) AS last FROM places WHERE study = ? AND appeared IS NULL", item.key)
        return moment(row["last"]) if row else None

    def give_up(self, item: Item, now: datetime, *, missing: Collection[str] = (), mixed: bool = False) -> None:
        """Abandon the current place: nothing of ours is to be there any more, or it is mixed with others' files."""
        with self._change(item) as db:
            db.execute(
                "UPDATE places SET ended = ?, missing = ?, mixed = ? WHERE study = ? AND ended IS NULL",
                (text(now), json.dumps(sorted(missing)), int(mixed), item.key),
            )

    def forget(self, item: Item) -> None:
        """Forget the current place, to which nothing was ever sent."""
        with self._change(item) as db:
            unused = "SELECT id FROM places WHERE study = :study AND ended IS NULL AND last_sent IS NULL"
            db.execute(f"UPDATE instances SET place = NULL WHERE place IN ({unused})", {"study": item.key})
            db.execute("DELETE FROM places WHERE study = ? AND ended IS NULL AND last_sent IS NULL", (item.key,))

    def must_name(self, item: Item) -> bool:
        """Return whether only file names can prove what is sent, because the site may give images UIDs of its own.

        It does if a study of the project was proved under another UID. It may if something else than this study was
        found at an earlier place of it.
        """
        row = self._db.row(
            "SELECT EXISTS (SELECT 1 FROM places WHERE study = ? AND mixed = 1 AND appeared IS NULL)"
            " OR EXISTS (SELECT 1 FROM studies WHERE project = ? AND server_uid IS NOT NULL) AS must",
            item.key,
            item.project,
        )
        return bool(row and row["must"])

    def mixed(self, study: int) -> list[Place]:
        """Return the places of a study where XNAT has something that is not proved to be ours."""
        rows = self._db.rows("SELECT * FROM places WHERE study = ? AND mixed = 1 AND settled IS NULL", study)
        return [Place(r["project"], r["timestamp"], r["folder"]) for r in rows]

    def flag(self, place: Place) -> None:
        """Write that something lies at a place of ours that is not proved to be ours."""
        self._set(place, "mixed = 1, settled = NULL")

    def unflag(self, place: Place) -> None:
        """Write that what lies at a place is ours after all: it is removed as at any place that was given up."""
        self._set(place, "mixed = 0")

    def settle(self, place: Place, now: datetime) -> None:
        """Write that nothing lies any more at a place where something was not ours."""
        self._set(place, "settled = ?", text(now))

    def _set(self, place: Place, columns: str, *values: str, only: str = "") -> None:
        where = (place.project, place.timestamp, place.folder)
        with self._db.change() as db:
            db.execute(
                f"UPDATE places SET {columns} WHERE (project, timestamp, folder) = (?, ?, ?){only}",
                (*values, *where),
            )

    def begin_archiving(self, item: Item, session: str | None, before: Mapping[str, int]) -> None:
        """Record what the session holds before XNAT is told to archive the row at the current place.

        `session`: the accession ID of the session that the row is added to; None if there is none. `before`: its files
        by series.
        """
        with self._change(item) as db:
            db.execute(
                "UPDATE places SET merge_into = ?, before = ? WHERE study = ? AND ended IS NULL",
                (session, json.dumps(dict(before)), item.key),
            )

    def mark_doubted(self, item: Item, now: datetime) -> None:
        """Record that the outcome of an import to the current place is unknown: something may appear there late."""
        with self._change(item) as db:
            db.execute(
                "UPDATE places SET doubted = coalesce(doubted, ?) WHERE study = ? AND ended IS NULL",
                (text(now), item.key),
            )

    def mark_locked(self, place: Place, now: datetime) -> None:
        """Record that XNAT archives the row at a place, and the answer was lost. The row may stay: people are told."""
        at = text(now)
        self._set(place, "locked = coalesce(locked, ?), doubted = coalesce(doubted, ?)", at, at)

    def clear_locked(self, place: Place) -> None:
        """Record that XNAT archives nothing at a place any more."""
        self._set(place, "locked = NULL", only=" AND locked IS NOT NULL")

    def mark_taken(self, item: Item, now: datetime) -> None:
        """Record that XNAT has what was sent to the current place: it has refused a second import."""
        with self._change(item) as db:
            db.execute("UPDATE places SET taken = ? WHERE study = ? AND ended IS NULL", (text(now), item.key))

    def doubted(self, since: datetime, study: int | None = None) -> list[Place]:
        """Return the places, of all ended studies or of one, where something may appear late: those doubted `since`.

        A place that XNAT has locked counts until its row is gone, which may take any time.
        """
        rows = self._db.rows(
            "SELECT p.* FROM places p JOIN studies s ON s.key = p.study"
            " WHERE p.doubted IS NOT NULL AND (p.doubted >= ?1 OR p.locked IS NOT NULL)"
            f" AND CASE WHEN CAST(?2 AS INTEGER) IS NULL THEN s.standing {HAS_ENDED} ELSE p.study = ?2 END"
            " ORDER BY p.id",
            text(since),
            study,
        )
        return [Place(r["project"], r["timestamp"], r["folder"]) for r in rows]

    def study_at(self, project: str, timestamp: str) -> int | None:
        """Return the study that has a place with this timestamp, if any."""
        row = self._db.row(
            "SELECT study FROM places WHERE project = ? AND timestamp = ? ORDER BY id LIMIT 1", project, timestamp
        )
        return int(row["study"]) if row else None

    def knows(self, study: int, place: Place) -> bool:
        """Return whether this is, or was, a place of a study."""
        where = (study, place.project, place.timestamp, place.folder)
        sql = "SELECT 1 FROM places WHERE (study, project, timestamp, folder) = (?, ?, ?, ?)"
        return self._db.row(sql, *where) is not None

    def add_appeared(self, study: int, place: Place, now: datetime) -> None:
        """Record that XNAT shows something under a study's timestamp in another folder, if that is not known yet."""
        with self._db.change() as db:
            db.execute(
                "INSERT INTO places (study, project, timestamp, folder, chosen, last_sent, ended, appeared)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?5, ?5) ON CONFLICT (project, timestamp, folder) DO NOTHING",
                (study, place.project, place.timestamp, place.folder, text(now)),
            )

    def begin_build(self, place: Place, now: datetime, again: timedelta) -> bool:
        """Record that XNAT is told to build the row at a place; False if it was told so less than `again` ago."""
        where = (place.project, place.timestamp, place.folder)
        with self._db.change() as db:
            row = db.execute(
                "UPDATE places SET built = ? WHERE (project, timestamp, folder) = (?, ?, ?)"
                " AND (built IS NULL OR built NOT BETWEEN ? AND ?) RETURNING id",
                (text(now), *where, text(now - again), text(now)),
            ).fetchone()
        return row is not None

    def add_misplaced(self, item: Item, paths: Collection[str]) -> None:
        """Record where XNAT put the upload, by its own answer, instead of into the current place."""
        with self._change(item) as db:
            db.execute(
                "UPDATE places SET misplaced = ? WHERE study = ? AND ended IS NULL", (json.dumps([*paths]), item.key)
            )

    def clear_misplaced(self, item: Item) -> None:
        """Record that no upload of this study is misplaced any more."""
        with self._change(item) as db:
            db.execute("UPDATE places SET misplaced = '[]' WHERE study = ?", (item.key,))

    def former(self, study: int, *, appeared: bool = False) -> list[Place]:
        """Return the places that were given up and may hold only our files: a late row there would be a double.

        `appeared`: only the folders in which XNAT itself put something under our timestamp.
        """
        rows = self._db.rows(
            "SELECT * FROM places WHERE study = ? AND ended IS NOT NULL AND last_sent IS NOT NULL AND mixed = 0"
            " AND locked IS NULL AND CASE WHEN appeared IS NULL THEN 0 ELSE 1 END = ?",
            study,
            int(appeared),
        )
        return [Place(r["project"], r["timestamp"], r["folder"]) for r in rows]
