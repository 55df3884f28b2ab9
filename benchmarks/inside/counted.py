"""Run `xnat-watchd` with every statement of SQLite counted: counted.py COUNTS [ARGUMENT ...].

COUNTS is a file of four numbers of 64 bits: statements about tables, pragmas, commits that change a row, and those of
the statements that the threads ask which take ZIPs in and carry studies. A statement that is run for many rows at once
counts once, and what a trigger adds to it does not count.
"""

from __future__ import annotations

import mmap
import runpy
import sqlite3
import struct
import sys
from pathlib import Path
from threading import Lock, current_thread
from typing import Any, cast

SIZE = 4 * 8
NO_STATEMENTS = ("BEGIN", "ROLLBACK")
STATEMENTS, PRAGMAS, COMMITS, CARRYING = range(4)
CARRIERS = ("intake", "worker")  #: how the names of these threads begin


def count_into(path: Path) -> None:
    """Count the statements of every connection that is opened from now on."""
    path.write_bytes(bytes(SIZE))
    with path.open("r+b") as file:
        counts = mmap.mmap(file.fileno(), SIZE)
    lock, connect, numbers = Lock(), sqlite3.connect, [0, 0, 0, 0]

    def tally(kind: int) -> None:
        with lock:
            numbers[kind] += 1
            if kind == STATEMENTS and current_thread().name.startswith(CARRIERS):
                numbers[CARRYING] += 1
            struct.pack_into("4q", counts, 0, *numbers)

    class Counted(sqlite3.Connection):
        written = 0  #: changes of rows that were counted with a commit

        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            word = sql.split(maxsplit=1)[0]
            if word == "COMMIT":
                if self.total_changes != self.written:
                    tally(COMMITS)
                self.written = self.total_changes
            elif word not in NO_STATEMENTS:
                tally(PRAGMAS if word == "PRAGMA" else STATEMENTS)
            return super().execute(sql, *values)

        def executemany(self, *of: Any) -> sqlite3.Cursor:
            tally(STATEMENTS)
            return super().executemany(*of)

    def counted(*arguments: Any, **named: Any) -> sqlite3.Connection:
        return cast("sqlite3.Connection", connect(*arguments, factory=Counted, **named))

    sqlite3.connect = counted  # type: ignore[assignment]  # one signature for all of theirs


if __name__ == "__main__":
    count_into(Path(sys.argv[1]))
    sys.argv[:2] = ["xnat-watchd"]
    sys.path[0] = str(Path.cwd())
    runpy.run_module("xnat_watchd", run_name="__main__", alter_sys=True)
