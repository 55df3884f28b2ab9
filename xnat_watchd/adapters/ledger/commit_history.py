"""Whether the database has lost what it had confirmed, as a failover to a standby that lagged may have.

A server that was promoted, or a database that was restored, goes on in another history. What was lost cannot be known:
what is unfinished may be further than the ledger says, and some of what was sent may not be in it at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from xnat_watchd.adapters.ledger.database import Database, Row, Transaction
from xnat_watchd.adapters.ledger.people import record_person
from xnat_watchd.adapters.ledger.standings import GOES_ON
from xnat_watchd.adapters.ledger.stations import Stations
from xnat_watchd.adapters.ledger.transitions import move
from xnat_watchd.core.states import Event, Progress, Standing

WHY = "the ledger may have forgotten something, and XNAT may have more of it than the ledger says"
ADVICE = "Nothing to do: XNAT is asked first whether it has the study."
PAUSED = "the ledger's database has failed over and may have lost what was recorded last: no ZIP is deleted"
OLDER = "the ledger does not know what lies in the work folder, and may be an older copy: no ZIP is deleted"
VERIFY = (
    "Look what XNAT has: `xnat-watchd verify --since 1d`, and by `xnat-watchd archive --dry-run` whether its prearchive"
    " has a row of the name watchd-... that is archived already: that one is a double. Then type `xnat-watchd resume`"
)
AHEAD = 1_000_000
"""Added to the fence of each study: more than it can have been taken in what was lost, so that nobody who was given one
there still has it.
"""
SKIPPED = 1000  #: numbers of deliveries and the like that are left out: those that were lost stand in names of files


class CommitHistory:
    """The history in which the ledger goes on. A ledger that is a file has one only."""

    def __init__(self, database: Database, stations: Stations) -> None:
        self._db, self._stations = database, stations

    def has_changed(self, now: datetime) -> bool:
        """Return whether the database goes on in another history, the first time that this is asked.

        If it does, everything unfinished is put in doubt until nothing more can appear in XNAT, every station has to
        begin anew, and retention is paused.
        """
        history = self._db.history()
        recorded = self._db.row("SELECT name FROM commit_history")
        if recorded is not None and recorded["name"] == history:
            return False
        with self._db.change() as db:
            first = db.execute("SELECT name FROM commit_history").fetchone() is None
            db.execute(
                "INSERT INTO commit_history (id, name) VALUES (1, ?)"
                " ON CONFLICT (id) DO UPDATE SET name = excluded.name",
                (history,),
            )
            if not first:
                _distrust(db, now)
        return not first

    def end(self) -> None:
        """Have the next start find another history, though the database tells of none but lacks what was confirmed.

        So it is after a snapshot of the whole server was put back, or the rows of a dump into the tables as they were.
        Raise `OtherHistory` where the database does tell of another.
        """
        self._db.forget()
        with self._db.change() as db:
            db.execute("UPDATE commit_history SET name = ''")

    def distrust_root(self, latest: int, now: datetime) -> None:
        """Put in doubt all that is unfinished in the root of this station, and pause its retention.

        `latest`: the greatest number of a delivery that is known to be lost. No new one gets a number up to it.
        """
        me = self._stations.me
        with self._db.change() as db:
            row = db.execute("SELECT coalesce(max(id), 0) AS known FROM deliveries").fetchone()
            lost = latest if latest <= row["known"] + AHEAD else 0  # else it is no number that was ever given
            self._db.continue_numbers("deliveries", "id", after=max(row["known"], lost) + SKIPPED)
            db.execute(
                f"{_PAUSE} WHERE id = :me ON CONFLICT DO NOTHING", {"why": OLDER, "advice": f"{VERIFY}.", "me": me.id}
            )
            _put_in_doubt(db, now, db.execute(f"{_UNFINISHED} AND root = ? ORDER BY key", (me.root,)).fetchall())


def _distrust(db: Transaction, now: datetime) -> None:
    db.execute("UPDATE stations SET epoch = epoch + 1, gone = database_now(0) WHERE gone IS NULL")
    db.execute("SELECT skip_numbers(?)", (SKIPPED,))
    db.execute(f"{_PAUSE} WHERE true ON CONFLICT DO NOTHING", {"why": PAUSED, "advice": f"{VERIFY} at each station."})
    _put_in_doubt(db, now, db.execute(f"{_UNFINISHED} ORDER BY key").fetchall())


def _put_in_doubt(db: Transaction, now: datetime, studies: Sequence[Row]) -> None:
    latest = db.execute("SELECT database_now(coalesce(max(lateness), 0)) AS due FROM stations").fetchone()
    for row in studies:
        if row["progress"] == Progress.UPLOADED:  # it may be archived already
            record_person(db, row["key"])
        due = max(latest["due"], row["due"] or "")
        move(db, row["key"], Standing(row["standing"]), Event.POSTPONED, now, row["fence"], fence=row["fence"] + AHEAD,
             in_doubt=1, due=due, why=WHY, advice=ADVICE)  # fmt: skip


_UNFINISHED = f"""
SELECT * FROM studies WHERE standing {GOES_ON} AND standing <> 'held' AND (standing <> 'waiting' OR due IS NOT NULL)
"""
"""All but those that wait for a person, or for a setting."""

_PAUSE = """
INSERT INTO pauses (of, since, why, advice, station)
SELECT 'retention', database_now(0), :why, :advice, id FROM stations
"""
