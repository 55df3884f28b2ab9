"""Open the ledger, wherever it is."""

from __future__ import annotations

from pathlib import Path

from xnat_watchd.adapters.ledger.database import PATIENCE, Database
from xnat_watchd.adapters.ledger.location import Location
from xnat_watchd.adapters.ledger.sqlite_database import open_sqlite
from xnat_watchd.core.errors import Refusal


def open_database(
    where: Location | Path,
    *,
    read_only: bool = False,
    upgrade: bool = True,
    make: bool = True,
    patience: float = PATIENCE,
    whole: bool = False,
) -> Database:
    """Open the ledger; make it if there is none, upgrade it if it is older. Raises `Refusal` if it cannot be trusted.

    `upgrade` is False in a command that runs beside a service: that may be an older one, which knows only the older
    schema. `make` is False for a station that has worked with a shared ledger: it makes no other one in the place of
    that. `whole` checks a complete file, however long that takes: at the service's start, and if a person asks.
    """
    if isinstance(where, Location) and where.url:
        return _open_shared(where, read_only=read_only, upgrade=upgrade, make=make, patience=patience)
    path = where.path if isinstance(where, Location) else where
    return open_sqlite(path, read_only=read_only, upgrade=upgrade, patience=patience, whole=whole)


def _open_shared(where: Location, *, read_only: bool, upgrade: bool, make: bool, patience: float) -> Database:
    try:
        from xnat_watchd.adapters.ledger.postgres_opening import open_postgres
    except ImportError as error:
        raise Refusal(
            f"the driver of PostgreSQL cannot be used: {error.name or 'libpq'} is not there",
            advice="Install it: `pip install 'xnat-watchd[fleet]'`, or Debian's python3-psycopg.",
        ) from None
    return open_postgres(
        where.url, read_only=read_only, upgrade=upgrade, make=make, patience=patience, station=where.station
    )
