"""Many stations in one ledger, in a real PostgreSQL: each is there as its service would leave it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from tests.ledger_conformance.engines import PATIENCE, Engine, Recorder
from tests.postgres.databases import cluster
from xnat_watchd.adapters.ledger.database import text
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.postgres_opening import open_postgres
from xnat_watchd.adapters.ledger.stations import Station
from xnat_watchd.core.station_report import StationReport

_STATION = """
INSERT INTO xnat_watchd.stations (name, root, version, seen, gone, report) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (name) DO UPDATE SET root = excluded.root, version = excluded.version, seen = excluded.seen,
  gone = excluded.gone, report = excluded.report
RETURNING id
"""


def shared_ledger(folder: Path) -> Ledger:
    """Open the ledger of a folder, in a database."""
    return Ledger(open_postgres(cluster().database_of(folder), patience=PATIENCE))


@dataclass
class SharedLedger:
    """A ledger that several stations share, and who records in it for each of them."""

    folder: Path
    recorder: Recorder = field(init=False)

    def __post_init__(self) -> None:
        self.recorder = Recorder(Engine("postgres", shared_ledger), self.folder)

    @property
    def ledger(self) -> Ledger:
        """Return the ledger of the station that records now."""
        return self.recorder.ledger

    @property
    def url(self) -> str:
        """Return where the database is."""
        return cluster().database_of(self.folder)

    def change(self, sql: str, *values: Any) -> Any:
        """Change the ledger behind the program's back, and return the first row that it answers with."""
        with psycopg.connect(self.url, autocommit=True) as db:
            done = db.execute(sql.encode(), values or None)
            return done.fetchone() if done.description else None

    def be(
        self,
        name: str,
        *,
        root: str = "",
        version: str = "0.2.0",
        heard: float = 3.0,
        ended: float | None = None,
        report: StationReport = StationReport(),  # noqa: B008 - frozen
    ) -> Recorder:
        """Become the station of this name; return who records for it.

        `heard`, `ended`: how many seconds ago it was heard of last, and has ended or was found gone.
        """
        now, root = datetime.now(UTC), root or f"root-of-{name}"
        gone = None if ended is None else text(now - timedelta(seconds=ended))
        row = self.change(_STATION, name, root, version, text(now - timedelta(seconds=heard)), gone, report.as_text())
        self.ledger.stations.me = Station(row[0], 1, root)
        return self.recorder

    def close(self) -> None:
        """End the connection."""
        self.ledger.close()
