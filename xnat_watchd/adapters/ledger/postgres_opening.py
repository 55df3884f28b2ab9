"""Open the ledger in PostgreSQL; make it where there is none yet, upgrade it where it is older."""

from __future__ import annotations

from contextlib import ExitStack
from importlib.resources import files

import psycopg

from xnat_watchd.adapters.ledger.database import VERSION, WRONG_LEDGER, OlderSchema
from xnat_watchd.adapters.ledger.postgres_database import ASK, SCHEMA, PostgresDatabase, first_line
from xnat_watchd.core.errors import NoLedger, Occupied, Refusal

MADE_AS = 3  #: the version of the schema that postgres.sql makes
ENCODING = "UTF8"
UPGRADES: tuple[str, ...] = ()  #: the first upgrades that version to the next, and so on


def open_postgres(
    url: str,
    *,
    read_only: bool = False,
    upgrade: bool = True,
    make: bool = True,
    patience: float,
    station: str = "",
) -> PostgresDatabase:
    """Open the ledger; make it if there is none, unless it is only read. Raises `Refusal` if it cannot be used.

    `upgrade` is False in a command, as for a ledger in a file: then none is made either. `make`: see `open_database`.
    `patience`: seconds to wait for who changes it just now.
    """
    try:
        database = PostgresDatabase(url, read_only=read_only, patience=patience, station=station)
    except psycopg.Error as error:
        raise Occupied(f"the ledger's database cannot be reached ({first_line(error)})", advice=ASK) from error
    with ExitStack() as otherwise:
        otherwise.callback(database.close)
        try:
            _prepare(database, read_only=read_only, upgrade=upgrade, make=make)
        except psycopg.Error as error:
            raise Refusal(f"the ledger cannot be used in its database ({first_line(error)})", advice=ASK) from error
        otherwise.pop_all()
    return database


def _prepare(database: PostgresDatabase, *, read_only: bool, upgrade: bool, make: bool) -> None:
    if (encoding := database.encoding()) != ENCODING:
        raise Refusal(
            f"the ledger's database has the encoding {encoding}, which has no place for every name",
            advice="Ask the database administrator for another one: `CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE "
            "template0`. Then name it in [ledger].",
        )
    version, oldest = _versions(database)
    if version and oldest > VERSION:
        raise Refusal(
            f"the ledger was written by a newer xnat-watchd (schema {version}, this one knows {VERSION})",
            advice="Install the newer version here, too.",
        )
    if version >= VERSION:
        return
    if not version and not make:
        raise Refusal("there is no ledger in the database, although this station has worked with one",
                      advice=WRONG_LEDGER)  # fmt: skip
    if not version and (read_only or not upgrade):
        raise NoLedger("there is no ledger in the database yet", advice="Start the service once: it makes it.")
    if version and (read_only or not upgrade):
        raise OlderSchema(
            f"the ledger is of an older xnat-watchd (schema {version}, this one knows {VERSION})",
            advice="Restart the service: it brings the ledger up to date.",
        )
    with database.change():
        version, _ = _versions(database)  # another station may have done it while we waited
        scripts = ([] if version else ["postgres.sql"]) + [*UPGRADES[max(version, MADE_AS) - MADE_AS :]]
        for script in scripts:
            database.run(files(__package__).joinpath(script).read_text(encoding="utf-8"))


def _versions(database: PostgresDatabase) -> tuple[int, int]:
    """Return the version of the ledger's schema, and the oldest one whose programs can work with it; 0 for none."""
    there = database.row("SELECT to_regclass(?) IS NOT NULL AS there", f"{SCHEMA}.schema_version")
    if not there or not there["there"]:
        return 0, 0
    row = database.row("SELECT version, oldest FROM schema_version ORDER BY version DESC LIMIT 1")
    return (row["version"], row["oldest"]) if row else (0, 0)
