"""When imports start, so that those of several stations lie apart, too."""

from __future__ import annotations

from datetime import timedelta

from xnat_watchd.adapters.ledger.database import Database, moment, text

GAP = timedelta(milliseconds=200)
"""Between the starts of imports of two stations: a network delays one of them more than the other, and two that begin
within one millisecond mix (F61, F96).
"""
LONGEST = timedelta(minutes=1)  #: a start that is reserved for later was reserved by a clock that ran ahead


class ImportStarts:
    """The starts of the imports to the XNAT of a shared ledger, by the clock of its database."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def reserve(self) -> float:
        """Reserve the next free start among all stations; return in how many seconds it is."""
        with self._db.change() as db:
            now = self._db.now()
            row = db.execute("SELECT at FROM import_starts").fetchone()
            last = moment(row["at"]) if row else None
            start = max(now, last + GAP) if last and last < now + LONGEST else now
            db.execute(
                "INSERT INTO import_starts (id, at) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET at = excluded.at",
                (text(start),),
            )
        return (start - now).total_seconds()
