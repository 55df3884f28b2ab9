"""A ZIP over 4 GiB as a Mac's Finder packs it: no Zip64, and every place and size cut to 32 bits."""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.adapters.openings import open_zip, write_clean
from tests.adapters.zips import deflated, instance
from xnat_watchd.adapters.dicom.zip_directory import find_directory
from xnat_watchd.adapters.dicom.zip_file import is_whole
from xnat_watchd.adapters.dicom.zip_members import members
from xnat_watchd.core.errors import Unusable
from xnat_watchd.core.limits import Limits

WRAP = 2**32


@dataclass(frozen=True)
class File:
    """One file in the archive. `hole`: so many zeros instead of a content, which take no room on the disk."""

    name: bytes
    content: bytes = b""
    hole: int = 0
    method: int = 0
    described: bool = True
    mark: bytes = b"PK\7\x08"
    before: int = 0  #: a gap before it
    crc: int | None = None
    size: int | None = None  #: inflated, if not that of the content
    raw: bool = False  #: the content is packed already

    @property
    def packed(self) -> bytes:
        return deflated(self.content) if self.method and not self.raw else self.content


def pack(path: Path, files: Iterable[File]) -> list[tuple[int, int]]:
    """Write the archive; returns where each file begins, and how many packed bytes it has."""
    directory, found = b"", []
    with path.open("wb") as out:
        for file in files:
            out.seek(file.before, os.SEEK_CUR)
            start, packed = out.tell(), file.hole or len(file.packed)
            size = file.size or file.hole or len(file.content)
            crc = zlib.crc32(file.content) if file.crc is None else file.crc
            told = struct.pack("<3L", crc, packed % WRAP, size % WRAP)
            common = struct.pack("<4H", 10, 8 * file.described, file.method, 0) + struct.pack("<H", 0x21)
            local = bytes(12) if file.described else told
            out.write(b"PK\3\4" + common + local + struct.pack("<2H", len(file.name), 0) + file.name)
            out.write(file.packed)
            out.seek(file.hole, os.SEEK_CUR)
            out.write((file.mark + told) * file.described)
            tail = struct.pack("<5H2L", len(file.name), 0, 0, 0, 0, 0o100644 << 16, start % WRAP)
            directory += b"PK\1\2" + struct.pack("<H", 0x315) + common + told + tail + file.name
            found.append((start, packed))
        at, count = out.tell(), len(found)
        out.write(directory + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), at % WRAP, 0))
    return found


def placed(path: Path) -> list[tuple[int, int]]:
    with path.open("rb") as file:
        return [(one.start, one.packed) for one in members(file.fileno(), find_directory(file.fileno()))]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "export.zip"


IMAGES = [File(b"%d.dcm" % n, instance(n), method=8 * (n % 2)) for n in range(1, 5)]
FILM = File(b"film.mov", hole=WRAP + 12345)


@pytest.mark.parametrize(
    "files",
    [
        [FILM, *IMAGES],
        [*IMAGES, FILM],
        [*IMAGES[:2], FILM, File(b"a/", described=False), *IMAGES[2:]],
        [IMAGES[0], FILM, IMAGES[1], FILM, IMAGES[2]],
        [IMAGES[0], File(b"long.mov", hole=3 * WRAP + 7), IMAGES[1]],
        [IMAGES[0], File(b"half.mov", hole=WRAP // 2), File(b"half.mov", hole=WRAP // 2), IMAGES[1]],
        [File(b"film.mov", hole=WRAP + 5, described=False), IMAGES[0]],
        [File(b"film.mov", hole=WRAP + 5, mark=b""), File(b"1.dcm", instance(1), mark=b"")],
    ],
    ids=["first", "last", "between", "two", "long", "together", "told before", "without a mark"],
)
def test_places_and_sizes_are_those_modulo_four_gibibytes(path: Path, files: list[File]) -> None:
    truth = pack(path, files)

    assert placed(path) == truth
    assert is_whole(path)


def test_a_local_header_inside_of_a_file_is_not_taken_for_the_next_one(path: Path) -> None:
    """4 GiB before an image a file holds what looks like it, as an archive in an archive would."""
    truth = pack(path, [IMAGES[0], File(b"film.mov", hole=2 * WRAP), IMAGES[1]])
    with path.open("r+b") as file:
        file.seek(truth[2][0])
        head = file.read(30 + len(IMAGES[1].name))
        file.seek(truth[2][0] - WRAP)
        file.write(head)

    assert placed(path) == truth


@pytest.mark.parametrize(
    "files",
    [
        [IMAGES[0], FILM, File(b"2.dcm", instance(2), before=100)],
        [IMAGES[0], File(b"film.mov", hole=300 * WRAP), IMAGES[1]],
    ],
    ids=["a gap", "too large"],
)
def test_what_cannot_be_settled_is_refused_at_once_as_what_it_is(path: Path, files: list[File]) -> None:
    pack(path, files)
    begun = time.thread_time()

    with pytest.raises(Unusable, match="larger than 4 GiB and was packed without Zip64") as caught:
        open_zip(path, Limits())

    assert "another program" in caught.value.advice
    assert time.thread_time() - begun < 1
    assert is_whole(path)


@pytest.mark.thorough
def test_its_images_are_read_and_packed_anew(path: Path) -> None:
    """One file lies over 4 GiB, and one that unpacks to more than that from a few MiB."""
    crc, zeros = zlib.crc32(b""), zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = bytearray()
    for _ in range(256):
        crc = zlib.crc32(bytes(2**24), crc)
        packed += zeros.compress(bytes(2**24))
    dense = File(b"dense.mov", bytes(packed + zeros.flush()), method=8, raw=True, crc=crc, size=WRAP)
    pack(path, [IMAGES[0], File(b"film.mov", hole=WRAP, crc=crc), IMAGES[1], dense, IMAGES[2]])

    found = open_zip(path, Limits())

    (study,) = found.studies
    assert [image.sop_uid for image in study.instances] == ["1.2.3.1", "1.2.3.2", "1.2.3.3"]
    assert [finding.members for finding in study.findings] == [("film.mov", "dense.mov")]  # zeros may be an image
    assert "only zeros at its beginning" in study.findings[0].why
    assert not found.as_it_is
    write_clean(path, study.instances, path.with_name("clean.zip"))
    assert list(open_zip(path.with_name("clean.zip"), Limits()).studies[0].instances)
    with pytest.raises(Unusable, match="would unpack to more than 3 GiB"):
        open_zip(path, Limits(member=3 * 2**30))
