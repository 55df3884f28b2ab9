"""Kill the service before and after every call that it makes on XNAT, the ledger and the disk; start it again.

Whatever the moment, every instance must end in XNAT's archive exactly once. This is the specification of
"never loses, never doubles"; the other tests only explain it.

A kill leaves what lies on the disk and what XNAT holds, and nothing else. So the service lives once, undisturbed; at
every moment of this life both are copied, and a second service starts upon the copy. Where a moment left exactly what
an earlier one had left, the same would come of it, and it is counted without living through it again.
"""

from __future__ import annotations

import copy
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.dicom import instance, sop_uid
from tests.engine import copy_beside, location_of
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.saboteur import Crash, Moments, left_on_disk
from tests.soak.recovery import MOST, costs
from tests.station import Station, Time, zipped

ONE = zipped([(f"a/{n}.dcm", instance(1, 1, n)) for n in (1, 2)])
TWO = zipped(
    [("DICOMDIR.txt", b"clutter")]
    + [(f"b/{n}", instance(2, 1, n, name="Numbat^Ignatius", patient="ZQ-7732")) for n in (1, 2)]
    + [(f"c/{n}", instance(3, 1, n, name="Bilby^Theodora", patient="ZQ-7733", modality="CT")) for n in (1, 2)]
)
EXPECTED = Counter(("archive", sop_uid(study, 1, n)) for study in (1, 2, 3) for n in (1, 2))
PARTS = {
    "os",
    "gateway",
    "ledger.deliveries",
    "ledger.studies",
    "ledger.early_places",
    "ledger.places",
    "ledger.gates",
    "disk",
    "zip",
}


class Sweep:
    """One life of the service, and the lives that begin where this one might have been killed."""

    def __init__(self, root: Path, late: timedelta, meanwhile: str | None) -> None:
        self.time, self.moments = Time(), Moments(self._killed)
        self.xnat = FakeXnat(self.time, delay=late, meanwhile=meanwhile, dialect="1.8" if meanwhile else "1.6")
        self._root, self._again = root / "calm", root / "again"
        self._left: set[tuple[bytes, str]] = set()
        self._living_again = False
        self.costs = list[timedelta]()  #: what kills cost the studies that they interrupted

    @property
    def lives(self) -> int:
        """How many different things a kill may leave."""
        return len(self._left)

    def live(self) -> None:
        """Drop two ZIPs and let the service carry them, with a kill at every moment."""
        drop = self._root / "drop"
        drop.mkdir(parents=True)
        (drop / "one.zip").write_bytes(ONE)
        (drop / "two.zip").write_bytes(TWO)
        lives(self._root, self.xnat, self.time, self.moments, seed=1)

    def _killed(self, name: str) -> None:
        left = left_on_disk(self._root), self._remembered()
        if left in self._left:
            return
        self._left.add(left)
        self._living_again = True
        shutil.copytree(self._root, self._again, ignore=shutil.ignore_patterns("*-shm"), dirs_exist_ok=True)
        copy_beside(self._root, self._again)
        xnat, time = copy.deepcopy((self.xnat, self.time), {id(self.xnat.lock): threading.RLock()})
        try:
            lives(self._again, xnat, time, Moments(), seed=2)
            self.costs += costs(location_of(self._again))
        except Exception as error:  # whatever it is; the service around us would catch it
            raise Crash(f"moment {self.moments.moments}, {name}") from error
        finally:
            shutil.rmtree(self._again)
            self._again.mkdir()  # so that a ledger in a database is not made anew
            self._living_again = False

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        """Kill in the middle of the disk's own work too: around every renaming and removal."""
        for name in ("rename", "replace", "unlink"):
            patch.setattr(os, name, self._watched(f"os.{name}", getattr(os, name)))

    def _watched(self, name: str, plain: Callable[..., None]) -> Callable[..., None]:
        laid = self.moments.around(name, plain)

        def call(*args: object, **named: object) -> None:
            does = plain if self._living_again else laid
            does(*args, **named)

        return call

    def _remembered(self) -> str:
        """Return all that XNAT holds now, and the time."""
        known = {name: it for name, it in vars(self.xnat).items() if name not in {"lock", "clock", "requests"}}
        return repr((known, vars(self.time)))


def lives(root: Path, xnat: FakeXnat, time: Time, moments: Moments, seed: int) -> None:
    """Let the service live until it rests; check what must be true whenever it was killed before."""
    station = Station(root, FakeGateway(xnat, time), time, around=moments.around, seed=seed)
    station.takes_ahead = True
    try:
        station.run()
        assert Counter((place, sop) for place, _, _, sop in xnat.instances()) == EXPECTED
        assert {(progress, standing) for _, progress, standing in station.standings()} == {("complete", "done")}
        files = station.files()
        assert len(files) == 2
        assert all(name.startswith("done/2026-") for name in files)
    finally:
        station.close()


@pytest.mark.parametrize(
    ("late", "meanwhile"),
    [
        pytest.param(timedelta(0), None, id="at-once"),
        pytest.param(timedelta(seconds=5), None, id="late-and-unseen"),
        pytest.param(timedelta(seconds=5), "RECEIVING", id="late-and-receiving"),
    ],
)
def test_a_kill_at_any_moment_neither_loses_nor_doubles(
    quick_path: Path, late: timedelta, meanwhile: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Sweep(quick_path, late, meanwhile)
    with monkeypatch.context() as patch:
        sweep.watch(patch)
        sweep.live()
    parts = {call.split()[1].rpartition(".")[0] for call in sweep.moments.calls}
    assert parts == PARTS
    assert sweep.moments.moments > 350
    assert sweep.lives > 50
    assert sweep.costs
    if meanwhile is None:  # 1.6
        assert max(sweep.costs) <= MOST
