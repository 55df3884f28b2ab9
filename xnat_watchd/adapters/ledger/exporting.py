"""Read all that is moved with a ledger, table by table, in batches: memory does not grow with the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xnat_watchd.adapters.ledger.database import Row, Transaction
from xnat_watchd.adapters.ledger.moved_tables import MOVED, OURS, MovedTable
from xnat_watchd.adapters.ledger.stations import Station

BATCH = 5000  #: rows that are read at a time

Line = dict[str, Any] | list[Any]


@dataclass(frozen=True, slots=True)
class MovedPart:
    """What of a ledger is moved: all of it, or of a shared one what belongs to a root and its station."""

    shared: bool
    me: Station


def columns_of(db: Transaction, table: str) -> list[str]:
    """Return the names of a table's columns. An empty table has them, too."""
    sql = f"SELECT t.* FROM (SELECT 1 AS one) AS o LEFT JOIN {table} AS t ON 1 = 0"
    return [str(name) for name in db.execute(sql).fetchone().keys()]  # noqa: SIM118 - of a row, not of a dict


def lines_of(db: Transaction, part: MovedPart) -> Iterator[Line]:
    """Yield for each table that has rows a line with its columns, then one for each row."""
    for table in MOVED:
        columns = columns_of(db, table.name)
        written = [name for name in columns if name not in OURS]
        begun = False
        for row in _rows(db, table, part, columns):
            if not begun:
                yield {"table": table.name, "columns": written}
                begun = True
            yield [row[name] for name in written]


def _rows(db: Transaction, table: MovedTable, part: MovedPart, columns: list[str]) -> Iterator[Row]:
    condition, values = _belongs(table, part, columns)
    keys = ", ".join(table.key)
    after: list[Any] = []
    while True:
        later = f"({keys}) > ({', '.join('?' * len(after))})" if after else "1 = 1"
        sql = f"SELECT * FROM {table.name} WHERE {condition} AND {later} ORDER BY {keys} LIMIT {BATCH}"
        rows = db.execute(sql, (*values, *after)).fetchall()
        yield from rows
        if len(rows) < BATCH:
            return
        after = [rows[-1][name] for name in table.key]


def _belongs(table: MovedTable, part: MovedPart, columns: list[str]) -> tuple[str, Sequence[Any]]:
    """Return the condition for a table's rows that are moved, and its values."""
    root = [part.me.root]
    conditions: tuple[tuple[bool, str, Sequence[Any]], ...] = (
        (not part.shared, "1 = 1", ()),
        ("root" in columns, "root = ?", root),
        ("station" in columns, "station = ?", [part.me.id]),
        ("delivery" in table.refers, "delivery IN (SELECT id FROM deliveries WHERE root = ?)", root),
        ("study" in table.refers, "study IN (SELECT key FROM studies WHERE root = ?)", root),
        (True, "1 = 1", ()),  # what is known of XNAT goes along: more of it never harms
    )
    return next((condition, values) for applies, condition, values in conditions if applies)
