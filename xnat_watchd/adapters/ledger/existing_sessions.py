"""Studies that others put into XNAT and that we carry on, and the subjects that our archiving created."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from xnat_watchd.adapters.ledger.database import Database, Transaction, text
from xnat_watchd.adapters.ledger.items import columns_of, insert_study
from xnat_watchd.adapters.ledger.people import PEOPLE_OF_LABEL, person
from xnat_watchd.adapters.ledger.precedence import GOES_FIRST
from xnat_watchd.adapters.ledger.rows import NewSubject, StandingRow, typed
from xnat_watchd.adapters.ledger.stations import Station, Stations
from xnat_watchd.adapters.ledger.studies import CREATES
from xnat_watchd.adapters.ledger.transitions import RESET, move
from xnat_watchd.core.delivery import Person, Place
from xnat_watchd.core.errors import for_item
from xnat_watchd.core.existing_sessions import ExistingSession
from xnat_watchd.core.states import DeliveryState, Event, Standing

FOUND = "found"  #: an event in a study's story


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A study that is under way already."""

    key: int
    item: str
    standing: Standing
    is_parked: bool = False  #: it waits because of the setting `until`


class ExistingSessions:
    """Studies that others put into XNAT."""

    def __init__(self, database: Database, stations: Stations) -> None:
        self._db, self._stations = database, stations

    def at(self, place: Place) -> UnderWay | None:
        """Return the study of ours that has, or had, this place in the prearchive; None if there is none."""
        return self._under_way(
            "JOIN places p ON p.study = s.key WHERE (p.project, p.timestamp, p.folder) = (?, ?, ?)",
            place.project, place.timestamp, place.folder,
        )  # fmt: skip

    def on_its_way(self, identity: str) -> UnderWay | None:
        """Return the study that was taken from this path in XNAT and is not done."""
        return self._under_way("WHERE d.identity = ? AND d.kind <> 'zip' AND d.state = 'taken'", identity)

    def person_of(self, project: str, subject: str) -> Person | None:
        """Return the person of a subject label, with name, ID and birth date; None if we know none."""
        row = self._db.row(PEOPLE_OF_LABEL, project, subject.casefold(), 0)
        return person(row) if row else None

    def admit(self, find: ExistingSession, now: datetime) -> UnderWay:
        """Take a study to carry it on, as it was shown. If it is known and held, it is tried again as shown now."""
        known = self.on_its_way(find.identity)
        with self._db.change() as db:
            if known is None:
                key = _enter(db, find, now, self._stations.here())
            else:
                key = known.key
                if known.standing is Standing.HELD:
                    _renew(db, key, find, now)
        return self._under_way("WHERE s.key = ?", key) or _gone(key)

    def under_way(self) -> list[int]:
        """Return every study that is not done and not held."""
        rows = self._db.rows("SELECT key FROM studies WHERE standing IN ('ready', 'busy', 'waiting')")
        return [row["key"] for row in rows]

    def standings(self, keys: Collection[int]) -> list[StandingRow]:
        """Return the standings of these studies.

        `open`: taken from XNAT, and its delivery has not ended. `barred`: it waits for the same study of another ZIP.
        """
        rows = self._db.rows(_STANDINGS, json.dumps(sorted(keys)))
        return typed(StandingRow, ({**row, "advice": for_item(row["advice"] or "", row["item"])} for row in rows))

    def elsewhere(self, keys: Collection[int]) -> dict[int, tuple[str, str]]:
        """Return those whose ZIP lies in another root: key -> name of the study, and of the station that took it."""
        if not self._stations.shared:
            return {}
        rows = self._db.rows(
            "SELECT s.key, s.delivery || '.' || s.number AS item, t.name FROM studies s"
            " JOIN deliveries d ON d.id = s.delivery JOIN stations t ON t.id = d.station WHERE s.root <> ?"
            " AND s.key IN (SELECT CAST(value AS INTEGER) FROM json_each(?)) ORDER BY s.key",
            self._stations.me.root, json.dumps(sorted(keys)),
        )  # fmt: skip
        return {row["key"]: (row["item"], row["name"]) for row in rows}

    def new_subjects(self, since: datetime, project: str | None) -> list[NewSubject]:
        """Return the subjects that our archiving has created since then, oldest first."""
        rows = self._db.rows(
            "SELECT label, project, created, item FROM ("
            " SELECT s.subject AS label, s.project, e.at AS created, s.delivery || '.' || s.number AS item,"
            " row_number() OVER (PARTITION BY s.project, s.subject_key ORDER BY e.at, e.id) AS nth"
            " FROM events e JOIN studies s ON s.key = e.study AND s.subject = e.detail"
            " WHERE e.event = ?1 AND s.session IS NOT NULL AND (CAST(?2 AS TEXT) IS NULL OR s.project = ?2)) AS made"
            " WHERE nth = 1 AND created >= ?3 ORDER BY created",
            CREATES, project, text(since),
        )  # fmt: skip
        return typed(NewSubject, rows)

    def _under_way(self, condition: str, *values: object) -> UnderWay | None:
        row = self._db.row(
            "SELECT s.key, s.standing, s.due, s.delivery || '.' || s.number AS item"
            f" FROM studies s JOIN deliveries d ON d.id = s.delivery {condition} ORDER BY s.key DESC",
            *values,
        )
        if row is None:
            return None
        standing = Standing(row["standing"])
        return UnderWay(row["key"], row["item"], standing, standing is Standing.WAITING and row["due"] is None)


