"""Run `xnat-watchd` with every statement of SQLite counted: counted.py COUNTS [ARGUMENT ...].

COUNTS is a file of three numbers of 64 bits: statements about tables, pragmas, commits that change a row.
"""

from __future__ import annotations

import mmap
import runpy
import sqlite3
import struct
import sys
from pathlib import Path
from threading import Lock
from typing import Any

SIZE = 3 * 8
STATEMENTS, PRAGMAS, COMMITS = range(3)


def count_into(path: Path) -> None:
    """Count the statements of every connection that is opened from now on."""
    path.write_bytes(bytes(SIZE))
    with path.open("r+b") as file:
        counts = mmap.mmap(file.fileno(), SIZE)
    lock, connect, numbers = Lock(), sqlite3.connect, [0, 0, 0]

    def tally(kind: int) -> None:
        with lock:
            numbers[kind] += 1
            struct.pack_into("3q", counts, 0, *numbers)

    def counted(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **named)
        written = connection.total_changes

        def told(sql: str) -> None:
            nonlocal written
            tally(PRAGMAS if sql.startswith("PRAGMA") else STATEMENTS)
            if sql.startswith("COMMIT") and connection.total_changes != written:
                written = connection.total_changes
                tally(COMMITS)

        connection.set_trace_callback(told)
        return connection

    sqlite3.connect = counted  # type: ignore[assignment]  # one signature for all of theirs


if __name__ == "__main__":
    count_into(Path(sys.argv[1]))
    sys.argv[:2] = ["xnat-watchd"]
    sys.path[0] = str(Path.cwd())
    runpy.run_module("xnat_watchd", run_name="__main__", alter_sys=True)
