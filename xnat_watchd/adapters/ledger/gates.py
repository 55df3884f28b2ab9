"""The gates. They are kept so that a restart does not try a locked account again.

Where several stations share the ledger, a refused login shuts the server's gate for those that log in by the same name.
All else is so for all of them: that XNAT does not answer, or what a project is in trouble with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from xnat_watchd.adapters.ledger.database import Database, Row, Transaction, moment, text
from xnat_watchd.adapters.ledger.stations import Stations
from xnat_watchd.core.gate import OPEN, PROJECT_AGAIN, AllGates, Gate

PROBING = timedelta(minutes=1)  #: for which other stations leave it to the one that asks, in case it dies meanwhile


class Gates:
    """One gate for the server, under the empty scope, and one for each project."""

    def __init__(self, database: Database, stations: Stations) -> None:
        self._db, self._stations = database, stations

    def get(self, scope: str = "") -> Gate:
        """Return the gate of a scope; one that was never shut is open."""
        return self.all().get(scope, OPEN)

    def all(self) -> Mapping[str, Gate]:
        """Return every gate that was ever shut, by scope."""
        return self.now().by_scope

    def now(self) -> AllGates:
        """Return all gates as they are, and whether the work is paused, by one question."""
        mine = self._stations.me
        rows = self._db.rows(_NOW, mine.id, mine.account)
        found = {row["scope"]: _gate(row) for row in rows if row["account"] == ""}
        for row in rows:
            if row["account"]:
                found[""] = found.get("", OPEN).with_login(_gate(row))
        return AllGates(bool(rows[0]["paused"]), found)

    def count_refusal(self, now: datetime) -> None:
        """Record that XNAT refused credentials to another program on this machine. The server's gate stays as it is."""
        with self._db.change() as db:
            self._count(db, self.get().refused(now).refusals)

    def forget_refusals(self) -> None:
        """Record that XNAT accepted credentials of this machine: earlier refusals do not count any more."""
        with self._db.change() as db:
            self._count(db, ())

    def set(self, scope: str, gate: Gate) -> None:
        """Store a gate. A refused login, after an answer at last, leaves the server's gate on trial for who logs in."""
        account = self._stations.me.account
        with self._db.change() as db:
            if scope or not account:
                _set(db, scope, gate)
            elif gate.login:
                _set(db, "", gate, account)
                db.execute(_ANSWERS)
            else:
                _set(db, "", replace(gate, refusals=()))
                if not gate.shut and not gate.trial:
                    _set(db, "", Gate(refusals=gate.refusals), account)

    def _count(self, db: Transaction, refusals: tuple[datetime, ...]) -> None:
        account = self._stations.me.account
        row = db.execute("SELECT * FROM gates WHERE scope = '' AND account = ?", (account,)).fetchone()
        _set(db, "", replace(_gate(row) if row else OPEN, refusals=refusals), account)

    def may_probe(self, scope: str, gate: Gate, now: datetime) -> bool:
        """Return whether this station is to ask XNAT whether a gate opens. Meanwhile it stays shut for all others."""
        if not self._stations.shared or gate.until is None:
            return True
        with self._db.change() as db:
            done = db.execute(
                "UPDATE gates SET until = ? WHERE scope = ? AND until = ? AND account IN ('', ?)",
                (text(now + PROBING), scope, text(gate.until), self._stations.me.account),
            )
            return done.rowcount > 0

    def try_now(self, now: datetime, project: str = "") -> list[str]:
        """Have the shut gate of a project, or without one of all projects, tried at once; return these projects."""
        with self._db.change() as db:
            return try_now(db, now, project)


_NOW = """
SELECT g.*, EXISTS (SELECT 1 FROM pauses WHERE of = 'work' AND until IS NULL AND station = ?) AS paused
FROM (SELECT 1 AS n) one LEFT JOIN gates g ON g.account IN ('', ?)
"""
"""A row for each gate; one without a scope where there is no gate."""


def _gate(row: Row) -> Gate:
    return Gate(
        until=moment(row["until"]), trial=bool(row["trial"]), login=bool(row["login"]), passes=bool(row["passes"]),
        why=row["why"], advice=row["advice"], strikes=row["strikes"],
        refusals=tuple(datetime.fromisoformat(at) for at in json.loads(row["refusals"])), since=moment(row["since"]),
    )  # fmt: skip


_ANSWERS = "UPDATE gates SET until = NULL, trial = 1 WHERE scope = '' AND account = '' AND until IS NOT NULL"


def _set(db: Transaction, scope: str, gate: Gate, account: str = "") -> None:
    db.execute(
        "INSERT INTO gates (scope, account, until, trial, login, why, advice, strikes, refusals, passes, since)"
        " VALUES (?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (scope, account) DO UPDATE SET until = excluded.until,"
        " trial = excluded.trial, login = excluded.login, why = excluded.why, advice = excluded.advice,"
        " strikes = excluded.strikes, refusals = excluded.refusals, passes = excluded.passes, since = excluded.since",
        (
            scope, account, text(gate.until) if gate.until else None, int(gate.trial), int(gate.login), gate.why,
            gate.advice, gate.strikes, json.dumps([text(at) for at in gate.refusals]), int(gate.passes),
            text(gate.since) if gate.since else None,
        ),
    )  # fmt: skip


def try_soon(db: Transaction, now: datetime, project: str) -> None:
    """Have the shut gate of a project tried soon: a new study has come, which may succeed."""
    soon = text(now + PROJECT_AGAIN)
    db.execute("UPDATE gates SET until = ?1 WHERE scope = ?2 AND until > ?1", (soon, project))


def try_now(db: Transaction, now: datetime, project: str = "") -> list[str]:
    """Do what `Gates.try_now` does inside the caller's transaction."""
    rows = db.execute(
        "UPDATE gates SET until = ? WHERE scope <> '' AND ? IN ('', scope) AND until IS NOT NULL RETURNING scope",
        (text(now), project),
    ).fetchall()
    return sorted(row["scope"] for row in rows)
