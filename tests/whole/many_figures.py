"""Figures: thousands of small ZIPs dropped at once, taken in and carried to a simulated XNAT until all are complete.

    python -m tests.whole.many_figures [HOW_MANY [FOLDER]]

Prints the seconds of the sweeps that take all of them, the studies per second before marks on the way without what the
simulated XNAT takes, and the memory of the whole process. A throughput that falls from mark to mark says that something
is asked of all that ever came.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

from tests.dicom import instance
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.saboteur import Moments
from tests.station import QUIET, Station, Time, zipped

MARKS = (1_000, 2_000, 5_000, 10_000, 20_000)
WINDOW = 500  #: studies before a mark over which the throughput is taken


def memory() -> int:
    """Return the peak memory of this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


class Stopwatch(Moments):
    """Takes the time that the simulated XNAT needs: it looks through all that it holds, and that is not ours."""

    def __init__(self) -> None:
        super().__init__(self._see)
        self.seconds, self._began = 0.0, 0.0

    def around(self, part: str, thing: Any) -> Any:
        return super().around(part, thing) if part == "gateway" else thing

    def _see(self, name: str) -> None:
        if name.startswith("before"):
            self._began = monotonic()
        else:
            self.seconds += monotonic() - self._began


def tell(words: str) -> None:
    """Print a line."""
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


def study(number: int) -> bytes:
    """Return a ZIP of one image of a person of its own."""
    time = f"{number // 3600 % 24:02}{number // 60 % 60:02}{number % 60:02}"
    who = {"name": f"Quokka^Zenobia{number}", "patient": f"ZQ-{number}"}
    return zipped([("1.dcm", instance(number, 1, 1, time=time, **who))])


def measure(folder: Path, how_many: int) -> None:
    """Drop them, take them, carry them all."""
    time = Time()
    others = Stopwatch()
    station = Station(folder, FakeGateway(FakeXnat(time), time), time, around=others.around)
    for number in range(how_many):
        station.drop(f"{number}.zip", study(number))
        instance.cache_clear()
    before, began = memory(), monotonic()
    station.intake.sweep()
    first = monotonic() - began
    time.pass_(seconds=QUIET)
    began = monotonic()
    station.intake.sweep()
    taken = monotonic() - began
    tell(f"{how_many} ZIPs: first look {first:.1f} s, taken in {taken:.1f} s ({how_many / taken:.0f} ZIPs/s)")
    began = monotonic()
    for mark, span in windows(station, how_many, others):
        tell(f"{mark} done: {WINDOW / span:.0f} studies/s")
    tell(f"all done in {monotonic() - began:.0f} s, memory {before} -> {memory()} MiB")
    tell(f"{station.ledger.views.deliveries()}")
    station.close()


def windows(station: Station, how_many: int, others: Stopwatch) -> Iterator[tuple[int, float]]:
    """Carry one study after the other to its end; give at each mark our own seconds of the last ones before it."""
    began = monotonic()
    for done in range(1, how_many + 1):
        carry(station)
        if done + WINDOW in MARKS:
            began, others.seconds = monotonic(), 0.0
        elif done in MARKS:
            yield done, monotonic() - began - others.seconds


def carry(station: Station) -> None:
    """Do the three steps of a study, and put its ZIP to rest, as a worker does."""
    for _ in range(3):
        assert station.pipeline.step()
        station.pipeline.retire()
    station.time.pass_(seconds=0.05)  # else all places would be chosen in one moment, each looked for behind the last


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as root:
        measure(Path(root), int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
