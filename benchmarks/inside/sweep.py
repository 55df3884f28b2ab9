"""Print the CPU seconds of a sweep of a drop folder in which no name is to be taken: sweep.py FOLDER NAMES."""

from __future__ import annotations

import sys
from pathlib import Path
from time import process_time

from tests.fake_xnat import FakeGateway, FakeXnat
from tests.station import Station, Time

TIMES = 3


def main() -> None:
    """Sweep once, which records the names, and then see what it costs when nothing has changed."""
    folder, names = Path(sys.argv[1]), int(sys.argv[2])
    time = Time()
    station = Station(folder, FakeGateway(FakeXnat(time), time), time)
    for number in range(names):
        (station.folders.drop / f"{number}.part").touch()
    station.intake.sweep()
    costs = []
    for _ in range(TIMES):
        began = process_time()
        station.intake.sweep()
        costs.append(process_time() - began)
    station.close()
    print(min(costs))


if __name__ == "__main__":
    main()
