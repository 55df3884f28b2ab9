"""Goals 6 and 6b: what the ledger is asked costs the same however much it holds, and a study asks little of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.figures import Bench, Figure, Goal
from benchmarks.practice import Practice
from benchmarks.program import DEADLINE, Program, Service, environment, inside
from benchmarks.zips import small

FEW = 1_000  #: more than a status lists
FLAT = 1.2
COMMITS = 9
STATEMENTS = 60
MARK = re.compile(r"^(\d+) done: (\d+) studies/s$", re.MULTILINE)
TAKEN = re.compile(r"taken in .*\((\d+) ZIPs/s\)")


def measure(bench: Bench) -> Iterator[Figure]:
    """Ask a small and a large ledger the same, and drop thousands of ZIPs at once."""
    many = bench.sizes.rows
    for state in ("ready", "waiting", "done"):
        small_ones, large_ones = (_calls(bench, state, rows) for rows in (FEW, many))
        for call, took in large_ones.items():
            yield Figure(
                name=f"{call}, {many:,} rows {state}", unit="ms of CPU", ours=took, reference=small_ones[call],
                against=f"{FEW:,} rows", ratio_at_most=FLAT,
            )  # fmt: skip
    if bench.sizes.flood:
        yield from _flood(bench)


def _calls(bench: Bench, state: str, rows: int) -> dict[str, float]:
    folder = bench.new_folder("ledger")
    told: dict[str, float] = json.loads(inside(bench, "ledger_calls.py", folder, state, rows))
    return told


def _flood(bench: Bench) -> Iterator[Figure]:
    """Drop very many ZIPs at once, in one process with a simulated XNAT, whose own time is not counted."""
    told = subprocess.run(
        [sys.executable, "-m", "tests.whole.many_figures", str(bench.sizes.flood), str(bench.new_folder("flood"))],
        cwd=bench.checkout, env=environment(bench.checkout), stdout=subprocess.PIPE, text=True, timeout=DEADLINE,
        check=True,
    ).stdout  # fmt: skip
    marks = [(int(at), float(rate)) for at, rate in MARK.findall(told)]
    taken = TAKEN.search(told)
    if not taken or len(marks) < 2:
        raise RuntimeError(f"the figures of many ZIPs are written in another way: {told}")
    (first, quick), (last, slow) = marks[0], marks[-1]
    yield Figure(
        name=f"per study before the {last:,}th of {bench.sizes.flood:,}", unit="ms", ours=1000 / slow,
        reference=1000 / quick, against=f"before the {first:,}th", ratio_at_most=FLAT,
    )  # fmt: skip
    yield Figure(
        name=f"intake per ZIP of {bench.sizes.flood:,}", unit="ms", ours=1000 / float(taken[1]), reference=10.0,
        against="the aim", at_most=10.0,
    )  # fmt: skip


def count_per_study(bench: Bench) -> Iterator[Figure]:
    """Count the commits and statements of studies that are dropped together, with one worker.

    Statements for the status are not of a study: they are asked once in a second, however many studies there are.
    """
    studies = bench.sizes.zips
    with Practice(bench.new_folder("xnat"), "1.8") as xnat:
        program = Program(bench, xnat.url, {"pipeline": "workers = 1\n"})
        with Service(program, counted=True) as service:
            program.drop({"first.zip": small("0")})
            service.wait_until_done(1)
            *_, before, asked = service.counts()
            program.drop({f"{name}.zip": small(str(name)) for name in range(1, studies + 1)})
            service.wait_until_done(studies + 1)
            *_, after, statements = service.counts()
    yield Figure(
        name=f"per study of {studies}", unit="commits", ours=(after - before) / studies, reference=COMMITS,
        against="the aim", at_most=COMMITS,
    )  # fmt: skip
    yield Figure(
        name=f"asked per study of {studies}", unit="statements", ours=(statements - asked) / studies,
        reference=STATEMENTS, against="the aim", at_most=STATEMENTS,
    )  # fmt: skip


GOAL = Goal(number="6", title="the ledger is as quick however much it holds", measure=measure)
PER_STUDY_GOAL = Goal(number="6b", title="commits and statements per study", measure=count_per_study)
