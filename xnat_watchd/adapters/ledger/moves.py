"""How the ledger is moved to another place: all of it or, of a shared one, what belongs to this station's root."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from xnat_watchd.adapters.ledger.database import VERSION, Database, text
from xnat_watchd.adapters.ledger.exporting import Line, MovedPart, lines_of
from xnat_watchd.adapters.ledger.importing import EXPORT_AGAIN, ImportedRows, Importer
from xnat_watchd.adapters.ledger.moved_tables import MOVED
from xnat_watchd.adapters.ledger.stations import Stations
from xnat_watchd.core.errors import Refusal

CANCEL = "`xnat-watchd ledger export --cancel`"


@dataclass(frozen=True, slots=True)
class Move:
    """One move of a ledger, as the first line of its file tells."""

    id: str  #: UUID
    first: int  #: number of a delivery; 0 where there is none
    last: int
    schema: int = VERSION


class Moves:
    """Moves from here and to here. Both are made within one transaction of the caller."""

    def __init__(self, database: Database, stations: Stations) -> None:
        self._db, self._stations = database, stations

    def must_be_here(self, root: str = "") -> None:
        """Raise `Refusal` if the ledger was moved away: another one goes on with its work.

        Of a shared one that counts which belongs to a root: to `root`, or else to the one that this station serves.
        """
        row = self._db.row(_AWAY, root or self._stations.me.root)
        if row is not None:
            raise Refusal(
                f"this ledger was moved away by `xnat-watchd ledger export` at {row['at'][:16].replace('T', ' ')} UTC",
                advice="If its file was imported, name the ledger that has it now in [ledger] of the settings. "
                f"If not, type {CANCEL}, and this one is used again.",
            )

    # From here.

    def begin(self, move_id: str, now: datetime) -> Move:
        """Record that what belongs to this root is moved away, and return what there is of it.

        The epoch of every station that serves the root ends with it, so that one which was cut off or frozen takes
        nothing of it any more. Raise `Refusal` if it is being worked on, or was moved away already.
        """
        root = self._stations.me.root
        self.must_be_here(root)
        with self._db.change() as db:
            busy = db.execute("SELECT delivery, number FROM studies WHERE root = ? AND standing = 'busy'", (root,))
            if (row := busy.fetchone()) is not None:
                raise Refusal(
                    f"another station works on {row['delivery']}.{row['number']}, which lies in this root",
                    advice="Stop the service at every station that serves these folders. Then type this again.",
                )
            db.execute("INSERT INTO moves (id, way, root, at) VALUES (?,'away',?,?)", (move_id, root, text(now)))
            db.execute(_END_EPOCHS, (root,))
            row = db.execute(_NUMBERS, (root,)).fetchone()
        return Move(move_id, row["first"], row["last"])

    def lines(self) -> Iterator[Line]:
        """Yield all that is moved: for each table a line with its columns, then one for each row."""
        with self._db.change() as db:
            self._db.renew_statistics(one.name for one in MOVED)  # else each batch may sort all that is left
            yield from lines_of(db, MovedPart(self._db.shared, self._stations.me))

    def cancel(self, now: datetime) -> bool:
        """Record that the ledger is used here after all; return whether it had been moved away."""
        sql = "UPDATE moves SET ended = ? WHERE way = 'away' AND ended IS NULL AND root = ?"
        with self._db.change() as db:
            return db.execute(sql, (text(now), self._stations.me.root)).rowcount > 0

    def goes_on(self, without: str) -> bool:
        """Return whether there are deliveries that this move, which was not cancelled, has not taken away."""
        row = self._db.row(_AWAY, "")
        is_away = row is not None and row["id"] == without
        return not is_away and self._db.row("SELECT 1 FROM deliveries LIMIT 1") is not None

    # To here.

    def take(self, move: Move, lines: Iterable[Any], now: datetime) -> ImportedRows:
        """Take all that another ledger has of this root. Raise `Refusal` if some of it is here already."""
        if move.schema != VERSION:
            raise Refusal(f"the file is of schema {move.schema}, this program knows {VERSION}", advice=EXPORT_AGAIN)
        me = self._stations.me
        with self._db.change() as db:
            if db.execute("SELECT 1 FROM moves WHERE id = ?", (move.id,)).fetchone():
                raise Refusal("this file was imported into this ledger already", advice="Nothing is left to do.")
            if db.execute("SELECT 1 FROM deliveries WHERE root = ? LIMIT 1", (me.root,)).fetchone():
                raise Refusal(
                    "this ledger has deliveries of these folders already, so the file would double them",
                    advice="Import it into a ledger that has none of them. What was carried since is not in the file.",
                )
            db.execute(
                "UPDATE moves SET ended = ? WHERE way = 'away' AND ended IS NULL AND root = ?", (text(now), me.root)
            )
            taken = self._taken(Importer(self._db, db, me, (move.first, move.last)), lines)
            db.execute("INSERT INTO moves (id, way, root, at) VALUES (?,'here',?,?)", (move.id, me.root, text(now)))
        return taken

    def _taken(self, importer: Importer, lines: Iterable[Any]) -> ImportedRows:
        try:
            return importer.take(lines)
        except self._db.violations as error:
            raise Refusal(
                "the file holds what cannot stand in this ledger", detail=str(error), advice=EXPORT_AGAIN
            ) from error


_AWAY = "SELECT id, at FROM moves WHERE way = 'away' AND ended IS NULL AND root = ?"

_END_EPOCHS = "UPDATE stations SET epoch = epoch + 1, gone = coalesce(gone, database_now(0)) WHERE root = ?"

_NUMBERS = "SELECT coalesce(min(id), 0) AS first, coalesce(max(id), 0) AS last FROM deliveries WHERE root = ?"
