"""The gates, kept so that a restart does not knock at a locked account again."""

from __future__ import annotations

import json
from datetime import datetime

from xnat_watchd.adapters.ledger.database import Database, moment, text
from xnat_watchd.core.gate import OPEN, Gate


class Gates:
    """One gate for the server, under the empty scope, and one for each project."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def get(self, scope: str = "") -> Gate:
        """Give a gate; one that was never shut is open."""
        return self.all().get(scope, OPEN)

    def all(self) -> dict[str, Gate]:
        """Give every gate that was ever shut, by scope."""
        return {
            row["scope"]: Gate(
                until=moment(row["until"]),
                trial=bool(row["trial"]),
                login=bool(row["login"]),
                why=row["why"],
                advice=row["advice"],
                strikes=row["strikes"],
                refusals=tuple(datetime.fromisoformat(at) for at in json.loads(row["refusals"])),
            )
            for row in self._db.rows("SELECT * FROM gates")
        }

    def set(self, scope: str, gate: Gate) -> None:
        """Keep a gate."""
        with self._db.change() as db:
            db.execute(
                "INSERT OR REPLACE INTO gates (scope, until, trial, login, why, advice, strikes, refusals)"
                " VALUES (?,?,?,?,?,?,?,?)",
                (
                    scope, text(gate.until) if gate.until else None, int(gate.trial), int(gate.login),
                    gate.why, gate.advice,
                    gate.strikes, json.dumps([text(at) for at in gate.refusals]),
                ),
            )  # fmt: skip
