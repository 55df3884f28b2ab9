"""The row of a study: written from the headers of its images, read with its places and open findings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from xnat_watchd.adapters.ledger.database import Row, Transaction, moment
from xnat_watchd.adapters.ledger.findings import open_findings
from xnat_watchd.core.delivery import PATIENT, Item, MisplacedUpload, Person, Place, Study
from xnat_watchd.core.states import DeliveryKind, Progress

_OF_PLACE = (
    "project", "timestamp", "folder", "last_sent", "merge_into", "named", "taken", "locked", "before", "doubted",
    "misplaced",
)  # fmt: skip

ITEM = f"""
SELECT s.*, d.kind, d.name AS file_name,
       (SELECT count(*) FROM instances i WHERE i.study = s.key AND i.left_behind = 0) AS images,
       p.id AS place, {", ".join(f"p.{name} AS place_{name}" for name in _OF_PLACE)},
       EXISTS (SELECT 1 FROM places o WHERE o.study = s.key AND o.ended IS NOT NULL) AS has_given_up,
       EXISTS (SELECT 1 FROM findings f WHERE f.study = s.key AND f.settled IS NULL) AS has_findings,
       (SELECT o.server_uid FROM studies o WHERE o.project = s.project AND o.study_uid = s.study_uid
        AND o.server_uid IS NOT NULL ORDER BY o.key LIMIT 1) AS known_server_uid
FROM studies s JOIN deliveries d ON d.id = s.delivery
LEFT JOIN places p ON p.study = s.key AND p.ended IS NULL
"""
"""The rows that `as_item` reads; a condition on `s` follows."""


def columns_of(study: Study) -> dict[str, object]:
    """Return the columns of a new row of `studies` that come from the headers of its images."""
    return {
        **{attribute.column: study.person.value(attribute) for attribute in PATIENT},
        "date": study.date, "time": study.time, "modalities": json.dumps([one.modality for one in study.series]),
    }  # fmt: skip


def insert_study(db: Transaction, columns: Mapping[str, object]) -> int:
    """Insert a row into `studies`, and return its key."""
    row = db.execute(
        f"INSERT INTO studies ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) RETURNING key",
        tuple(columns.values()),
    ).fetchone()
    return int(row["key"])


_GIVEN_UP = "SELECT * FROM places WHERE study = ? AND ended IS NOT NULL ORDER BY id DESC"


def as_item(db: Transaction, row: Row, fence: int, attempts: int, since: datetime | None) -> Item:
    """Return the study of a row of `ITEM`, as it is since it was taken under this fence."""
    current = {name: row[f"place_{name}"] for name in _OF_PLACE} if row["place"] is not None else None
    given_up = db.execute(_GIVEN_UP, (row["key"],)).fetchall() if row["has_given_up"] else []
    former = next((place for place in given_up if place["appeared"] is None), None)
    places = [*([current] if current else []), *given_up]
    return Item(
        key=row["key"], fence=fence, delivery=row["delivery"], number=row["number"], project=row["project"],
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
        why=row["why"] or "", findings=open_findings(db, row["key"]) if row["has_findings"] else (),
        file_name=row["file_name"].rpartition("/")[2], images=row["images"],
        has_given_up=bool(given_up),
        uploads=row["uploads"], trials=row["trials"], refusal=row["refusal"], delayed=moment(row["delayed"]),
        misplaced=tuple(
            MisplacedUpload(path, one["folder"]) for one in places for path in json.loads(one["misplaced"])
        ),
    )  # fmt: skip
