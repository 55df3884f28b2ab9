"""Goal 1: how many requests one new study takes, and whether their answers grow with what the project holds."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from benchmarks import loops, zips
from benchmarks.figures import Bench, Figure, Goal
from benchmarks.practice import Practice
from benchmarks.program import Program, Service

MOST = 11
STUDIES = 4  #: the first is counted by itself: it brings logins and what is then remembered
FEW, MANY = 5, 500  #: sessions that the project has already


def measure(bench: Bench) -> Iterator[Figure]:
    """Carry one study after the other, and count."""
    for dialect in ("1.6", "1.8"):
        with Practice(bench.new_folder("xnat"), dialect) as xnat:
            loops.run(xnat.url, [loops.Scan("1", zips.small("1"))], loops.proved(older=dialect == "1.6"), 1)
            reference = len(xnat.requests()) - 1  # its login
        first, following, few = _requests(bench, dialect, FEW)
        against = "a loop with every proof"
        yield Figure(
            name=f"first study, {dialect}", unit="requests", ours=first, reference=reference, against=against
        )  # fmt: skip
        yield Figure(
            name=f"next study, {dialect}", unit="requests", ours=following, reference=reference, against=against,
            at_most=MOST, exact=True,
        )  # fmt: skip
        if dialect in bench.sizes.dialects:
            many = _requests(bench, dialect, MANY)[2]
            yield Figure(
                name=f"answers per study, {MANY} sessions, {dialect}", unit="kB", ours=many, reference=few,
                against=f"with {FEW} sessions", ratio_at_most=1.05,
            )  # fmt: skip


def _requests(bench: Bench, dialect: str, sessions: int) -> tuple[int, float, float]:
    """Return the requests of the first study, those of a next one, and kilobytes of answers of a next one."""
    with Practice(bench.new_folder("xnat"), dialect, subjects=sessions, sessions=1) as xnat:
        program = Program(bench, xnat.url, {"pipeline": "workers = 1\n"})  # each worker logs in by itself
        counts, sizes = [], []
        with Service(program) as service:
            xnat.requests()
            for number in range(1, STUDIES + 1):
                program.drop({f"{number}.zip": zips.small(str(number))})
                service.wait_until_done(number)
                asked = xnat.requests()
                counts.append(len(asked))
                sizes.append(sum(one.size for one in asked) / 1000)
    return counts[0], median(counts[1:]), median(sizes[1:])


GOAL = Goal(number="1", title="requests per new study with one series", measure=measure)
