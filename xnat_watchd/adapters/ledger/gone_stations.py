"""What a station has left busy that is not heard of any more: it is put in doubt, and waits.

Whether the station is dead, frozen or cut off cannot be known. What it has asked of XNAT may still appear, so nobody
acts on it before that is over; and then only who can read the ZIP, after it has asked XNAT.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from xnat_watchd.adapters.ledger.database import Database, Row, Transaction, text
from xnat_watchd.adapters.ledger.early_places import end_sendings
from xnat_watchd.adapters.ledger.people import record_person
from xnat_watchd.adapters.ledger.stations import Stations
from xnat_watchd.adapters.ledger.transitions import move
from xnat_watchd.core.states import Event, Progress, Standing

WHY = "the station that worked on it is gone, and what it has asked of XNAT may still appear"
ADVICE = "Nothing to do: XNAT is asked first whether it has the study."


class GoneStations:
    """The stations that were not heard of for the length of the lease."""

    def __init__(self, database: Database, stations: Stations) -> None:
        self._db, self._stations = database, stations

    def put_in_doubt(self, now: datetime) -> list[str]:
        """End the epoch of every station that is gone, and have what it left busy wait. Return their names.

        It waits as long as something may still appear in XNAT, by what the station itself had said of that.
        """
        asked = (self._stations.me.id, -self._stations.lease, self._stations.lease)
        if not self._db.rows(f"SELECT 1 FROM stations WHERE {_IS_GONE}", *asked):  # nearly always
            return []
        with self._db.change() as db:
            gone = db.execute(_END_EPOCH, asked).fetchall()
            for station in gone:
                end_sendings(db, station["id"], station["due"])
                for row in db.execute(_LEFT_BUSY, (station["id"],)).fetchall():
                    _put_off(db, row, station, now)
        return [station["name"] for station in gone]


_IS_GONE = "id <> ? AND gone IS NULL AND seen NOT BETWEEN database_now(?) AND database_now(?)"

_END_EPOCH = f"""
UPDATE stations SET epoch = epoch + 1, gone = database_now(0) WHERE {_IS_GONE}
RETURNING id, name, lateness, database_now(lateness) AS due
"""

_LEFT_BUSY = "SELECT * FROM studies WHERE standing = 'busy' AND owner = ? ORDER BY key"


def _put_off(db: Transaction, row: Row, station: Row, now: datetime) -> None:
    if row["progress"] == Progress.UPLOADED:  # it may be archived already: the answer may be lost
        record_person(db, row["key"])
    since = datetime.fromisoformat(station["due"]) - timedelta(seconds=station["lateness"])
    move(db, row["key"], Standing.BUSY, Event.POSTPONED, now, row["fence"], fence=row["fence"] + 1, in_doubt=1,
         due=station["due"], may_act_until=station["due"], since=text(since), why=WHY, advice=ADVICE)  # fmt: skip
