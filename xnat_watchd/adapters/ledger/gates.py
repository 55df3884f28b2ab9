"""The gates, kept so that a restart does not knock at a locked account again."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from datetime import datetime

from xnat_watchd.adapters.ledger.database import Database, moment, text
from xnat_watchd.core.gate import OPEN, PROJECT_AGAIN, Gate


class Gates:
    """One gate for the server, under the empty scope, and one for each project."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def get(self, scope: str = "") -> Gate:
        """Return a gate; one that was never shut is open."""
        return self.all().get(scope, OPEN)

    def all(self) -> dict[str, Gate]:
        """Return every gate that was ever shut, by scope."""
        return {
            row["scope"]: Gate(
                until=moment(row["until"]),
                trial=bool(row["trial"]),
                login=bool(row["login"]),
                passes=bool(row["passes"]),
                why=row["why"],
                advice=row["advice"],
                strikes=row["strikes"],
                refusals=tuple(datetime.fromisoformat(at) for at in json.loads(row["refusals"])),
            )
            for row in self._db.rows("SELECT * FROM gates")
        }

    def count_refusal(self, now: datetime) -> None:
        """Note that XNAT has refused credentials to somebody else on this machine; the server's gate stays as it is."""
        with self._db.change() as db:
            _set(db, "", self.get().refused(now))

    def forget_refusals(self) -> None:
        """Note that XNAT has taken credentials of this machine: what it refused before counts no more there."""
        with self._db.change() as db:
            _set(db, "", replace(self.get(), refusals=()))

    def set(self, scope: str, gate: Gate) -> None:
        """Keep a gate."""
        with self._db.change() as db:
            _set(db, scope, gate)

    def try_now(self, now: datetime, project: str = "") -> list[str]:
        """Let what is shut be tried at once, in a project or, without one, in all; return these projects."""
        with self._db.change() as db:
            return try_now(db, now, project)


def _set(db: sqlite3.Connection, scope: str, gate: Gate) -> None:
    db.execute(
        "INSERT OR REPLACE INTO gates (scope, until, trial, login, why, advice, strikes, refusals, passes)"
        " VALUES (?,?,?,?,?,?,?,?,?)",
        (
            scope, text(gate.until) if gate.until else None, int(gate.trial), int(gate.login), gate.why, gate.advice,
            gate.strikes, json.dumps([text(at) for at in gate.refusals]), int(gate.passes),
        ),
    )  # fmt: skip


def try_soon(db: sqlite3.Connection, now: datetime, project: str) -> None:
    """Let a project that is shut be tried soon: something has come that may be sound."""
    soon = text(now + PROJECT_AGAIN)
    db.execute("UPDATE gates SET until = min(until, ?) WHERE scope = ? AND until IS NOT NULL", (soon, project))


def try_now(db: sqlite3.Connection, now: datetime, project: str = "") -> list[str]:
    """Let a project that is shut, or without one all of them, be tried at once, in a transaction that is under way."""
    rows = db.execute(
        "UPDATE gates SET until = ? WHERE scope <> '' AND ? IN ('', scope) AND until IS NOT NULL RETURNING scope",
        (text(now), project),
    ).fetchall()
    return sorted(row["scope"] for row in rows)
