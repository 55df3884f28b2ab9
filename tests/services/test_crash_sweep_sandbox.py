"""The crash sweep once more, through the real gateway over HTTP: kill, start again, and ask the practice XNAT.

One XNAT serves all lives, each in a project of its own. Moments between which neither the disk nor XNAT changed leave
the same behind: one of them is lived through, and all are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.engine import location_of
from tests.saboteur import Crash, Moments, Saboteur, left_on_disk
from tests.services.test_crash_sweep import EXPECTED, ONE, TWO
from tests.soak.recovery import MOST, costs
from tests.station import Station, Time
from xnat_watchd.adapters.credentials import Secret
from xnat_watchd.adapters.xnat.gateway import XnatServer
from xnat_watchd.sandbox import Sandbox


class Hasty(Time):
    """A clock by which nobody ever has to wait for his turn to speak."""

    def monotonic(self) -> float:
        self.since_start += 1.0
        return self.since_start


class Lives:
    """Workstations that come and go before one XNAT."""

    def __init__(self, folder: Path, xnat: Sandbox, time: Time) -> None:
        self._folder, self._xnat, self._time = folder, xnat, time
        self.costs = list[timedelta]()  #: what kills cost the studies that they interrupted

    def drop(self, project: str) -> Path:
        """Return the root of a new project, with two ZIPs of three studies in its drop folder."""
        self._xnat.add_project(project)
        self._xnat.grant("tech", project, "member")
        root = self._folder / project
        (root / "drop").mkdir(parents=True)
        (root / "drop" / "one.zip").write_bytes(ONE)
        (root / "drop" / "two.zip").write_bytes(TWO)
        return root

    def live(self, root: Path, around: Callable[[str, Any], Any], seed: int) -> list[tuple[str, str, str]]:
        """Let the service live until it rests, or is killed; give how its studies stand."""
        server = XnatServer(self._xnat.url, user="tech", password=Secret("secret"), clock=Hasty(), stop=Event())
        station = Station(root, server.gateway(), self._time, around=around, seed=seed, project=root.name)
        try:
            station.run()
            return station.standings()
        finally:
            station.close()
            server.close()

    def moments(self) -> list[tuple[str, object]]:
        """Live once undisturbed; give every moment with what a kill would leave there."""
        root, found = self.drop("CALM"), list[tuple[str, object]]()
        moments = Moments(lambda name: found.append((name, (left_on_disk(root), self._deeds(), self._time.at))))
        self.live(root, moments.around, seed=1)
        return found

    def killed(self, at: int, name: str) -> None:
        """Be killed at this moment, and start again."""
        root, saboteur = self.drop(f"P{at}"), Saboteur(at)
        with suppress(Crash):
            self.live(root, saboteur.around, seed=1)
        assert saboteur.fired == name, f"moment {at} never came"
        standings = self.live(root, Moments().around, seed=2)
        self.costs += costs(location_of(root))
        told = f"killed {name} (moment {at})"
        assert [state for _, *state in standings] == [["complete", "done"]] * 3, told
        assert len(list((root / "done").rglob("*.zip"))) == 2, told
        assert not list((root / "work").glob("[!.]*")), told

    def _deeds(self) -> int:
        """Count what was asked of XNAT that may have changed it."""
        return sum(method != "GET" and path != "/data/JSESSION" for method, path, *_ in self._xnat.requests)


@pytest.mark.thorough
@pytest.mark.parametrize("dialect", ["1.8", "1.6"])
def test_a_kill_at_any_moment_neither_loses_nor_doubles_in_the_practice_xnat(quick_path: Path, dialect: str) -> None:
    time, left = Time(), set()
    with Sandbox(quick_path / "xnat", dialect, users={"tech": "secret"}, clock=time.now) as xnat:
        lives = Lives(quick_path, xnat, time)
        moments = lives.moments()
        for at, (name, leaves) in zip(count(1), moments, strict=False):
            if leaves not in left:
                left.add(leaves)
                lives.killed(at, name)
        held = xnat.instances()
    assert len(moments) > 200
    assert len(left) > 40
    assert lives.costs
    if dialect == "1.6":
        assert max(lives.costs) <= MOST
    for project in {one.project for one in held}:
        assert Counter((one.where, one.sop_uid) for one in held if one.project == project) == EXPECTED, project
    assert len({one.project for one in held}) == len(left) + 1
