"""Take the rows of another ledger: numbers move by an offset where others have them, and so does what names them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from xnat_watchd.adapters.ledger.database import Database, Transaction
from xnat_watchd.adapters.ledger.exporting import Line, columns_of
from xnat_watchd.adapters.ledger.meetings import MetPeople, MetSums, unite_share
from xnat_watchd.adapters.ledger.moved_tables import MOVED, OURS, Meeting, MovedTable
from xnat_watchd.adapters.ledger.stations import Station
from xnat_watchd.core.errors import Refusal

BATCH = 2000  #: rows that are written at a time
EXPORT_AGAIN = "Export the ledger again, by the same version of xnat-watchd as here."
_DELIVERY = re.compile(r"\bdelivery (\d+)\b")


@dataclass(slots=True)
class ImportedRows:
    """What was taken, and what of it a person should know."""

    offset: int  #: by which the numbers of deliveries have moved
    rows: dict[str, int] = field(default_factory=dict)  #: how many of each table
    left: dict[str, int] = field(default_factory=dict)  #: of these, for which there was another here that stays
    two_people: list[tuple[str, str]] = field(default_factory=list)  #: items under one label: here before, and moved


class Importer:
    """Takes the lines of one export within a transaction."""

    def __init__(self, database: Database, db: Transaction, me: Station, numbers: tuple[int, int]) -> None:
        self._database, self._db, self._me, self._numbers = database, db, me, numbers
        self._offsets = {one.name: _highest(db, one) for one in MOVED if one.number}
        self._offsets["deliveries"] = offset_for(self._offsets["deliveries"], numbers[1])
        self._people, self._sums = MetPeople(db), MetSums(db)
        self.taken = ImportedRows(self._offsets["deliveries"])

    def take(self, lines: Iterable[Line]) -> ImportedRows:
        """Take all lines. Raise `Refusal` for one that fits no table of ours."""
        known = {one.name: one for one in MOVED}
        for line, rows in _grouped(lines):
            table = known.get(line["table"])
            expected = [] if table is None else columns_of(self._db, table.name)
            columns = line["columns"]
            if table is None or sorted(map(str, columns)) != sorted({*expected} - {*OURS}):
                raise Refusal("the file is of another version of xnat-watchd", advice=EXPORT_AGAIN)
            self._take_rows(table, columns, expected, rows)
        self._sums.settle()
        for one in MOVED:
            if one.number and one.name in self.taken.rows:
                self._database.continue_numbers(one.name, one.number)
        self._database.renew_statistics(one.name for one in MOVED)  # of the empty tables they are useless now
        self.taken.two_people = self._people.met(self.taken.offset)
        return self.taken

    def _take_rows(self, table: MovedTable, columns: list[str], expected: list[str], rows: list[list[Any]]) -> None:
        ours = {"root": self._me.root, "station": self._me.id}
        ours = {name: value for name, value in ours.items() if name in expected}
        moved = [[*self._moved(table, columns, row), *ours.values()] for row in rows]
        names = [*columns, *ours]
        self.taken.rows[table.name] = self.taken.rows.get(table.name, 0) + len(rows)
        insert = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        match table.meeting:
            case Meeting.NONE:
                self._database.load(table.name, names, moved)
            case Meeting.SUMS:
                self._sums.add(table.name, names, moved)
            case _:
                for row in moved:
                    if not self._db.execute(f"{insert} ON CONFLICT DO NOTHING", row).rowcount:
                        self._meet(table, dict(zip(names, row, strict=True)))

    def _meet(self, table: MovedTable, row: Mapping[str, Any]) -> None:
        self.taken.left[table.name] = self.taken.left.get(table.name, 0) + 1
        if table.meeting is Meeting.PEOPLE:
            self._people.meet(row)
        elif table.meeting is Meeting.SHARES:
            unite_share(self._db, row)

    def _moved(self, table: MovedTable, columns: list[str], row: list[Any]) -> Iterator[Any]:
        for name, value in zip(columns, row, strict=True):
            refers = table.name if name == table.number else table.refers.get(name)
            if refers is not None and isinstance(value, int):
                yield value + self._offsets[refers]
            elif isinstance(value, str):
                text = value.replace("\0", "\\0") if self._database.shared else value  # PostgreSQL has no NUL in texts
                yield _DELIVERY.sub(self._told_number, text) if name in table.told else text
            else:
                yield value

    def _told_number(self, found: re.Match[str]) -> str:
        first, last = self._numbers
        number = int(found[1]) if len(found[1]) < len(str(last)) + 1 else 0
        return f"delivery {number + self.taken.offset}" if first <= number <= last else found[0]


def offset_for(here: int, last: int) -> int:
    """Return by how much delivery numbers up to `last` move where others end with `here`; 0 where there are none.

    Each keeps its last digits, so that people know it again: where others end with 4321, delivery 12 of 87 is 4412.
    """
    step: int = 10 ** len(str(last))
    return -(-here // step) * step


def _highest(db: Transaction, table: MovedTable) -> int:
    return int(db.execute(f"SELECT coalesce(max({table.number}), 0) AS n FROM {table.name}").fetchone()["n"])


def _grouped(lines: Iterable[Line]) -> Iterator[tuple[dict[str, Any], list[list[Any]]]]:
    """Yield the rows in batches, each with the line about their table."""
    about: dict[str, Any] = {"columns": []}
    rows: list[list[Any]] = []
    for line in lines:
        match line:
            case {"table": str(table), "columns": [*columns]}:
                if rows:
                    yield about, rows
                about, rows = {"table": table, "columns": columns}, []
            case [*values] if len(values) == len(about["columns"]) and all(isinstance(one, _VALUE) for one in values):
                rows.append(values)
            case _:
                raise Refusal("the file is of another version of xnat-watchd", advice=EXPORT_AGAIN)
        if len(rows) == BATCH:
            yield about, rows
            rows = []
    if rows:
        yield about, rows


_VALUE = (str, int, float, bytes, type(None))
