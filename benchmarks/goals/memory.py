"""Goal 5: how much memory the service takes, and whether it grows from study to study."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.figures import Bench, Figure, Goal
from benchmarks.practice import Practice
from benchmarks.program import Program, Service
from benchmarks.zips import small

PARTS = 4  #: the slope is that of the last three


def measure(bench: Bench) -> Iterator[Figure]:
    """Carry many studies, part after part, and look at the memory after each."""
    part = bench.sizes.studies // PARTS
    with Practice(bench.new_folder("xnat"), "1.8") as xnat:
        program = Program(bench, xnat.url)
        seen = []
        with Service(program) as service:
            for number in range(PARTS):
                names = range(number * part, (number + 1) * part)
                program.drop({f"{name}.zip": small(str(name), images=1) for name in names})
                service.wait_until_done((number + 1) * part)
                seen.append(service.memory("VmRSS"))
            peak = service.memory()
    yield Figure(
        name=f"peak, {part * PARTS} studies", unit="MB", ours=peak, reference=90.0, against="the aim", at_most=90.0
    )  # fmt: skip
    yield Figure(
        name=f"growth from study {part:,} to {part * PARTS:,}", unit="MB", ours=max(seen[-1] - seen[0], 0.0),
        reference=seen[0], against=f"all that it had after {part:,}", at_most=1.0,
    )  # fmt: skip


GOAL = Goal(number="5", title="memory", measure=measure)
