"""Stations: the services that work on one ledger. A ledger that is a file has one, and a database may have many.

Whether a station is there is told by the clock of the database alone: the clocks of hosts differ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from xnat_watchd.adapters.ledger.database import WRONG_LEDGER, Database, Transaction
from xnat_watchd.core.errors import Occupied, OtherHistory, Refusal
from xnat_watchd.core.lease import LEASE

NONE = 0  #: the ID of no station


@dataclass(frozen=True, slots=True)
class Station:
    """A station as its own program knows it."""

    id: int = 1  #: that of the only station of a ledger that is a file
    epoch: int = 1  #: under which it has taken its work
    root: str = ""  #: UUID of the root whose ZIPs it sends; empty: the only one of the ledger
    account: str = ""  #: digest of the name that it logs in with, if there may be other stations


@dataclass(frozen=True, slots=True)
class StationProcess:
    """The process that is to be a station."""

    name: str  #: of the station
    version: str  #: of the program
    lock: str = ""  #: the lock that it holds: who gets the same one knows that the process before has ended


class Stations:
    """The stations of the ledger, and which of them this program is."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self.shared = database.shared  #: whether there may be others
        self.lease = LEASE  #: seconds
        self.me = self._known() if database.station else Station()
        self._seen = ""  #: when it was heard of last, as the ledger has confirmed
        self._served_before = ""  #: root that the station of this name served when it was last there

    def _known(self) -> Station:
        """Return what a command may do its work as: the station of this host, or none of the ledger."""
        row = self._db.row("SELECT id, epoch, root, account FROM stations WHERE name = ?", self._db.station)
        return Station(row["id"], row["epoch"], row["root"], row["account"]) if row else Station(NONE, 0)

    def here(self) -> Station:
        """Return this station. Raise `Refusal` if the host is none of the ledger."""
        if self.me.id == NONE:
            raise Refusal(
                f"{self._db.station} is no station of this ledger",
                advice="Type it at a station. If this is to be one, start its service first.",
            )
        return self.me

    def enroll(self, process: StationProcess) -> None:
        """Become the station of this name, in a new epoch.

        Raise `Occupied` if another process is it: one that was heard of within the lease and holds another lock. The
        only station of a ledger that is a file takes the name of its host, whatever that was before.
        """
        with self._db.change() as db:
            known = self._row_of(db, process)
            row = db.execute(_BEGIN, (process.name, process.version, process.lock, known)).fetchone()
        self.me = replace(self.me, id=row["id"], epoch=row["epoch"])
        self._remember(row["seen"])
        self._served_before = row["root"]

    def _row_of(self, db: Transaction, process: StationProcess) -> int:
        """Return the ID of the row of a station that begins; make one if there is none."""
        if not self.shared:
            return self.me.id
        row = db.execute(_OF_NAME, (-self.lease, self.lease, process.name)).fetchone()
        if row is None:
            return int(db.execute(_NEW, (process.name,)).fetchone()["id"])
        if row["is_there"] and row["process"] != process.lock:
            raise Occupied(
                f"another station of the name {process.name} works with this ledger",
                advice="Give this one a name of its own: `station` in [ledger]. If its host was just restarted, it "
                "begins by itself within two minutes.",
            )
        return int(row["id"])

    def counted_root(self) -> str:
        """Return the root whose counters are shown: until its folder was seen, that of last time."""
        return self.me.root or self._served_before

    def serve(self, root: str) -> None:
        """Send the ZIPs of this root from now on, whichever station took them."""
        with self._db.change() as db:
            db.execute("UPDATE stations SET root = ? WHERE id = ?", (root, self.me.id))
        self.me = replace(self.me, root=root)

    def log_in_as(self, user: str) -> None:
        """Record by which name this station logs in to XNAT: what is refused to it is so for all stations that use it.

        The name itself does not stand in the ledger, since that of a token is half of a secret.
        """
        account = sha256(user.encode()).hexdigest()[:16]
        if self.shared and account != self.me.account:
            with self._db.change() as db:
                db.execute("UPDATE stations SET account = ? WHERE id = ?", (account, self.me.id))
                db.execute(_FORGET_OTHERS)
            self.me = replace(self.me, account=account)

    def must_know(self, root: str) -> None:
        """Raise `Refusal` if no station of this ledger has ever served a root, although ZIPs were taken there."""
        if root and self._db.row(_KNOWN_ROOT, root) is None:
            raise Refusal("this ledger does not know the folders of this station, which has worked with another one",
                          advice=WRONG_LEDGER)  # fmt: skip

    def has_company(self) -> bool:
        """Return whether another station that is there serves the same root."""
        found = self._db.row(
            "SELECT 1 FROM stations WHERE root = ? AND id <> ? AND seen IS NOT NULL AND gone IS NULL",
            self.me.root, self.me.id,
        )  # fmt: skip
        return found is not None

    def renew(self, lateness: timedelta, report: str = "") -> datetime | None:
        """Show that this station is there; return what time it is by the clock of the database.

        `lateness`: for how long something that it has asked of XNAT may still appear there; `report`: what only it
        knows of itself, for the others to see. Return None if it was found gone, or another process is the station now:
        then it has nothing any more, and must enroll again. Others are neither kept waiting by this nor told of it,
        since many stations do it all the time.
        """
        me = self.me
        found = self._db.rows(_RENEW, int(lateness.total_seconds()), report, me.id, me.epoch, self._seen)
        if not found:
            return None
        self._remember(found[0]["seen"])
        return datetime.fromisoformat(self._seen)

    def must_be_remembered(self) -> None:
        """Raise `OtherHistory` if the ledger lacks what it has confirmed to this station."""
        if self._db.row(_REMEMBERED, *self._confirmed()) is None:
            raise OtherHistory

    def _remember(self, seen: str) -> None:
        self._seen = seen
        self._db.remember(_REMEMBERED, *self._confirmed())

    def _confirmed(self) -> tuple[int, int, str]:
        return self.me.id, self.me.epoch, self._seen

    def beside(self) -> list[str]:
        """Return the names of the other stations that are there and serve the same root."""
        rows = self._db.rows(_BESIDE, -self.lease, self.lease, self.me.root, self.me.id)
        return [row["name"] for row in rows]

    def forget(self, name: str) -> bool:
        """Take a station out of the list, until it is started again. Return False if it is there, or none has the name.

        What it took and did stays in the ledger, under its name.
        """
        with self._db.change() as db:
            return db.execute(_FORGET, (name, -self.lease, self.lease)).rowcount > 0

    def leave(self) -> None:
        """Record that this station has ended, with nothing left in XNAT that it does not know of."""
        with self._db.change() as db:
            db.execute(_END, (self.me.id, self.me.epoch))


