"""Shares: what was asked for, what became of it, and the state of the share tables."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from typing import Any

from xnat_watchd.adapters.ledger.database import Database, Row, Transaction, moment, text
from xnat_watchd.adapters.ledger.stations import Stations
from xnat_watchd.core.errors import Scope, Unusable
from xnat_watchd.core.sharing.state import Key, RowResult, Share, ShareState, WantedShare, after_waiting, key_of
from xnat_watchd.core.sharing.table import COLUMNS


class Shares:
    """Shares, which are those of all stations, and the tables of this one that ask for them."""

    def __init__(self, database: Database, stations: Stations) -> None:
        self._db, self._stations = database, stations

    def alone(self) -> AbstractContextManager[None]:
        """Be the only one of all stations that applies share tables. Raise `Occupied` if another one does."""
        return self._db.alone()

    # What was asked for.

    def all(self, destinations: Collection[str]) -> dict[Key, Share]:
        """Return every share into these projects that was ever asked for."""
        rows = self._db.rows(
            "SELECT * FROM shares WHERE destination IN (SELECT value FROM json_each(?))", json.dumps(list(destinations))
        )
        return {(row["destination"], row["id"]): _share(row) for row in rows}

    def intend(self, wanted: Iterable[WantedShare], now: datetime) -> None:
        """Record the shares that XNAT is about to be asked for."""
        at = text(now)
        with self._db.change() as db:
            db.executemany(
                """
                INSERT INTO shares (destination, id, label, fate, asked_by, tries, intended, changed)
                VALUES (?,?,?,'intended',?,1,?,?)
                ON CONFLICT (destination, id) DO UPDATE SET label = excluded.label, fate = 'intended',
                  asked_by = excluded.asked_by, tries = shares.tries + 1, due = NULL, seen = NULL, basis = '', why = '',
                  detail = '', advice = '', changed = excluded.changed WHERE shares.fate <> 'made'
                """,
                [(*key_of(action), action.label, _list(rows), at, at) for action, rows in wanted],
            )

    def settle(self, made: Collection[Key], now: datetime) -> None:
        """Record the shares that we asked for and have seen on the server."""
        if not made:
            return
        with self._db.change() as db:
            db.executemany(
                "UPDATE shares SET fate = 'made', seen = coalesce(seen, ?), tries = 0, due = NULL, basis = '',"
                " why = '', detail = '', advice = '', changed = ? WHERE destination = ? AND id = ?",
                [(text(now), text(now), *key) for key in made],
            )

    def remove(self, removed: Collection[tuple[Key, frozenset[str]]], now: datetime) -> None:
        """Record that people removed shares of ours, each with the rows that asked for it then."""
        if not removed:
            return
        with self._db.change() as db:
            db.executemany(
                "UPDATE shares SET fate = 'removed', asked_by = ?, changed = ? WHERE destination = ? AND id = ?"
                " AND fate = 'made'",
                [(_list(rows), text(now), *key) for key, rows in removed],
            )

    def fail(self, failed: Sequence[tuple[Share, str]], now: datetime) -> None:
        """Record the shares that failed, each as it is to be remembered and with the server's text."""
        if not failed:
            return
        with self._db.change() as db:
            db.executemany(
                "UPDATE shares SET fate = ?, due = ?, basis = ?, why = ?, advice = ?, scope = ?, detail = ?,"
                " changed = ? WHERE destination = ? AND id = ? AND fate = 'intended'",
                [
                    (one.fate, _text(one.due), one.basis, one.why, one.advice, one.scope, detail, text(now), *one.key)
                    for one, detail in failed
                ],
            )

    def next_due(self, after: datetime) -> datetime | None:
        """Return when the first of the shares that wait after a failure is due again, if later than `after`."""
        row = self._db.known_row("SELECT min(due) AS due FROM shares WHERE fate = 'intended' AND due > ?", text(after))
        return moment(row["due"]) if row else None

    def archived(self, after: int, projects: Collection[str]) -> tuple[int, bool]:
        """Return the newest event's number, and whether an event after `after` archived a study in these projects."""
        row = self._db.known_row(
            "SELECT coalesce(max(e.id), 0) AS newest, count(*) FILTER (WHERE e.progress = 'archived'"
            " AND e.event IN ('advanced', 'parked')"
            " AND s.project IN (SELECT value FROM json_each(?))) AS has_come"
            " FROM events e LEFT JOIN studies s ON s.key = e.study WHERE e.id > ?",
            json.dumps(sorted(projects)),
            after,
        )
        return (max(after, int(row["newest"])), bool(row["has_come"])) if row else (after, False)

    # How the tables stand.

    def keep(self, name: str, results: Sequence[RowResult], now: datetime) -> list[RowResult]:
        """Record the results of a table's rows, with an event for every row that changed. Return them with times."""
        name = _shown(name)
        with self._db.change() as db:
            table = self._stations.me.id, name
            before = {row["key"]: row for row in db.execute(_ROWS_OF_TABLE, table)}
            dated = [_dated(one, before.get(one.row.key), now) for one in results]
            changed = [one for one in dated if _has_changed(one, before.get(one.row.key))]
            differing = [one for one in dated if one.row.same_as is None and _differs(one, before.get(one.row.key))]
            _enter(db, table, now)
            gone = before.keys() - {one.row.key for one in dated}
            db.executemany(
                "DELETE FROM share_rows WHERE station = ? AND name = ? AND key = ?", [(*table, key) for key in gone]
            )
            db.executemany(
                "INSERT INTO share_rows (station, name, key, state, sessions, since, line, reason, absent)"
                " VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (station, name, key) DO UPDATE SET state = excluded.state,"
                " sessions = excluded.sessions, since = excluded.since, line = excluded.line, reason = excluded.reason,"
                " absent = excluded.absent",
                [
                    (*table, one.row.key, one.state, one.sessions, text(one.at or now), *_shown_of(one))
                    for one in differing
                ],
            )
            _tell(db, table, changed, now)
        return dated

    def tell(self, name: str, results: Sequence[RowResult], now: datetime) -> None:
        """Record the results of a table that was applied by hand."""
        with self._db.change() as db:
            _tell(db, (self._stations.here().id, _shown(name)), results, now)

    def refuse(self, name: str, error: Unusable, now: datetime) -> None:
        """Record why a table cannot be read. The rows that it had before are kept."""
        with self._db.change() as db:
            _enter(db, (self._stations.me.id, _shown(name)), now, str(error), error.advice, error.detail)

    def forget(self, present: Collection[str]) -> None:
        """Forget the tables that are not in the folder any more. Their shares stay on record."""
        names = _list([_shown(name) for name in present])
        with self._db.change() as db:
            db.execute(
                "DELETE FROM share_tables WHERE station = ? AND name NOT IN (SELECT value FROM json_each(?))",
                (self._stations.me.id, names),
            )

    def tables_named(self, part: str) -> list[str]:
        """Return the names of the tables with this in them, in any case."""
        rows = self._db.rows("SELECT name FROM share_tables WHERE station = ? ORDER BY name", self._stations.me.id)
        return [row["name"] for row in rows if part.casefold() in row["name"].casefold()]

    def table(self, name: str) -> dict[str, Any] | None:
        """Return a table of the folder with its rows, in the order of its lines."""
        table = self._stations.me.id, _shown(name)
        found = self._db.row(
            "SELECT name, checked, why, advice, detail FROM share_tables WHERE station = ? AND name = ?", *table
        )
        if found is None:
            return None
        rows = self._db.rows(f"{_ROWS_OF_TABLE} ORDER BY line, key", *table)
        return {**dict(found), "rows": [_row_shown(row) for row in rows]}

    def rows_of(self, names: Collection[str]) -> frozenset[str]:
        """Return the keys of the rows that these tables had when they were last read."""
        rows = self._db.rows(
            "SELECT key FROM share_rows WHERE station = ? AND name IN (SELECT value FROM json_each(?))",
            self._stations.me.id,
            _list([_shown(name) for name in names]),
        )
        return frozenset(row["key"] for row in rows)

    def known_rows(self) -> frozenset[str]:
        """Return the keys of all rows that the tables of all stations had when they were last applied."""
        return frozenset(row["key"] for row in self._db.rows("SELECT key FROM share_rows"))


