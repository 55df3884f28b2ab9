"""Print as JSON the milliseconds of CPU of what workers and status ask: ledger_calls.py FOLDER STATE ROWS.

The ledger has so many studies that are `ready`, `waiting` for a time to come, or `done`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import process_time

from tests.ledgers import fill
from xnat_watchd.adapters.ledger.database import text
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.operator.status import take_snapshot

TIMES = 9
NOW = datetime.now(UTC)


def milliseconds(act: Callable[[], object]) -> float:
    """Return the least of a few runs. The time that a disk takes for a commit is not in it."""
    took = []
    for _ in range(TIMES):
        began = process_time()
        act()
        took.append(1000 * (process_time() - began))
    return min(took)


def main() -> None:
    """Fill the ledger, and ask."""
    path, state, rows = Path(sys.argv[1]) / "ledger.sqlite", sys.argv[2], int(sys.argv[3])
    database = open_database(path)
    fill(database, finished=rows if state == "done" else 0, waiting=0 if state == "done" else rows)
    if state == "waiting":
        with database.change() as db:
            db.execute("UPDATE studies SET standing = 'waiting', due = ?", (text(NOW + timedelta(minutes=30)),))
    ledger = Ledger(database)
    newest = ledger.studies.newest_event()  # as a worker asks: what has ended since it asked last
    told = {
        "next_due": milliseconds(lambda: ledger.studies.next_due(NOW)),
        "retirable": milliseconds(lambda: ledger.deliveries.retirable(newest)),
        "snapshot": milliseconds(lambda: take_snapshot(ledger, "", NOW, running=True, daemon={}, attention=[])),
        "take": milliseconds(lambda: ledger.studies.take(NOW)),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
