"""The incidents that are open, and the messages about them that are still to be sent."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from json import dumps

from xnat_watchd.adapters.ledger.database import Database, Row, Transaction, moment, text
from xnat_watchd.adapters.ledger.stations import Stations
from xnat_watchd.core.incidents import OF_ALL_STATIONS, Incident, IncidentKey, IncidentKind, Incidents

KEPT = timedelta(days=30)  #: how long a message stays on record after it was sent or given up


@dataclass(frozen=True, slots=True)
class Message:
    """A message to people by one channel. It holds no names."""

    id: int
    channel: str
    written: datetime
    subject: str
    body: str
    tries: int


class Messages:
    """Incidents and messages of this station: written together, so that a restart neither repeats nor forgets one."""

    def __init__(self, database: Database, stations: Stations) -> None:
        self._db, self._stations = database, stations

    def incidents(self) -> dict[IncidentKey, Incident]:
        """Return the incidents as they were last decided. One of a kind that this version does not know is left out."""
        rows = self._db.rows("SELECT * FROM incidents WHERE station = ?", self._stations.me.id)
        known = (row for row in rows if row["kind"] in set(IncidentKind))
        return {IncidentKey(IncidentKind(row["kind"]), row["scope"]): _incident(row) for row in known}

    def told_elsewhere(self) -> frozenset[IncidentKey]:
        """Return the trouble of all stations of which another one that is there has told, and that has not ended."""
        if not self._stations.shared:
            return frozenset()
        rows = self._db.rows(_TOLD_ELSEWHERE, self._stations.me.id, dumps(sorted(OF_ALL_STATIONS)))
        return frozenset(IncidentKey(IncidentKind(row["kind"]), row["scope"]) for row in rows)

    def keep(self, incidents: Incidents) -> None:
        """Store the incidents in place of those of before."""
        me = self._stations.me.id
        with self._db.change() as db:
            db.execute("DELETE FROM incidents WHERE station = ?", (me,))
            db.executemany(
                "INSERT INTO incidents"
                " (station, kind, scope, opened, gone, told, reminders, reasons, worse, over, returns)"
                " VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                [
                    (me, key.kind, key.scope, text(one.opened), _text(one.gone), _text(one.told), one.reminders,
                     " ".join(sorted(one.reasons)), _text(one.worse), _text(one.over), one.returns)
                    for key, one in incidents.items()
                ],
            )  # fmt: skip

    def write(self, topic: str, channels: Collection[str], subject: str, body: str, now: datetime) -> None:
        """Put a message into the outbox for each channel, unless it was written for that channel already."""
        with self._db.change() as db:
            db.execute("DELETE FROM messages WHERE due IS NULL AND written < ?", (text(now - KEPT),))
            db.executemany(
                "INSERT INTO messages (topic, channel, written, subject, body, due, station)"
                " VALUES (?1,?2,?3,?4,?5,?3,?6) ON CONFLICT DO NOTHING",
                [(topic, channel, text(now), subject, body, self._stations.here().id) for channel in channels],
            )

    def due(self, channels: Collection[str], now: datetime) -> list[Message]:
        """Return the messages to be sent now by these channels, the oldest first."""
        sql = "SELECT * FROM messages WHERE due <= ? AND station = ? ORDER BY id"
        rows = self._db.rows(sql, text(now), self._stations.me.id)
        return [
            Message(row["id"], row["channel"], datetime.fromisoformat(row["written"]), row["subject"], row["body"],
                    row["tries"])
            for row in rows
            if row["channel"] in channels
        ]  # fmt: skip

    def next_due(self) -> datetime | None:
        """Return when the next message is due, or None if all were sent or given up."""
        sql = "SELECT min(due) AS due FROM messages WHERE due IS NOT NULL AND station = ?"
        row = self._db.row(sql, self._stations.me.id)
        return moment(row["due"]) if row else None

    def correct_times(self, now: datetime, longest: timedelta) -> None:
        """Make due what waits for a time that was made by a clock that ran ahead. `longest`: until another try."""
        with self._db.change() as db:
            db.execute(
                "UPDATE messages SET written = CASE WHEN written < ?1 THEN written ELSE ?1 END, due = ?1"
                " WHERE due IS NOT NULL AND station = ?3 AND (written > ?1 OR due > ?2)",
                (text(now), text(now + longest), self._stations.me.id),
            )

    def give_up(self, tried: tuple[datetime, int], written: datetime, channels: Collection[str]) -> None:
        """Drop from what is due all that nobody would learn anything from any more.

        `tried`: written before that, and tried so often. `written`: before that, however often it was tried. What is
        for a channel that is none of `channels` is tried no more, so its age counts alone.
        """
        with self._db.change() as db:
            db.execute(
                "UPDATE messages SET due = NULL WHERE due IS NOT NULL AND station = ?5 AND (written < ?3"
                " OR written < ?1 AND (tries >= ?2 OR channel NOT IN (SELECT value FROM json_each(?4))))",
                (text(tried[0]), tried[1], text(written), dumps([*channels]), self._stations.me.id),
            )

    def written_between(self, since: datetime, now: datetime) -> int:
        """Return how many different messages about incidents were written from then until now."""
        row = self._db.row(
            "SELECT count(DISTINCT topic) AS n FROM messages WHERE topic LIKE 'incidents %'"
            " AND written > ? AND written <= ? AND station = ?",
            text(since), text(now), self._stations.me.id,
        )  # fmt: skip
        return int(row["n"]) if row else 0

    def has(self, topic: str) -> bool:
        """Return whether a message about this was written."""
        sql = "SELECT 1 FROM messages WHERE topic = ? AND station = ?"
        return self._db.row(sql, topic, self._stations.me.id) is not None

    def sent(self, message: Message, now: datetime, why: str = "") -> None:
        """Record that a message was sent, and make due what waits for the same channel: it works again.

        `why`: why it was not sent to everybody that it was for.
        """
        with self._db.change() as db:
            self._after_try(db, message, None, text(now), why)
            db.execute(
                "UPDATE messages SET due = ?1 WHERE channel = ?2 AND due > ?1 AND station = ?3",
                (text(now), message.channel, self._stations.me.id),
            )

    def failed(self, message: Message, why: str, again: datetime) -> None:
        """Record that a message could not be sent, and when it is tried again."""
        with self._db.change() as db:
            self._after_try(db, message, text(again), None, why)

    def outcomes(self, topic: str) -> dict[str, str]:
        """Return for each channel that was tried why the last try failed; empty where the message was sent to all."""
        sql = "SELECT channel, why FROM messages WHERE topic = ? AND tries > 0 AND station = ?"
        rows = self._db.rows(sql, topic, self._stations.me.id)
        return {row["channel"]: row["why"] for row in rows}

    @staticmethod
    def _after_try(db: Transaction, message: Message, due: str | None, sent: str | None, why: str) -> None:
        db.execute(
            "UPDATE messages SET tries = tries + 1, due = ?, sent = ?, why = ? WHERE id = ?",
            (due, sent, why, message.id),
        )


_TOLD_ELSEWHERE = """
SELECT i.kind, i.scope FROM incidents i JOIN stations t ON t.id = i.station
WHERE i.station <> ?1 AND t.gone IS NULL AND i.told IS NOT NULL AND i.over IS NULL
AND i.kind IN (SELECT value FROM json_each(?2)) AND NOT EXISTS (
  SELECT 1 FROM incidents m WHERE m.station = ?1 AND (m.kind, m.scope) = (i.kind, i.scope)
  AND m.told IS NOT NULL AND m.over IS NULL)
"""
"""What this station has told itself, it tells to its end."""


def _incident(row: Row) -> Incident:
    return Incident(
        datetime.fromisoformat(row["opened"]), moment(row["gone"]), moment(row["told"]), row["reminders"],
        frozenset(row["reasons"].split()), moment(row["worse"]), moment(row["over"]), row["returns"],
    )  # fmt: skip


def _text(at: datetime | None) -> str | None:
    return text(at) if at else None
