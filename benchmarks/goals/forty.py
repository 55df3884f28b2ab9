"""Goal 2: many ZIPs of ten images, two workers, a server that takes 30 ms for each answer, and a quick one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from benchmarks import loops, toolkit
from benchmarks.figures import Bench, Figure, Goal, alternately
from benchmarks.loops import Scan
from benchmarks.practice import Practice
from benchmarks.program import QUIET, Program, Service
from benchmarks.zips import small

ANSWER = 0.030  #: seconds
WORKERS = 2


def measure(bench: Bench) -> Iterator[Figure]:
    """Let the program and its references carry the same ZIPs, in turns, each to a server of its own."""
    scans = [Scan(str(number), small(str(number))) for number in range(1, bench.sizes.zips + 1)]
    for dialect in bench.sizes.dialects:
        older = dialect == "1.6"
        ours, bare, proved = alternately(
            bench.sizes.repeats,
            partial(program_takes, bench, dialect, scans, answer=ANSWER, workers=WORKERS),
            partial(loop_takes, bench, dialect, scans, loops.bare(older=older), WORKERS, answer=ANSWER),
            partial(loop_takes, bench, dialect, scans, loops.proved(older=older), WORKERS, answer=ANSWER),
        )
        name = f"{len(scans)} ZIPs, {ANSWER * 1000:.0f} ms per answer, {dialect}"
        yield Figure(name=name, unit="s", ours=ours, reference=bare, against="a bare loop", ratio_at_most=1.2)
        yield Figure(
            name=f"{name}, proofs too", unit="s", ours=ours, reference=proved, against="a loop with every proof"
        )
    for dialect in bench.sizes.dialects if bench.toolkit else ():
        ours, peer = alternately(
            bench.sizes.repeats,
            partial(program_takes, bench, dialect, scans, workers=WORKERS),
            partial(toolkit_takes, bench, dialect, scans),
        )
        name = f"{len(scans)} ZIPs, no delay, {dialect}"
        yield Figure(name=name, unit="s", ours=ours, reference=peer, against="the toolkit", ratio_at_most=1.0)


def program_takes(
    bench: Bench, dialect: str, scans: Sequence[Scan], *, answer: float = 0.0, import_: float = 0.0, workers: int = 0
) -> float:
    """Return the seconds from when the ZIPs have stood still for long enough until all are done.

    Without `workers`, there are as many as the program has by itself.
    """
    settings = {"pipeline": f"workers = {workers}\n"} if workers else {}
    with Practice(bench.new_folder("xnat"), dialect, answer=answer, import_=import_) as xnat:
        program = Program(bench, xnat.url, settings)
        with Service(program) as service:
            dropped = program.drop({f"{one.name}.zip": one.content for one in scans})
            took = service.wait_until_done(len(scans)) - dropped - QUIET
        _must_hold(xnat, scans)
    return took


def loop_takes(
    bench: Bench, dialect: str, scans: Sequence[Scan], carry: loops.Carry, workers: int, *, answer: float = 0.0,
    import_: float = 0.0,
) -> float:  # fmt: skip
    """Return the seconds that a loop takes for the same."""
    with Practice(bench.new_folder("xnat"), dialect, answer=answer, import_=import_) as xnat:
        took = loops.run(xnat.url, scans, carry, workers)
        _must_hold(xnat, scans)
    return took


def toolkit_takes(
    bench: Bench, dialect: str, scans: Sequence[Scan], *, answer: float = 0.0, import_: float = 0.0
) -> float:
    """Return the seconds that the toolkit takes for the same."""
    assert bench.toolkit is not None
    with Practice(bench.new_folder("xnat"), dialect, answer=answer, import_=import_) as xnat:
        took = toolkit.run(bench.toolkit, xnat.url, scans, bench.new_folder("toolkit"))
        _must_hold(xnat, scans)
    return took


def _must_hold(xnat: Practice, scans: Sequence[Scan]) -> None:
    """Raise where not everything was archived and described: what is quick and wrong is no reference."""
    held = xnat.archived(), xnat.described()
    if held != (10 * len(scans), len(scans)):
        raise RuntimeError(f"of {len(scans)} studies of ten images, {held} images and subjects are in the archive")


GOAL = Goal(number="2", title="many small ZIPs at once", measure=measure)