_STANDINGS = f"""
SELECT s.key, s.delivery || '.' || s.number AS item, s.project, s.progress, s.standing, s.due, s.why, s.advice,
       d.kind <> 'zip' AND d.state = 'taken' AS open,
       EXISTS (SELECT 1 FROM studies o WHERE {GOES_FIRST}) AS barred
FROM studies s JOIN deliveries d ON d.id = s.delivery
WHERE s.key IN (SELECT CAST(value AS INTEGER) FROM json_each(?)) ORDER BY s.key
"""


def _enter(db: Transaction, find: ExistingSession, now: datetime, me: Station) -> int:
    delivery = db.execute(
        "INSERT INTO deliveries (kind, name, project, identity, state, arrived, station, root) VALUES (?,?,?,?,?,?,?,?)"
        " RETURNING id",
        (find.kind, find.name, find.project, find.identity, DeliveryState.TAKEN, text(now), me.id, me.root),
    ).fetchone()["id"]
    columns = _columns(find) | {
        "delivery": delivery, "number": 1, "project": find.project, "study_uid": find.study.uid,
        "progress": find.progress, "standing": Standing.READY, "received": text(now), "changed": text(now),
        "root": me.root,
    }  # fmt: skip
    key = insert_study(db, columns)
    _enter_series(db, key, find)
    if find.place:
        place = find.place
        db.execute(
            "INSERT INTO places (study, project, timestamp, folder, chosen) VALUES (?,?,?,?,?)",
            (key, place.project, place.timestamp, place.folder, text(now)),
        )
    db.execute(
        "INSERT INTO events (at, delivery, study, event, progress, standing) VALUES (?,?,?,?,?,?)",
        (text(now), delivery, key, FOUND, find.progress, Standing.READY),
    )
    return key


def _renew(db: Transaction, key: int, find: ExistingSession, now: datetime) -> None:
    db.execute("DELETE FROM series WHERE study = ?", (key,))
    _enter_series(db, key, find)
    move(db, key, Standing.HELD, Event.RELEASED, now, in_doubt=1, due=None, why=None, detail=None, advice=None,
         **RESET, **_columns(find))  # fmt: skip


def _enter_series(db: Transaction, key: int, find: ExistingSession) -> None:
    db.executemany(
        "INSERT INTO series (study, uid, number, modality, image, files) VALUES (?,?,?,?,?,?)",
        [(key, s.uid, s.number, s.modality, int(s.image), find.files[s.uid]) for s in find.study.series],
    )


def _columns(find: ExistingSession) -> dict[str, object]:
    return {
        **columns_of(find.study), "subject": find.subject, "subject_key": find.subject.casefold(),
        "label": find.label, "session": find.session,
    }  # fmt: skip


def _gone(key: int) -> UnderWay:
    raise LookupError(f"study {key} was written and is not there")
