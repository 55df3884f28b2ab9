"""Kill the service before and after every call that it makes on XNAT, the ledger and the disk; start it again.

Whatever the moment, every instance must end in XNAT's archive exactly once. This is the specification of
"never loses, never doubles"; the other tests only explain it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.dicom import instance, sop_uid
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.station import Station, Time, zipped

ONE = zipped([(f"a/{n}.dcm", instance(1, 1, n)) for n in (1, 2)])
TWO = zipped(
    [("DICOMDIR.txt", b"clutter")]
    + [(f"b/{n}", instance(2, 1, n, name="Numbat^Ignatius", patient="ZQ-7732")) for n in (1, 2)]
    + [(f"c/{n}", instance(3, 1, n, name="Bilby^Theodora", patient="ZQ-7733", modality="CT")) for n in (1, 2)]
)
EXPECTED = sorted(sop_uid(study, 1, n) for study in (1, 2, 3) for n in (1, 2))


class Crash(BaseException):
    """kill -9."""


class Saboteur:
    """Counts every call on what it is laid around, and kills before or after one of them."""

    def __init__(self, at: int = 0) -> None:
        self.at, self.moments, self.fired = at, 0, ""

    def around(self, part: str, thing: Any) -> Any:
        return Laid(self, part, thing)

    def moment(self, name: str) -> None:
        self.moments += 1
        if self.moments == self.at:
            self.fired = name
            raise Crash(name)


class Laid:
    """One part with the saboteur in front of each of its methods."""

    def __init__(self, saboteur: Saboteur, part: str, thing: Any) -> None:
        self._saboteur, self._part, self._thing = saboteur, part, thing

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self._call(self._part, self._thing, *args, **named)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._thing, name)
        return lambda *args, **named: self._call(f"{self._part}.{name}", method, *args, **named)

    def _call(self, name: str, method: Callable[..., Any], *args: Any, **named: Any) -> Any:
        self._saboteur.moment(f"before {name}")
        result = method(*args, **named)
        self._saboteur.moment(f"after {name}")
        return result


def lives(root: Path, xnat: FakeXnat, time: Time, saboteur: Saboteur, seed: int) -> None:
    """Let the service live once, until it rests or is killed."""
    station = Station(root, FakeGateway(xnat, time), time, around=saboteur.around, seed=seed)
    try:
        station.run()
    except Crash:
        pass
    finally:
        station.close()


def life(root: Path, at: int, late: timedelta, meanwhile: str | None) -> tuple[Saboteur, FakeXnat]:
    """Drop two ZIPs, kill once, start again; check what must be true whenever it was."""
    time, saboteur = Time(), Saboteur(at)
    xnat = FakeXnat(time, delay=late, meanwhile=meanwhile, dialect="1.8" if meanwhile else "1.6")
    drop = root / "drop"
    drop.mkdir(parents=True)
    (drop / "one.zip").write_bytes(ONE)
    (drop / "two.zip").write_bytes(TWO)
    lives(root, xnat, time, saboteur, seed=1)
    if saboteur.fired:
        lives(root, xnat, time, Saboteur(), seed=2)
    where = Counter((place, sop) for place, _, _, sop in xnat.instances())
    told = f"killed {saboteur.fired or 'never'} (moment {at})"
    assert where == Counter(("archive", sop) for sop in EXPECTED), told
    _rests(root, time, xnat, told)
    return saboteur, xnat


def _rests(root: Path, time: Time, xnat: FakeXnat, told: str) -> None:
    station = Station(root, FakeGateway(xnat, time), time)
    try:
        assert {(progress, standing) for _, progress, standing in station.standings()} == {("complete", "done")}, told
        files = station.files()
    finally:
        station.close()
    assert len(files) == 2, told
    assert all(name.startswith("done/2026-") for name in files), told


@pytest.mark.parametrize(
    ("late", "meanwhile"),
    [
        pytest.param(timedelta(0), None, id="at-once"),
        pytest.param(timedelta(seconds=5), None, id="late-and-unseen"),
        pytest.param(timedelta(seconds=5), "RECEIVING", id="late-and-receiving"),
    ],
)
def test_a_kill_at_any_moment_neither_loses_nor_doubles(
    quick_path: Path, late: timedelta, meanwhile: str | None
) -> None:
    calm, _ = life(quick_path / "calm", 0, late, meanwhile)
    assert calm.moments > 100
    for at in range(1, calm.moments + 1):
        saboteur, _ = life(quick_path / str(at), at, late, meanwhile)
        assert saboteur.fired, f"moment {at} of {calm.moments} never came"
