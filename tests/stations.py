"""Many stations in one ledger, in a real PostgreSQL: each is there as its service would leave it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.ledger_conformance.engines import PATIENCE, Engine, Recorder
from tests.postgres.databases import cluster
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.postgres_opening import open_postgres
from xnat_watchd.adapters.ledger.stations import StationProcess


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
    def url(self) -> str:
        """Return where the database is."""
        return cluster().database_of(self.folder)

    def change(self, sql: str, *values: Any) -> None:
        """Change the ledger behind the program's back."""
        with psycopg.connect(self.url, autocommit=True) as db:
            db.execute(sql.encode(), values)

    def enroll(self, name: str, version: str = "0.2.0") -> Recorder:
        """Become the station of this name, with a root of its own; return who records for it."""
        self.change("INSERT INTO xnat_watchd.stations (name) VALUES (%s) ON CONFLICT DO NOTHING", name)
        stations = self.recorder.ledger.stations
        stations.enroll(StationProcess(name, version))
        stations.serve(f"root-of-{name}")
        self.change("UPDATE xnat_watchd.stations SET seen = coalesce(seen, now()::text) WHERE name = %s", name)
        return self.recorder
