"""Figures: so many small ZIPs dropped at once, taken in and carried to a simulated XNAT.

    python -m tests.whole.many_figures [FOLDER [HOW_MANY]]

Prints the seconds of the sweep that takes all of them, those of carrying them, and the memory of the whole process.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path
from time import monotonic

from tests.dicom import instance
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.station import QUIET, Station, Time, zipped


def memory() -> int:
    """Give the most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def measure(folder: Path, how_many: int) -> None:
    """Drop them, take them, carry a hundredth of them."""
    time = Time()
    station = Station(folder, FakeGateway(FakeXnat(time), time), time)
    for number in range(how_many):
        station.drop(
            f"{number}.zip",
            zipped(
                [("1.dcm", instance(number, 1, 1, time=f"{number // 3600:02}{number // 60 % 60:02}{number % 60:02}"))]
            ),
        )
    instance.cache_clear()
    before = memory()
    began = monotonic()
    station.intake.sweep()
    first = monotonic() - began
    time.pass_(seconds=QUIET)
    began = monotonic()
    station.intake.sweep()
    taken = monotonic() - began
    sys.stdout.write(
        f"{how_many} ZIPs: first look {first:.1f} s, taken in {taken:.1f} s, memory {before} -> {memory()} MiB" + "\n"
    )
    sys.stdout.write(f"{station.ledger.views.deliveries()}\n")
    began = monotonic()
    for _ in range(max(how_many // 100, 1)):
        station.pipeline.step()
    sys.stdout.write(f"{max(how_many // 100, 1)} steps {monotonic() - began:.1f} s" + "\n")
    station.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as root:
        measure(Path(root), int(sys.argv[2]) if len(sys.argv) > 2 else 10_000)
