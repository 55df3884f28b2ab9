"""Open the ledger, wherever it is."""

from __future__ import annotations

from pathlib import Path

from xnat_watchd.adapters.ledger.database import Database
from xnat_watchd.adapters.ledger.sqlite_database import PATIENCE, open_sqlite


def open_database(
    path: Path, *, read_only: bool = False, upgrade: bool = True, patience: float = PATIENCE, whole: bool = False
) -> Database:
    """Open the ledger; make it if there is none, upgrade it if it is older. Raises `Refusal` if it cannot be trusted.

    `upgrade` is False in a command that runs beside a service: that may be an older one, which knows only the older
    schema. `whole` checks all of it, however long that takes: at the service's start, and if a person asks.
    """
    return open_sqlite(path, read_only=read_only, upgrade=upgrade, patience=patience, whole=whole)
