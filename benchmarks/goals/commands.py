"""Goal 7: what `--help` costs, and `status` beside a ledger of a million images."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial

from benchmarks.figures import Bench, Figure, Goal, alternately
from benchmarks.program import Program, cpu_of, inside

TIMES = 7


def measure(bench: Bench) -> Iterator[Figure]:
    """Run each several times, in turns with an interpreter that imports what every command line needs."""
    program = Program(bench, "http://127.0.0.1:9")
    inside(bench, "fill.py", program.root / "ledger.sqlite", bench.sizes.instances)
    plain = [sys.executable, "-c", "import click, sqlite3, json"]
    helped, status = [sys.executable, "-m", "xnat_watchd", "--help"], program.command("status")
    helps, tells, reference = alternately(
        TIMES,
        partial(cpu_of, helped, bench.checkout),
        partial(cpu_of, status, bench.checkout, codes=(0, 1, 75)),
        partial(cpu_of, plain, bench.checkout),
    )
    against = "Python with click and sqlite3"
    yield Figure(
        name="--help", unit="s of CPU", ours=helps, reference=reference, against=against, at_most=0.10
    )  # fmt: skip
    yield Figure(
        name=f"status, {bench.sizes.instances:,} images", unit="s of CPU", ours=tells,
        reference=reference, against=against, at_most=0.20,
    )  # fmt: skip


GOAL = Goal(number="7", title="commands", measure=measure)
