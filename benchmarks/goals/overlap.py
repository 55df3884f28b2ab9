"""Goal 3: imports on 1.6 overlap, where each takes long in the server and nothing else does."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks import loops
from benchmarks.figures import Bench, Figure, Goal, alternately
from benchmarks.goals.forty import loop_takes, program_takes, toolkit_takes
from benchmarks.zips import small

ANSWER, IMPORT = 0.010, 0.210  #: seconds, as on a real 1.6.4, whose import sleeps most of the time
WORKERS = 4


def measure(bench: Bench) -> Iterator[Figure]:
    """Compare the program as it comes with a loop of as many workers as 1.6 bears, and with one that takes turns."""
    scans = [loops.Scan(str(number), small(str(number))) for number in range(1, bench.sizes.zips + 1)]
    proved = loops.proved(older=True)
    ours, four, one = alternately(
        bench.sizes.repeats,
        partial(program_takes, bench, "1.6", scans, answer=ANSWER, import_=IMPORT),
        partial(loop_takes, bench, "1.6", scans, proved, WORKERS, answer=ANSWER, import_=IMPORT),
        partial(loop_takes, bench, "1.6", scans, proved, 1, answer=ANSWER, import_=IMPORT),
    )
    name = f"{len(scans)} ZIPs on 1.6, {IMPORT * 1000:.0f} ms per import"
    against = f"a loop with every proof, {WORKERS} workers"
    yield Figure(name=name, unit="s", ours=ours, reference=four, against=against, ratio_at_most=1.15)
    yield Figure(name=f"{name}, alone", unit="s", ours=ours, reference=one, against="the same loop, one worker")
    if bench.toolkit:
        peer = toolkit_takes(bench, "1.6", scans, answer=ANSWER, import_=IMPORT)
        yield Figure(
            name=f"{name}, peer", unit="s", ours=ours, reference=peer, against="the toolkit", ratio_at_most=1 / 3.5
        )  # fmt: skip


GOAL = Goal(number="3", title="imports on 1.6 overlap", measure=measure)
