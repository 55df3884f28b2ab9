"""A ledger with years of history, written straight into its tables: through the service it would take hours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from xnat_watchd.adapters.ledger.database import Database, text
from xnat_watchd.adapters.ledger.sqlite_database import APPLICATION, SqliteDatabase

OF_VERSION_1 = Path(__file__).parent / "adapters/ledger"
AT = "2026-01-01T00:00:00.000000+00:00"


def connection_of(database: Database) -> sqlite3.Connection:
    """Return the connection of a ledger in SQLite, to watch what is asked of it. On another engine skip the test."""
    if not isinstance(database, SqliteDatabase):
        pytest.skip("watches how SQLite is asked")
    return database._db


def fill(database: Database, *, finished: int, waiting: int, rejected: int = 0) -> None:
    """Enter deliveries of one study each, all of P1: complete ones, then ones that may be taken; and rejected ZIPs."""
    studies = [(number, str(number), number <= finished) for number in range(1, finished + waiting + 1)]
    with database.change() as db:
        db.executemany(
            "INSERT INTO deliveries (id, name, project, identity, state, sha256, size, arrived, ended)"
            " VALUES (?, ?, 'P1', ?, ?, ?, 1000, ?, ?)",
            [
                (number, f"{number}.zip", name, "finished" if done else "taken", name, AT, AT if done else None)
                for number, name, done in studies
            ],
        )
        db.executemany(
            "INSERT INTO studies (delivery, number, project, study_uid, patient_name, patient_id, birth_date, age, sex,"
            " date, time, modalities, progress, standing, session, subject, subject_key, received, changed)"
            " VALUES (?, 1, 'P1', ?, '', '', '', '', '', '', '', '[]', ?, ?, ?, ?, ?, ?, ?)",
            [
                (number, f"1.2.{name}", "complete" if done else "received", "done" if done else "ready",
                 f"E{name}" if done else None, f"S{name}", f"s{name}", AT, AT)
                for number, name, done in studies
            ],
        )  # fmt: skip
        db.executemany(
            "INSERT INTO deliveries (name, project, identity, state, arrived, ended, why, advice)"
            " VALUES ('bad.zip', 'P1', ?, 'rejected', ?, ?, 'cut', 'Export it again.')",
            [(str(number), AT, AT) for number in range(rejected)],
        )


def add_archived(database: Database, studies: Iterable[tuple[datetime, timedelta, int, str]]) -> None:
    """Enter finished deliveries of one study each: when it came, how long it took, bytes, and why it was held."""
    for arrived, took, size, why in studies:
        begin, end = text(arrived), text(arrived + took)
        with database.change() as db:
            (number,) = db.execute(
                "INSERT INTO deliveries (name, project, identity, state, sha256, size, arrived, ended)"
                " VALUES ('', 'P1', ?, 'finished', ?, ?, ?, ?) RETURNING id", (begin, begin, size, begin, end),
            ).fetchone()  # fmt: skip
            (key,) = db.execute(
                "INSERT INTO studies (delivery, number, project, study_uid, patient_name, patient_id, birth_date, age,"
                " sex, date, time, modalities, progress, standing, session, received, changed)"
                " VALUES (?, 1, 'P1', '1', '', '', '', '', '', '', '', '[]', 'complete', 'done', 'E', ?, ?)"
                " RETURNING key", (number, begin, end),
            ).fetchone()  # fmt: skip
            told = [("advanced", "archived", None), *([("held", "received", why)] if why else [])]
            db.executemany(
                "INSERT INTO events (at, delivery, study, event, progress, why) VALUES (?,?,?,?,?,?)",
                [(end, number, key, *event) for event in told],
            )


def of_version_1(path: Path) -> None:
    """Make a ledger as the first version made it, with data in every table (`version-1-data.sql`)."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript((OF_VERSION_1 / "version-1.sql").read_text("utf-8"))
        db.executescript("BEGIN;" + (OF_VERSION_1 / "version-1-data.sql").read_text("utf-8") + "COMMIT;")
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute("PRAGMA user_version = 1")
        db.execute("PRAGMA journal_mode = WAL")
