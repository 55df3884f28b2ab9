"""What follows when two ledgers know something about the same: a person, a share, how often a thing has happened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from xnat_watchd.adapters.ledger.database import Transaction
from xnat_watchd.adapters.ledger.moved_tables import MOVED, Meeting
from xnat_watchd.adapters.ledger.people import person
from xnat_watchd.core.delivery import Person
from xnat_watchd.core.persons import is_one, joined


class MetPeople:
    """Labels that both ledgers know. The person who is there stays: the next study of the other one is held for that.

    To refuse the import would help nobody: where XNAT has both already, no decision of a person takes one out of it.
    """

    def __init__(self, db: Transaction) -> None:
        self._db = db
        self._two: list[tuple[str, str]] = []  #: project and label of two people

    def meet(self, row: Mapping[str, Any]) -> None:
        """Compare the person of a label with the one who is there."""
        key = (str(row["project"]), str(row["subject_key"]))
        there = self._db.execute("SELECT * FROM people WHERE (project, subject_key) = (?, ?)", key).fetchone()
        here, other = person(there), Person(name=row["name"], id=row["id"], birth_date=row["birth_date"])
        if not is_one(here, other):
            self._two.append(key)
        elif (name := joined(here, other).name) != here.name:
            self._db.execute("UPDATE people SET name = ? WHERE (project, subject_key) = (?, ?)", (name, *key))

    def met(self, offset: int) -> list[tuple[str, str]]:
        """Return the newest items of each two people under one label: of who is there, and of the other.

        `offset`: above it are the numbers of the deliveries that were moved.
        """
        return [(self._item(key, "<=", offset), self._item(key, ">", offset)) for key in self._two]

    def _item(self, key: tuple[str, str], side: str, offset: int) -> str:
        row = self._db.execute(
            "SELECT delivery, number FROM studies WHERE project = ?1 AND ?2 IN (subject_key, claimed)"
            f" AND delivery {side} ?3 ORDER BY key DESC LIMIT 1",
            (*key, offset),
        ).fetchone()
        return f"{row['delivery']}.{row['number']}" if row else "a study of another root"


def unite_share(db: Transaction, row: Mapping[str, Any]) -> None:
    """Have a share that both ledgers know be what was known last, asked for by the rows of both."""
    key = (row["destination"], row["id"])
    there = db.execute("SELECT changed, asked_by FROM shares WHERE (destination, id) = (?, ?)", key).fetchone()
    asked = sorted({*json.loads(there["asked_by"]), *json.loads(row["asked_by"])})
    later = {} if there["changed"] >= row["changed"] else row
    columns = {**later, "asked_by": json.dumps(asked, ensure_ascii=False)}
    sets = ", ".join(f"{name} = ?" for name in columns)
    db.execute(f"UPDATE shares SET {sets} WHERE (destination, id) = (?, ?)", (*columns.values(), *key))


class MetSums:
    """How often things have happened, in both ledgers. The triggers count what is moved again: that is put right."""

    def __init__(self, db: Transaction) -> None:
        self._db = db
        self._keys: dict[str, tuple[str, ...]] = {}
        self._found: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}
        for table in (one for one in MOVED if one.meeting is Meeting.SUMS):
            rows = [dict(zip(row.keys(), row, strict=True)) for row in db.execute(f"SELECT * FROM {table.name}")]
            self._keys[table.name] = table.key
            self._found[table.name] = {self._key(table.name, row): row for row in rows}

    def add(self, table: str, names: list[str], rows: list[list[Any]]) -> None:
        """Add rows that are moved to what was there."""
        found = self._found[table]
        for values in rows:
            row = dict(zip(names, values, strict=True))
            there = found.get(key := self._key(table, row))
            found[key] = {name: _both(name, there[name], value) for name, value in row.items()} if there else row

    def settle(self) -> None:
        """Write all of them, in place of what the triggers have counted."""
        for table, found in self._found.items():
            self._db.execute(f"DELETE FROM {table}")
            for row in found.values():
                sql = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
                self._db.execute(sql, [*row.values()])

    def _key(self, table: str, row: Mapping[str, Any]) -> tuple[Any, ...]:
        return (row.get("root", ""), *(row[name] for name in self._keys[table]))


_ADDED = ("count", "images", "bytes", "seconds")


def _both(name: str, one: Any, other: Any) -> Any:
    return one + other if name in _ADDED else max(one, other) if name == "latest" else other
