"""The row of a study: written from the headers of its images, read with its places and open findings."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime

from xnat_watchd.adapters.ledger.database import moment
from xnat_watchd.adapters.ledger.findings import open_findings
from xnat_watchd.core.delivery import PATIENT, Item, MisplacedUpload, Person, Place, Study
from xnat_watchd.core.states import DeliveryKind, Progress

ITEM = """
SELECT s.*, (SELECT kind FROM deliveries d WHERE d.id = s.delivery) AS kind,
            (SELECT o.server_uid FROM studies o WHERE o.project = s.project AND o.study_uid = s.study_uid
             AND o.server_uid IS NOT NULL ORDER BY o.key LIMIT 1) AS known_server_uid
FROM studies s
"""
"""The rows that `as_item` reads; a condition on `s` follows."""


def columns_of(study: Study) -> dict[str, object]:
    """Return the columns of a new row of `studies` that come from the headers of its images."""
    return {
        **{attribute.column: study.person.value(attribute) for attribute in PATIENT},
        "date": study.date, "time": study.time, "modalities": json.dumps([one.modality for one in study.series]),
    }  # fmt: skip


def insert_study(db: sqlite3.Connection, columns: Mapping[str, object]) -> int:
    """Insert a row into `studies`, and return its key."""
    row = db.execute(
        f"INSERT INTO studies ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) RETURNING key",
        tuple(columns.values()),
    ).fetchone()
    return int(row["key"])


def as_item(db: sqlite3.Connection, row: sqlite3.Row, attempts: int, since: datetime | None) -> Item:
    """Return the study of a row of `ITEM`."""
    places = db.execute("SELECT * FROM places WHERE study = ? ORDER BY id DESC", (row["key"],)).fetchall()
    current = next((place for place in places if place["ended"] is None), None)
    former = next((place for place in places if place["ended"] is not None and place["appeared"] is None), None)
    return Item(
        key=row["key"], delivery=row["delivery"], number=row["number"], project=row["project"],
        study_uid=row["study_uid"], server_uid=row["known_server_uid"],
        person=Person.read(lambda attribute: row[attribute.column]),
        date=row["date"], time=row["time"], modalities=tuple(json.loads(row["modalities"])),
        progress=Progress(row["progress"]), attempts=attempts, in_doubt=bool(row["in_doubt"]),
        since=since,
        place=Place(current["project"], current["timestamp"], current["folder"]) if current else None,
        import_began=moment(current["last_sent"]) if current else None,
        missing_before=frozenset(json.loads(former["missing"])) if former else frozenset(),
        subject=row["subject"], label=row["label"], session=row["session"], kind=DeliveryKind(row["kind"]),
        subject_id=row["subject_id"],
        generation=row["generation"], skip_reason=row["skip_reason"],
        merge_into=current["merge_into"] if current else None, named=bool(current and current["named"]),
        taken=bool(current and current["taken"]), locked=moment(current["locked"]) if current else None,
        doubted=any(place["doubted"] for place in places),
        before=json.loads(current["before"]) if current and current["before"] else None,
        why=row["why"] or "", findings=open_findings(db, row["key"]),
        uploads=row["uploads"], trials=row["trials"], refusal=row["refusal"], delayed=moment(row["delayed"]),
        misplaced=tuple(
            MisplacedUpload(path, one["folder"]) for one in places for path in json.loads(one["misplaced"])
        ),
    )  # fmt: skip
