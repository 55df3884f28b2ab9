"""Goal 8: what the service does while there is nothing to do, and what a look at a full drop folder costs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Bench, Figure, Goal
from benchmarks.practice import Practice
from benchmarks.program import Program, Service, inside
from benchmarks.zips import small

QUIET_FOR = 10.0  #: seconds, as a service has it whose settings say nothing about it
SETTLE = 3.0  #: seconds after the last work, for what it still brings
TENTH_OF_A_PERCENT = 0.1


def measure(bench: Bench) -> Iterator[Figure]:
    """Watch a service that has done some work and now has none."""
    with Practice(bench.new_folder("xnat"), "1.8") as xnat:
        program = Program(bench, xnat.url, quiet_for=QUIET_FOR)
        with Service(program, counted=True) as service:
            program.drop({"1.zip": small("1")})
            service.wait_until_done(1)
            time.sleep(SETTLE)
            statements, looks, *_ = service.counts()
            cpu = service.cpu
            time.sleep(bench.sizes.idle)
            percent = 100 * (service.cpu - cpu) / bench.sizes.idle
            statements, looks = (now - then for now, then in zip(service.counts(), (statements, looks), strict=False))
    span = f"in {bench.sizes.idle:.0f} s"
    yield Figure(
        name=f"statements about tables {span}", unit="statements", ours=statements, reference=1.0, against="one",
        at_most=0.0,
    )  # fmt: skip
    yield Figure(
        name=f"looks whether the ledger changed {span}", unit="pragmas", ours=looks, reference=bench.sizes.idle,
        against="one a second",
    )  # fmt: skip
    yield Figure(
        name=f"CPU {span}", unit="% of a core", ours=percent, reference=TENTH_OF_A_PERCENT, against="the aim",
        at_most=TENTH_OF_A_PERCENT,
    )  # fmt: skip
    yield _sweep(bench)


def _sweep(bench: Bench) -> Figure:
    """Compare the CPU of a sweep, where no name is taken, with that of looking at each file."""
    folder = bench.new_folder("sweep")
    ours = float(inside(bench, "sweep.py", folder, bench.sizes.names))
    began = time.process_time()
    _look(folder / "drop")
    reference = time.process_time() - began
    return Figure(
        name=f"sweep of {bench.sizes.names:,} names", unit="s of CPU", ours=ours, reference=reference,
        against="os.scandir and stat", at_most=0.5 * bench.sizes.names / 100_000,
    )  # fmt: skip


def _look(folder: Path) -> int:
    with os.scandir(folder) as entries:
        return sum(entry.stat().st_size for entry in entries)


GOAL = Goal(number="8", title="idle", measure=measure)