def is_served(root: str) -> str:
    """Return SQL: whether a station that is there sends the ZIPs of this root."""
    return f"EXISTS (SELECT 1 FROM stations t WHERE t.root = {root} AND t.gone IS NULL)"


_KNOWN_ROOT = """
SELECT 1 WHERE EXISTS (SELECT 1 FROM stations WHERE root = ?1) OR EXISTS (SELECT 1 FROM deliveries WHERE root = ?1)
"""

_IS_THERE = "gone IS NULL AND seen BETWEEN database_now(?) AND database_now(?)"
"""A time that lies ahead is one of a clock that was set back since."""

_OF_NAME = f"SELECT id, process, CASE WHEN {_IS_THERE} THEN 1 ELSE 0 END AS is_there FROM stations WHERE name = ?"

_BESIDE = f"SELECT name FROM stations WHERE {_IS_THERE} AND root = ? AND id <> ? ORDER BY name"

_NEW = "INSERT INTO stations (name) VALUES (?) RETURNING id"

_BEGIN = """
UPDATE stations SET name = ?, version = ?, process = ?, epoch = epoch + 1, seen = database_now(0), gone = NULL
WHERE id = ? RETURNING id, epoch, root, seen
"""

_RENEW = """
UPDATE stations SET seen = database_now(0), lateness = ?, report = ?
WHERE id = ? AND epoch = ? AND gone IS NULL AND seen >= ? RETURNING seen
"""
"""A time before the one that was confirmed last is that of an older copy."""

_REMEMBERED = """
SELECT 1 FROM stations WHERE id = ?1 AND (epoch > ?2 OR (epoch = ?2 AND coalesce(seen, ?3) >= ?3))
"""

_FORGET_OTHERS = "DELETE FROM gates WHERE account <> '' AND account NOT IN (SELECT account FROM stations)"

_FORGET = f"""
UPDATE stations SET seen = NULL, gone = coalesce(gone, database_now(0)), epoch = epoch + 1
WHERE name = ? AND name <> '' AND seen IS NOT NULL AND NOT ({_IS_THERE})
"""

_END = "UPDATE stations SET gone = database_now(0) WHERE id = ? AND epoch = ?"
