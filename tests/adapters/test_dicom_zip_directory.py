"""The directory of a ZIP: odd but lawful ones are read, hostile ones refused before anything is inflated."""

from __future__ import annotations

import io
import lzma
import struct
import time
import zipfile
from pathlib import Path

import pytest

from tests.adapters.openings import open_zip, write_clean
from tests.adapters.zips import Part, instance, zip_of
from xnat_watchd.adapters.dicom import zip_file
from xnat_watchd.adapters.dicom.zip_file import is_whole
from xnat_watchd.core.delivery import Instance
from xnat_watchd.core.errors import Unusable
from xnat_watchd.core.limits import Limits
from xnat_watchd.sandbox.samples import study, uid, write_zip

UIDS = [uid(1, 1, n) for n in range(1, 4)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "export.zip"


def found_in(path: Path) -> list[str]:
    (only,) = open_zip(path, Limits()).studies
    assert not only.trouble
    return [one.sop_uid for one in only.instances]


def refusal(path: Path, content: bytes, limits: Limits | None = None) -> str:
    path.write_bytes(content)
    with pytest.raises(Unusable) as caught:
        open_zip(path, limits or Limits())
    return str(caught.value)


# Lawful.


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_method_that_a_zip_of_images_may_have_is_read(path: Path, method: int) -> None:
    write_zip(path, study(1), method)

    assert found_in(path) == UIDS
    assert open_zip(path, Limits()).as_it_is == (method in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})


def test_lzma_without_a_mark_at_its_end_is_read(path: Path) -> None:
    content = instance()
    engine = lzma.LZMACompressor(lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA1, "dict_size": 2**16}])
    packed = struct.pack("<HHBL", 0x1409, 5, 0x5D, 2**16) + engine.compress(content) + engine.flush()
    path.write_bytes(zip_of([Part(b"1", content, method=14, flags=2, packed=packed)]))

    assert found_in(path) == ["1.2.3.1"]


def test_nothing_may_be_packed_into_no_byte_at_all(path: Path) -> None:
    path.write_bytes(zip_of([Part(b"1", instance()), Part(b".nomedia", b"", packed=b"")]))

    assert found_in(path) == ["1.2.3.1"]


def test_a_zip_written_to_a_pipe_is_read(path: Path) -> None:
    class Pipe(io.RawIOBase):
        """A file that cannot seek, so that every member gets a data descriptor."""

        def __init__(self, file: io.BufferedWriter) -> None:
            self.file = file

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            return self.file.write(data)

    with path.open("wb") as file, zipfile.ZipFile(Pipe(file), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in study(1):
            archive.writestr(name, content)

    assert found_in(path) == UIDS


@pytest.mark.parametrize("before", [b"", b"MZ" + bytes(5000)])
@pytest.mark.parametrize("comment", [b"", b"by PK\5\6 " + bytes(50), b"c" * 65535])
def test_a_stub_before_and_a_comment_behind_are_passed_over(path: Path, before: bytes, comment: bytes) -> None:
    path.write_bytes(zip_of([Part(b"1", instance())], before=before, comment=comment))

    assert is_whole(path)
    assert found_in(path) == ["1.2.3.1"]


@pytest.mark.parametrize("before", [b"", b"MZ" + bytes(5000)])
def test_zip64_structures_are_read_whatever_the_size(
    path: Path, before: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)  # of the library that writes the sample
    write_zip(path, study(1))
    content = path.read_bytes()
    assert b"PK\6\6" in content
    path.write_bytes(before + content)

    assert is_whole(path)
    assert found_in(path) == UIDS


def test_members_beyond_four_gibibytes_are_found(path: Path) -> None:
    hole = 5 * 2**30
    small = zip_of([Part(b"1", instance(1))])
    directory, body = small.index(b"PK\1\2"), small[: small.index(b"PK\1\2")]
    wide = struct.pack("<HHQ", 1, 8, hole)
    entry = small[directory : small.index(b"PK\5\6")]
    far = entry[:30] + struct.pack("<H", len(wide)) + entry[32:42] + b"\xff" * 4 + entry[46:] + wide
    start, size = hole + len(body), len(entry + far)
    end = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2, 2, size, start)
    end += struct.pack("<4sLQL", b"PK\6\7", 0, start + size, 1)
    with path.open("wb") as file:
        file.write(body)
        file.seek(hole)
        file.write(body + entry + far + end + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2, 2, size, 2**32 - 1, 0))
    with zipfile.ZipFile(path) as archive:  # another reader sees the same
        infos = archive.infolist()
        assert [info.header_offset for info in infos] == [0, hole]

    found = [Instance(f"1.{n}", "1.2.3", info.file_size, info.CRC, n) for n, info in enumerate(infos)]
    write_clean(path, found, path.with_name("clean.zip"))

    assert is_whole(path)
    with zipfile.ZipFile(path.with_name("clean.zip")) as clean:
        assert [clean.read(name) for name in clean.namelist()] == [instance(1), instance(1)]


def test_more_members_than_sixteen_bits_count(path: Path) -> None:
    path.write_bytes(zip_of([*(Part(b".keep", b"", method=0) for _ in range(70_000)), Part(b"1", instance())]))

    assert found_in(path) == ["1.2.3.1"]


