"""The folders of the service: the mark that was put into each, and the files that must be in it."""

from __future__ import annotations

from dataclasses import dataclass

from xnat_watchd.adapters.ledger.database import Database
from xnat_watchd.adapters.ledger.stations import Stations

_ITS_ROOT = "(SELECT root FROM stations WHERE id = ?)"  #: as it was last: the work folder may not be there now

_EXPECTED = {
    "work": "SELECT 0 AS id, id || '.zip' AS path FROM deliveries WHERE kind = 'zip' AND state IN ('arriving', 'taken')"
    f" AND kept_as IS NULL AND root = {_ITS_ROOT}",
    "done": "SELECT id, substr(kept_as, 6) AS path FROM deliveries WHERE kept_as LIKE 'done/%' AND deleted IS NULL"
    f" AND state IN ('finished', 'duplicate') AND root = {_ITS_ROOT} ORDER BY id DESC LIMIT 1000",
    "failed": "SELECT id, substr(kept_as, 8) AS path FROM deliveries WHERE kept_as LIKE 'failed/%'"
    f" AND state = 'rejected' AND settled IS NULL AND root = {_ITS_ROOT} ORDER BY id DESC LIMIT 1000",
    "shares": "SELECT 0 AS id, name AS path FROM share_tables WHERE station = ?",
}
"""Queries for the newest files that the ledger expects in a folder of a station. It expects none in the drop folder."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The folder mark by which a folder is recognised."""

    id: str  #: the content of its mark; empty if none could be written
    identity: str  #: device and inode of the folder when it was marked
    path: str


class Marks:
    """The marks of this station's folders, by their names in the settings."""

    def __init__(self, database: Database, stations: Stations) -> None:
        self._db, self._stations = database, stations

    def mark(self, folder: str) -> Mark | None:
        """Return the mark that the service has put into a folder, or None if it has not put one yet."""
        sql = "SELECT * FROM marks WHERE station = ? AND folder = ?"
        row = self._db.known_row(sql, self._stations.me.id, folder)
        return Mark(row["id"], row["identity"], row["path"]) if row else None

    def is_of_another(self, folder: str, mark: str) -> bool:
        """Return whether another station, which sees the same folder, has put this mark there."""
        sql = "SELECT 1 FROM marks WHERE station <> ? AND folder = ? AND id = ?"
        return self._db.row(sql, self._stations.me.id, folder, mark) is not None

    def keep(self, folder: str, mark: Mark) -> None:
        """Store the mark that a folder has from now on."""
        with self._db.change() as db:
            db.execute(
                "INSERT INTO marks (station, folder, id, identity, path) VALUES (?,?,?,?,?)"
                " ON CONFLICT (station, folder) DO UPDATE"
                " SET id = excluded.id, identity = excluded.identity, path = excluded.path",
                (self._stations.me.id, folder, mark.id, mark.identity, mark.path),
            )

    def expected(self, folder: str) -> list[tuple[int, str]]:
        """Return some paths in a folder where a file must be, each with the delivery whose ZIP is kept there.

        The ZIP may still be in work: where it is to be kept is recorded before it is moved.
        """
        if folder not in _EXPECTED:
            return []
        return [(row["id"], row["path"]) for row in self._db.rows(_EXPECTED[folder], self._stations.me.id)]
