"""The life of a service that is given every bad file at once, and a good one among them: a process of its own.

    python -m tests.services.bad_life ROOT SERVER FOLDER

Prints as JSON what became of each file, how long it was looked into, and the most memory that the process had.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from threading import Event
from time import process_time
from typing import Any

from tests.services.desk import scan
from tests.station import Station, Time
from xnat_watchd.adapters.clock import SystemClock
from xnat_watchd.adapters.credentials import Secret
from xnat_watchd.adapters.xnat.gateway import XnatServer


class Timed:
    """Measures how long each ZIP is opened for, in seconds of processor time."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def around(self, part: str, thing: Any) -> Any:
        if part != "zip.open":
            return thing

        def opened(path: Path, *observer: Any) -> Any:
            begun = process_time()
            try:
                return thing(path, *observer)
            finally:
                self.seconds[path.stem] = process_time() - begun

        return opened


def live(root: Path, server: str, folder: Path) -> dict[str, Any]:
    """Drop everything, work until all rests, and tell what became of it."""
    xnat = XnatServer(server, user="tech", password=Secret("secret"), clock=SystemClock(), stop=Event())
    timed = Timed()
    station = Station(root, xnat.gateway(), Time(), around=timed.around)
    for path in sorted(folder.glob("b*")):
        station.drop(path.name, path)
    station.drop("good.zip", scan(study=7))
    station.take_in()
    station.time.pass_(hours=1)  # nobody finishes the unfinished ones
    station.intake.sweep()
    station.work()
    told = {
        "deliveries": {one["name"]: one for one in (_told(station, n, timed) for n in range(1, 60)) if one},
        "ignored": station.ledger.views.ignored(),
        "files": station.files(),
        "memory": int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]),
    }
    station.close()
    xnat.close()
    return told


def _told(station: Station, number: int, timed: Timed) -> dict[str, Any] | None:
    found = station.ledger.views.delivery(number)
    if found is None:
        return None
    studies = [f"{one['progress']}, {one['standing']}: {one['why'] or ''}" for one in found["studies"]]
    return {
        "name": found["name"], "state": found["state"], "why": found["why"], "studies": studies,
        "instances": [one["instances"] for one in found["studies"]], "seconds": timed.seconds.get(str(number), 0.0),
    }  # fmt: skip


if __name__ == "__main__":
    sys.stdout.write(json.dumps(live(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))))
