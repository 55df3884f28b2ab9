"""`status --fleet`: show every station of a ledger that several share, the worst first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from xnat_watchd.core.errors import Refusal
from xnat_watchd.core.quantities import as_size
from xnat_watchd.interfaces.cli import table
from xnat_watchd.interfaces.cli.terminal import paragraph
from xnat_watchd.interfaces.cli.watching import Look
from xnat_watchd.operator.fleet import fleet_sentence, fleet_status, heard, said, verdict, waiting, work_sentence

if TYPE_CHECKING:
    from xnat_watchd.interfaces.cli.options import CommandOptions
    from xnat_watchd.operator.status import Snapshot

MOST = 50  #: stations, where there is no terminal whose height limits them
COLUMNS = ("station", "state", "heard", "version", "under way", "held", "oldest", "free")
NOT_SHARED = "this ledger is a file, so it has one station, which is this one"
HOW_TO_SHARE = "`xnat-watchd status` shows it. Stations share a ledger in PostgreSQL: `url` in [ledger]."


def fleet_of(options: CommandOptions) -> Snapshot:
    """Return how all stations are. Raise `Refusal` where the ledger is not shared."""
    with options.status_parts(options.locations().ledger) as ledger:
        if not ledger.fleet.shared:
            raise Refusal(NOT_SHARED, advice=HOW_TO_SHARE)
        return fleet_status(ledger.fleet, datetime.now(UTC))


def look_at_fleet(options: CommandOptions, height: int | None) -> Look:
    """Return what is shown of all stations now, in no more lines than `height`."""
    fleet = fleet_of(options)
    told = [[row["name"], row["condition"], row["why"], row["under_way"], row["held"]] for row in fleet["stations"]]
    text = fleet_screen(fleet) if height is None else "\n".join(fleet_screen(fleet).split("\n")[:height])
    return Look(text, sha256(json.dumps(told).encode()).hexdigest()[:16], verdict(fleet))


def fleet_screen(fleet: Snapshot) -> str:
    """Return the stations as text: what is wrong first, with what to do below each."""
    rows = fleet["stations"]
    lines = [*paragraph(fleet_sentence(fleet)), *paragraph(work_sentence(fleet))]
    if rows:
        lines += ["", *table.lines([*map(_cells, rows[:MOST])], COLUMNS, note="note")]
    if len(rows) > MOST:
        lines += paragraph(f"... and {len(rows) - MOST} more: `xnat-watchd status --fleet --json`")
    return "\n".join(lines)


def _cells(row: Mapping[str, Any]) -> dict[str, object]:
    return {
        "station": row["name"] or "none", "state": row["condition"], "heard": heard(row), "version": row["version"],
        "under way": row["under_way"], "held": row["held"], "oldest": waiting(row),
        "free": "" if row["free"] is None else as_size(row["free"]), "note": said(row),
    }  # fmt: skip
