"""The content of studies: their instances and series, and which of them XNAT has."""

from __future__ import annotations

from xnat_watchd.adapters.ledger.database import Database, Row
from xnat_watchd.core.comparison import SentSeries
from xnat_watchd.core.delivery import Instance, Item


class Contents:
    """Instances and series of studies. What was entered when the ZIP was opened never changes."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def instances(self, item: Item) -> list[Instance]:
        """Return the instances that XNAT is to have, in the order of the ZIP: all that no person has left behind."""
        rows = self._db.rows("SELECT * FROM instances WHERE study = ? AND left_behind = 0 ORDER BY member", item.key)
        return [_instance(row) for row in rows]

    def wanted(self, item: Item) -> list[Instance]:
        """Return the instances that XNAT must hold of this study: all except the series that the server leaves out."""
        rows = self._db.rows(
            "SELECT * FROM instances WHERE study = ? AND left_behind = 0"
            f" AND series NOT IN ({_LEFT_OUT}) ORDER BY member",
            item.key, item.project, item.study_uid,
        )  # fmt: skip
        return [_instance(row) for row in rows]

    def known(self, item: Item) -> dict[str, Instance]:
        """Return the instances of this study that XNAT is proved to hold, from any ZIP."""
        uid = (item.project, item.study_uid)
        rows = self._db.rows(
            "SELECT i.* FROM instances i JOIN studies s ON s.key = i.study WHERE s.project = ? AND s.study_uid = ?"
            f" AND s.progress IN ('archived', 'complete') AND i.left_behind = 0 AND i.series NOT IN ({_LEFT_OUT})",
            *uid, *uid,
        )  # fmt: skip
        return {one.sop_uid: one for one in map(_instance, rows)}

    def series(self, item: Item, *, at_place: bool = False) -> dict[str, SentSeries]:
        """Return the study's series by UID with their number of instances. `at_place`: only those sent to its place."""
        rows = self._db.rows(
            "SELECT x.uid, x.image, coalesce(x.files, count(i.sop_uid)) AS n FROM series x LEFT JOIN instances i"
            " ON i.study = x.study AND i.series = x.uid AND i.left_behind = 0 WHERE x.study = ? AND x.left_out = 0"
            " AND (? = 0 OR i.place = (SELECT id FROM places WHERE study = x.study AND ended IS NULL))"
            " GROUP BY x.study, x.uid, x.image, x.files HAVING coalesce(x.files, count(i.sop_uid)) > 0",
            item.key,
            int(at_place),
        )
        return {row["uid"]: SentSeries(row["n"], bool(row["image"])) for row in rows}

    def at_place(self, item: Item) -> dict[str, frozenset[str]]:
        """Return the SOPInstanceUIDs that were sent to the study's current place, by SeriesInstanceUID."""
        rows = self._db.rows(
            "SELECT series, sop_uid FROM instances WHERE study = ? AND place ="
            " (SELECT id FROM places WHERE study = ? AND ended IS NULL)",
            item.key,
            item.key,
        )
        found: dict[str, set[str]] = {}
        for row in rows:
            found.setdefault(row["series"], set()).add(row["sop_uid"])
        return {series: frozenset(uids) for series, uids in found.items()}

    def series_named(self, item: Item) -> dict[str, str]:
        """Return the study's series, from any ZIP, by UID as people call them."""
        rows = self._db.rows(
            "SELECT x.uid, x.number, x.modality FROM series x JOIN studies s ON s.key = x.study"
            " WHERE s.project = ? AND s.study_uid = ?",
            item.project,
            item.study_uid,
        )
        return {row["uid"]: f"series {row['number']} ({row['modality']})" for row in rows}


_LEFT_OUT = """
SELECT x.uid FROM series x JOIN studies o ON o.key = x.study
WHERE o.project = ? AND o.study_uid = ? AND x.left_out = 1
"""
"""The series of a study, from any ZIP, that the server leaves out."""


def _instance(row: Row) -> Instance:
    return Instance(row["sop_uid"], row["series"], row["size"], row["crc"], row["member"], row["digest"])
