"""Stations: the services that work on one ledger. A ledger that is a file has one, and a database may have many."""

from __future__ import annotations

from dataclasses import dataclass, replace

from xnat_watchd.adapters.ledger.database import Database


@dataclass(frozen=True, slots=True)
class Station:
    """A station as its own program knows it."""

    id: int = 1  #: that of the only station of a ledger that is a file
    epoch: int = 1  #: under which it has taken its work
    root: str = ""  #: UUID of the root whose ZIPs it sends; empty: the only one of the ledger


class Stations:
    """The stations of the ledger, and which of them this program is."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self.shared = database.shared  #: whether there may be others
        self.me = Station()

    def enroll(self, name: str, version: str) -> None:
        """Become the station of this name, in a new epoch. The host of the only station may have another name now."""
        with self._db.change() as db:
            row = db.execute(_ITS_ROW, (name,)).fetchone()
            row = db.execute(_BEGIN, (name, version, row["id"])).fetchone()
        self.me = replace(self.me, id=row["id"], epoch=row["epoch"])

    def serve(self, root: str) -> None:
        """Send the ZIPs of this root from now on, whichever station took them."""
        with self._db.change() as db:
            db.execute("UPDATE stations SET root = ? WHERE id = ?", (root, self.me.id))
        self.me = replace(self.me, root=root)


_ITS_ROW = "SELECT id FROM stations ORDER BY CASE WHEN name = ? THEN 0 ELSE 1 END, id LIMIT 1"

_BEGIN = "UPDATE stations SET name = ?, version = ?, epoch = epoch + 1 WHERE id = ? RETURNING id, epoch"
