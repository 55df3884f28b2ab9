"""Whole processes on one root: one is killed and another begins, one is told to stop in the middle of a ZIP."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.adapters.zips import element, file_of, identity
from tests.dicom import instance
from tests.services.desk import film
from tests.whole.conftest import Program, Service
from xnat_watchd.sandbox import Sandbox
from xnat_watchd.sandbox.samples import DEFLATED

Scan = Callable[..., bytes]


@pytest.fixture(params=["1.8"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_root_whose_service_was_killed_is_free_at_once(program: Program, xnat: Sandbox, scan: Scan) -> None:
    with program.start() as service:
        service.wait_for("READY=1")
        service.stop(signal.SIGKILL)
    program.drop("scan.zip", scan())
    program.once()
    assert len(xnat.instances()) == 2


@pytest.mark.parametrize("shared", ["work", "drop"])
def test_a_second_service_on_a_folder_of_the_first_is_refused_although_its_ledger_is_another(
    program: Program, tmp_path: Path, scan: Scan, shared: str
) -> None:
    other = replace(program, root=tmp_path / "other", config=tmp_path / "other.toml", said=[])
    other.root.mkdir()
    other.write()
    settings = other.config.read_text("utf-8")
    other.config.write_text(settings.replace("[intake]", f'{shared} = "{program.root / shared}"\n[intake]'), "utf-8")
    with program.start() as service:
        service.wait_for("READY=1")
        other.once(expect=75)
        assert f"works with {program.root / shared} already" in other.said[-1]
        program.drop("scan.zip", scan())
        service.wait_for("1 complete")
        assert service.stop() == 0
    other.once()


def test_told_to_stop_in_the_middle_of_a_large_zip_it_stops_within_seconds(program: Program) -> None:
    film(program.root / "film.zip", 8 * 1024**3, 0, [instance()])  # it takes half a minute to look through
    (program.root / "drop").mkdir(exist_ok=True)
    with program.start() as service:
        service.wait_for("READY=1")
        (program.root / "film.zip").rename(program.root / "drop" / "film.zip")
        wait_until_told(program, service, "delivery.taken")
        began = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - began < 5
    assert program.status()["deliveries"] == {"arriving": 1}
    assert [one.name for one in (program.root / "work").glob("*.zip")] == ["1.zip"]


def test_told_to_stop_while_a_hostile_zip_is_opened_it_stops_within_two_seconds(program: Program) -> None:
    """Images of nothing but short elements, deflated and deflated again: to open them takes minutes."""
    (program.root / "drop").mkdir(exist_ok=True)
    write_hostile(program.root / "hostile.zip")
    with program.start() as service:
        service.wait_for("READY=1")
        (program.root / "hostile.zip").rename(program.root / "drop" / "hostile.zip")
        wait_until_told(program, service, "delivery.taken")
        wait_until_busy(service)
        began = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - began < 2
    assert program.status()["deliveries"] == {"arriving": 1}


def write_hostile(path: Path) -> None:
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = engine.compress(identity()) + engine.compress(element(0x00291010, "LO", b"") * 2**23) + engine.flush()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("padding", random.Random(1).randbytes(2**24))
        for number in range(200):
            archive.writestr(f"{number}.dcm", file_of(packed, syntax=DEFLATED))


def wait_until_told(program: Program, service: Service, event: str) -> None:
    """Wait until the journal has this event, for as long as the service lives."""
    journal = program.config.with_name("journal.txt")
    while event not in journal.read_text("utf-8"):
        with suppress(subprocess.TimeoutExpired):
            service.process.wait(0.1)
            raise AssertionError("it ended")


def wait_until_busy(service: Service) -> None:
    """Wait until the process has computed for half a second more: it is in the middle of it."""
    enough = computed(service) + 0.5
    while computed(service) < enough:
        with suppress(subprocess.TimeoutExpired):
            service.process.wait(0.02)
            raise AssertionError("it ended")


def computed(service: Service) -> float:
    """Return the seconds of a processor that the process has had so far, of the system's included."""
    told = Path(f"/proc/{service.process.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")
