"""A workstation that is made anew as often as a test likes, small ZIPs for it, and a small file system."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.dicom import instance, sop_uid
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.station import Station, Time, as_is, zipped

Around = Callable[[str, Any], Any]


class Desk:
    """A workstation and its (simulated) XNAT."""

    def __init__(self, root: Path) -> None:
        self.time = Time()
        self.xnat = FakeXnat(self.time, projects=("P1", "P2"))
        self.root = root
        self._open: list[Station] = []

    def station(self, around: Around = as_is, *, start: bool = True, **more: Any) -> Station:
        """End the service that is there, and begin another one on the same root."""
        self.close()
        station = Station(self.root, FakeGateway(self.xnat, self.time), self.time, around=around, **more)
        self._open.append(station)
        if start:
            station.start()
        return station

    def close(self) -> None:
        for station in self._open:
            station.close()
        self._open.clear()

    def archived(self) -> Counter[str]:
        """Count the instances in the archive; there must be none elsewhere."""
        assert {where for where, *_ in self.xnat.instances()} <= {"archive"}
        return Counter(sop for *_, sop in self.xnat.instances())


def scan(study: int = 1, images: int = 2, **about: Any) -> bytes:
    """Return a ZIP of one study."""
    about = {"time": f"10{study:02}30", **about}  # or two studies of a person would have one label
    return zipped([(f"{n}.dcm", instance(study, 1, n, **about)) for n in range(1, images + 1)])


def whole(study: int = 1, images: int = 2) -> Counter[str]:
    """Return what XNAT must hold of it: each instance once."""
    return Counter(sop_uid(study, 1, n) for n in range(1, images + 1))


def states(station: Station) -> dict[str, int]:
    """Count the deliveries by state."""
    return station.ledger.views.deliveries()


def film(path: Path, size: int, crc: int, images: Iterable[bytes]) -> None:
    """Write a ZIP with a film of so many zeros, which take no room on the disk, and images behind it."""
    entry = zipfile.ZipInfo("film.avi")
    entry.file_size = entry.compress_size = size
    entry.CRC, entry.header_offset = crc, 0
    with zipfile.ZipFile(path, "w") as archive:
        assert archive.fp is not None
        archive.fp.write(entry.FileHeader(zip64=True))
        os.truncate(archive.fp.fileno(), archive.fp.tell() + size)
        archive.fp.seek(0, os.SEEK_END)
        archive.start_dir = archive.fp.tell()
        archive.filelist.append(entry)
        archive.NameToInfo[entry.filename] = entry
        for number, data in enumerate(images):
            archive.writestr(zipfile.ZipInfo(f"{number}.dcm"), data)


class Small:
    """A file system of one MiB of its own; the test is skipped where we may not mount one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        if shutil.which("mount") is None or not self._mount("size=1m"):
            pytest.skip("mounting a file system needs root")

    def resize(self, size: str) -> None:
        assert self._mount(f"remount,size={size}")

    def fill(self) -> None:
        """Leave not a byte."""
        with suppress(OSError), (self.path / "full").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def make_room(self) -> None:
        (self.path / "full").unlink()

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", self.path], check=True)  # noqa: S603, S607 - a mount of our own

    def _mount(self, options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(self.path)]
        return not subprocess.run(command, capture_output=True, check=False).returncode  # noqa: S603 - as above
