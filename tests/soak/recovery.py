"""What a kill costs: from the next start until the study that it interrupted is complete, by the service's clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from random import Random
from typing import Any

from tests.dicom import instance
from tests.engine import asked, location_of, settings_of
from tests.soak.practice import Practice
from tests.station import zipped
from xnat_watchd.adapters.ledger.location import Location

MOST = timedelta(minutes=2)  #: on 1.6, at the default settings
SPEED = {"1.6": 10.0, "1.8": 30.0}  #: so slow that a start of the service takes seconds of its time and not a minute
PATIENCE = 40.0  #: seconds after which what was to happen is believed never to
FIRST = 80_000  #: the number of the first study; those of the flow stay far below
LARGE = 2_000_000  #: bytes of pixels: no kernel takes all of it at once

CONFIG = """\
[xnat]
server = "{server}"
project = "P1"
[folders]
root = "{root}"
[limits]
keep_free = "1MB"
"""

Serve = Callable[[Path, float], AbstractContextManager[ForkServerProcess]]
_COSTS = """
SELECT e.at AS began, (
  SELECT min(d.at) FROM events d WHERE d.study = e.study AND d.id > e.id AND d.standing = 'done'
) AS ended FROM events e WHERE e.event = 'recovered'
"""


def costs(ledger: Location) -> list[timedelta]:
    """Return how long it took from each start at which a study was found interrupted until it was complete."""
    rows = asked(ledger, _COSTS)
    return [datetime.fromisoformat(ended) - datetime.fromisoformat(began) for began, ended in rows if ended]


class Apart:
    """Kills in mid-upload, one at a time, of a service at its default settings that meets no other trouble."""

    def __init__(self, folder: Path, dialect: str, seed: int, serve: Serve) -> None:
        """`serve`: start the service of a configuration, at this speed."""
        self._root, self._config = folder / "watchd", folder / "config.toml"
        (self._root / "drop").mkdir(parents=True)
        self._ledger, self._speed = location_of(self._root), SPEED[dialect]
        self._chance, self._serve = Random(seed), serve
        self._xnat = Practice(folder / "xnat", dialect)
        settings = CONFIG.format(server=self._xnat.url, root=self._root) + settings_of(self._root)
        self._config.write_text(settings, "utf-8")

    def killed(self, times: int) -> Sequence[timedelta]:
        """Kill it so often; return what each kill cost."""
        try:
            for number in range(times):
                self._kill(number)
            return costs(self._ledger)
        finally:
            self._xnat.stop()

    def _kill(self, number: int) -> None:
        size = (LARGE, 512)[number % 2]
        about = {"time": f"{number // 60 % 24:02}{number % 60:02}30", "pixels": self._chance.randbytes(size)}
        images = [(f"{one}.dcm", instance(FIRST + number, 1, one, **about)) for one in (1, 2, 3)]
        slowly = {"method": "POST", "path": "/data/services/import", "fault": "read_slowly", "with": {"seconds": 1.0}}
        self._xnat.ask("POST", "/faults", slowly)
        part = self._root / "dropped.part"
        part.write_bytes(zipped(images))
        part.rename(self._root / "drop" / f"{number}.zip")
        with self._serve(self._config, self._speed) as service:
            self._until(lambda: not self._xnat.ask("GET", "/faults"), "an upload has begun")
            time.sleep(self._chance.uniform(0.0, 0.2))  # into the middle of it
            service.kill()
            service.join()
        with self._serve(self._config, self._speed):
            self._until(lambda: len(costs(self._ledger)) > number, f"kill {number + 1} is made good")

    def _until(self, so: Callable[[], Any], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not so():
            if time.monotonic() > end:
                raise RuntimeError(f"it never came to it that {what}")
            time.sleep(0.1)


def told(name: str, found: Sequence[timedelta]) -> str:
    """Return a line about these costs."""
    longest = timedelta(seconds=round(max(found, default=timedelta()).total_seconds()))
    return f"{name} {len(found)} studies interrupted by kills were complete {longest} after the next start at most"