_ROWS_OF_TABLE = "SELECT * FROM share_rows WHERE station = ? AND name = ?"


def _share(row: Row) -> Share:
    return Share(
        destination=row["destination"], id=row["id"], label=row["label"], fate=ShareState(row["fate"]),
        rows=frozenset(json.loads(row["asked_by"])), tries=row["tries"], due=moment(row["due"]), basis=row["basis"],
        seen=moment(row["seen"]), why=row["why"], advice=row["advice"],
        scope=Scope(row["scope"]), changed=moment(row["changed"]),
    )  # fmt: skip


def _shown(name: str) -> str:
    """Return a file's name as text that is safe to store and show: it may be no UTF-8 or hold control characters."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _text(at: datetime | None) -> str | None:
    return text(at) if at else None


def _list(values: Collection[str]) -> str:
    return json.dumps(sorted(values), ensure_ascii=False)


def _row_shown(row: Row) -> dict[str, Any]:
    asked = dict(zip(COLUMNS, json.loads(row["key"]), strict=True))
    return {"line": row["line"], **asked, "state": row["state"], "shared": row["sessions"], "since": row["since"],
            "why": row["reason"]}  # fmt: skip


def _dated(result: RowResult, before: Row | None, now: datetime) -> RowResult:
    result = after_waiting(result, moment(before["absent"]) if before is not None else None, now)
    if result.at is not None:
        return result
    same = before is not None and before["state"] == result.state
    return replace(result, at=moment(before["since"]) if before is not None and same else now)


def _has_changed(result: RowResult, before: Row | None) -> bool:
    return before is None or (before["state"], before["sessions"]) != (result.state, result.sessions)


def _differs(result: RowResult, before: Row | None) -> bool:
    kept = None if before is None else (before["line"], before["reason"], before["absent"])
    return _has_changed(result, before) or kept != _shown_of(result)


def _shown_of(result: RowResult) -> tuple[int, str, str | None]:
    return result.row.line, result.reason, _text(result.absent)


def _enter(
    db: Transaction, table: tuple[int, str], now: datetime, why: str = "", advice: str = "", detail: str = ""
) -> None:
    db.execute(
        "INSERT INTO share_tables (station, name, checked, why, advice, detail) VALUES (?,?,?,?,?,?)"
        " ON CONFLICT (station, name) DO UPDATE SET checked = excluded.checked, why = excluded.why,"
        " advice = excluded.advice, detail = excluded.detail",
        (*table, text(now), why, advice, detail),
    )


def _tell(db: Transaction, table: tuple[int, str], results: Iterable[RowResult], now: datetime) -> None:
    db.executemany(
        "INSERT INTO share_events (at, station, name, line, key, state, sessions, reason) VALUES (?,?,?,?,?,?,?,?)",
        [(text(now), *table, one.row.line, one.row.key, one.state, one.sessions, one.reason) for one in results],
    )