# Hostile.


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (Limits(members=2), "the ZIP holds more than 2 files"),
        (Limits(total=2**10), "the ZIP would unpack to more than 9.53674e-07 GiB"),
        (Limits(member=2**8), "a file in the ZIP would unpack to more than 2.38419e-07 GiB"),
    ],
)
def test_more_than_the_limits_allow_is_refused(path: Path, limits: Limits, sentence: str) -> None:
    content = zip_of(Part(str(n).encode(), instance(n, size=400)) for n in range(3))

    assert refusal(path, content, limits) == sentence


def test_limits_are_what_may_be_not_what_may_not(path: Path) -> None:
    content = instance(1)
    path.write_bytes(zip_of([Part(b"1", content)]))

    assert open_zip(path, Limits(members=1, total=len(content), member=len(content))).studies


def test_what_packs_too_well_is_refused_before_it_is_inflated(path: Path) -> None:
    bomb = zip_of([Part(str(n).encode(), b"", packed=b"\0" * 2**10, size=2**30) for n in range(10)])

    begun = time.thread_time()
    assert refusal(path, bomb) == "the ZIP unpacks to far more than images would"
    assert time.thread_time() - begun < 0.1


def test_a_blank_image_packs_well_and_is_none_the_worse(path: Path) -> None:
    path.write_bytes(zip_of([Part(b"1", instance(size=50 * 2**20))]))

    assert path.stat().st_size < 50 * 2**20 / 200
    assert found_in(path) == ["1.2.3.1"]


def test_members_that_share_their_bytes_are_refused(path: Path) -> None:
    one = Part(b"1", instance())

    assert refusal(path, zip_of([one, Part(b"2", b"", start=0)])) == "the files in the ZIP overlap"
    assert refusal(path, zip_of([one, Part(b"2", instance(), start=40)])) == "the files in the ZIP overlap"
    assert refusal(path, zip_of([one, Part(b"2", b"", start=9999)])) == "the files in the ZIP overlap"


def test_nothing_is_inflated_beyond_what_the_directory_says(path: Path) -> None:
    path.write_bytes(zip_of([Part(b"1", instance(1)), Part(b"2", bytes(64 * 2**20), size=100)]))

    (found,) = open_zip(path, Limits(ratio_from=2**20)).studies

    assert found.trouble == "1 image is damaged beyond telling the study (larger than the ZIP says)"


@pytest.mark.parametrize(
    ("mark", "offset", "bytes_there"),
    [
        (b"PK\1\2", 0, b"XX"),
        (b"PK\1\2", 28, b"\xff\xff"),  # a name that is longer than the directory
        (b"PK\1\2", 42, b"\xff\xff\xff\xff"),  # Zip64 without its field
        (b"PK\5\6", 12, b"\x0f\x27"),  # a directory larger than the file
        (b"PK\5\6", 16, b"\x0f\x27"),  # and one that begins behind its end
    ],
)
def test_a_directory_that_does_not_read_is_told(path: Path, mark: bytes, offset: int, bytes_there: bytes) -> None:
    content = bytearray(zip_of([Part(b"1", instance())]))
    at = content.index(mark) + offset
    content[at : at + len(bytes_there)] = bytes_there

    assert refusal(path, bytes(content)) == "the directory of the ZIP is damaged"
    assert not is_whole(path)


def test_a_zip64_record_that_is_not_there_is_damage_of_the_directory(path: Path) -> None:
    content = zip_of([Part(b"1", instance())])
    end = content.index(b"PK\5\6")
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, 7, 1)

    assert refusal(path, content[:end] + locator + content[end:]) == "the directory of the ZIP is damaged"


def test_a_local_header_that_is_none_is_damage_of_that_member(path: Path) -> None:
    content = zip_of([Part(b"1", instance(1)), Part(b"2", instance(2))])
    second = content.index(b"PK\3\4", 4)
    path.write_bytes(content[:second] + b"XXXX" + content[second + 4 :])

    (found,) = open_zip(path, Limits()).studies

    assert found.trouble == "1 image is damaged beyond telling the study (not where the ZIP says)"


def test_only_the_beginning_of_a_huge_directory_is_looked_at_to_tell_that_it_is_there(path: Path) -> None:
    content = zip_of(Part(b"n" * 65535, b"", method=0) for _ in range(100))
    last = content.rindex(b"PK\1\2")
    broken = content[:last] + b"XX" + content[last + 2 :]
    path.write_bytes(broken)

    assert is_whole(path)
    assert refusal(path, broken) == "the directory of the ZIP is damaged"


def test_a_hundred_thousand_members_are_seen_through_in_seconds(path: Path) -> None:
    path.write_bytes(_many(100_000))

    begun = time.thread_time()
    assert is_whole(path)
    assert time.thread_time() - begun < 0.5
    with pytest.raises(Unusable, match="there is no DICOM image in the ZIP"):
        zip_file.open_zip(path, Limits())
    assert time.thread_time() - begun < 5


def _many(count: int) -> bytes:
    local, entry = zip_of([Part(b"x", b"y", method=0)]).split(b"PK\1\2")
    entry = b"PK\1\2" + entry[: entry.index(b"PK\5\6")]
    directory = b"".join(entry[:42] + struct.pack("<L", n * len(local)) + entry[46:] for n in range(count))
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0, 0, len(directory), count * len(local), 0)
    return local * count + directory + end
