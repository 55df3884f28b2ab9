"""A clean ZIP of what is to be sent: the same bytes in each member, nothing else, and whole or not there at all."""

from __future__ import annotations

import errno
import os
import struct
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import pytest

from tests.adapters.openings import open_zip, write_clean
from tests.adapters.zips import Part, descriptor, instance, zip_of
from xnat_watchd.adapters.dicom.zip_writer import ZipEntry, ZipWriter
from xnat_watchd.core.delivery import Instance
from xnat_watchd.core.errors import Undecided
from xnat_watchd.core.limits import Limits
from xnat_watchd.sandbox.samples import clutter, study, uid, write_zip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "work" / "12.zip"


@pytest.fixture
def target(source: Path) -> Path:
    source.parent.mkdir()
    return source.with_name("12.1.zip")


def instances(path: Path, number: int = 0) -> Sequence[Instance]:
    return open_zip(path, Limits()).studies[number].instances


def contents(path: Path) -> dict[str, bytes]:
    """Read a ZIP as the standard library does, checksums and all."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("wide_from", [2**32 - 1, 1, 1500])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_clean_zip_has_the_same_bytes_under_the_names_of_the_instances(
    source: Path, target: Path, method: int, wide_from: int
) -> None:
    members = study(1, modalities=("MR", "CT"))
    write_zip(source, members, method)

    write_clean(source, instances(source), target, wide_from=wide_from)

    names = [f"{uid(1, series, image)}.dcm" for series in (1, 2) for image in (1, 2, 3)]
    assert contents(target) == dict(zip(names, (content for _, content in members), strict=True))


@pytest.mark.parametrize("wide_from", [2**32 - 1, 1])
def test_what_was_repacked_reads_like_what_it_was_made_of(source: Path, target: Path, wide_from: int) -> None:
    write_zip(source, clutter() + study(1))

    write_clean(source, instances(source), target, wide_from=wide_from)

    before, after = open_zip(source, Limits()), open_zip(target, Limits())
    assert [(one.sop_uid, one.size, one.crc) for one in after.studies[0].instances] == [
        (one.sop_uid, one.size, one.crc) for one in before.studies[0].instances
    ]
    assert after.clutter == 0
    assert after.as_it_is == (wide_from > 1)


def test_only_the_instances_that_were_asked_for_are_in_it(source: Path, target: Path) -> None:
    write_zip(source, study(1) + study(2) + clutter())
    wanted = instances(source, 1)[1:]

    write_clean(source, wanted, target)

    assert list(contents(target)) == [f"{uid(2, 1, 2)}.dcm", f"{uid(2, 1, 3)}.dcm"]


def test_packed_bytes_are_copied_and_not_packed_again(source: Path, target: Path) -> None:
    write_zip(source, study(1))
    with zipfile.ZipFile(source) as archive:
        before = [(info.compress_type, info.compress_size) for info in archive.infolist()]

    write_clean(source, instances(source), target)

    with zipfile.ZipFile(target) as archive:
        assert [(info.compress_type, info.compress_size) for info in archive.infolist()] == before


def test_sizes_stand_before_the_data_so_that_a_stream_reads_it(source: Path, target: Path) -> None:  # F153
    content = instance()
    parts = [Part(b"1", content, flags=8, descriptor=descriptor(content))]
    source.write_bytes(zip_of(parts))

    write_clean(source, instances(source), target)

    _, _, flags, _, _, _, _, packed, size, _, _ = struct.unpack_from("<4s5H3L2H", target.read_bytes())
    assert (flags, size) == (0, len(content))
    assert packed > 0


def test_the_same_instances_give_the_same_bytes(source: Path, target: Path) -> None:
    write_zip(source, study(1), zipfile.ZIP_BZIP2)
    found = instances(source)
    write_clean(source, found, target)
    first = target.read_bytes()

    write_clean(source, reversed(found), target)

    assert target.read_bytes() == first
    assert {path.name for path in source.parent.iterdir()} == {"12.zip", "12.1.zip"}


@pytest.mark.parametrize(
    "changed",
    [
        zip_of([Part(b"1", instance(1))]),
        zip_of([Part(b"1", instance(1)), Part(b"2", instance(3))]),
        zip_of([Part(b"1", instance(1)), Part(b"2", instance(2), crc=1)]),
        zip_of([Part(b"1", instance(1)), Part(b"2", instance(2), packed=bytes(99))]),
        zip_of([Part(b"1", instance(1)), Part(b"2", instance(2), packed=b"")]),
        zip_of([Part(b"1", instance(1)), Part(b"2", bytes(len(instance(2))), crc=0)]),
        b"",
        b"something else",
    ],
    ids=["fewer", "another", "other checksum", "garbage", "nothing", "other bytes", "empty", "no ZIP"],
)
def test_nothing_is_written_when_the_zip_is_not_what_it_was(source: Path, target: Path, changed: bytes) -> None:
    source.write_bytes(zip_of([Part(b"1", instance(1)), Part(b"2", instance(2))]))
    recorded = instances(source)
    source.write_bytes(changed)

    with pytest.raises(Undecided, match=r"^the ZIP changed while it was read$"):
        write_clean(source, recorded, target)

    assert [path.name for path in source.parent.iterdir()] == ["12.zip"]


def test_bytes_that_rotted_under_the_same_directory_are_noticed(source: Path, target: Path) -> None:
    write_zip(source, study(1), zipfile.ZIP_STORED)
    recorded = instances(source)
    content = bytearray(source.read_bytes())
    content[1500] ^= 1
    source.write_bytes(content)

    with pytest.raises(Undecided, match="changed"):
        write_clean(source, recorded, target)


def test_a_failure_leaves_what_was_there_before(source: Path, target: Path) -> None:
    source.write_bytes(zip_of([Part(b"1", instance(1))]))
    target.write_bytes(b"from last time")
    wrong = Instance("1.2.3.1", "1.2.3", 5, 5, 0)

    with pytest.raises(Undecided):
        write_clean(source, [wrong], target)

    assert target.read_bytes() == b"from last time"


def test_a_full_disk_leaves_nothing_behind(source: Path, target: Path) -> None:
    write_zip(source, study(1))
    found = instances(source)
    target.mkdir()  # a rename onto it fails, as any late failure of the disk would

    with pytest.raises(OSError, match="Is a directory"):
        write_clean(source, found, target)

    assert not list(source.parent.glob(".*"))


def test_zip64_is_used_for_what_lies_beyond_its_threshold(source: Path, target: Path) -> None:
    write_zip(source, study(1))
    write_clean(source, instances(source), target)
    assert b"PK\6\6" not in target.read_bytes()

    write_clean(source, instances(source), target, wide_from=1500)

    with zipfile.ZipFile(target) as archive:
        infos = archive.infolist()
    assert [info.extra[:4] == b"\1\0\x18\0" for info in infos] == [info.header_offset >= 1500 for info in infos]
    assert {info.header_offset >= 1500 for info in infos} == {True, False}
    assert b"PK\6\6" in target.read_bytes()


def test_more_members_than_sixteen_bits_count_need_zip64() -> None:
    file = BytesIO()
    writer = ZipWriter(file)
    for n in range(70_000):
        with writer.member(ZipEntry(str(n).encode(), 0, 0, 0, 0)):
            pass
    writer.finish()

    with zipfile.ZipFile(file) as archive:
        assert len(archive.namelist()) == 70_000
    assert file.getvalue()[-22:][8:12] == b"\xff" * 4


def test_what_the_target_s_disk_refuses_names_the_target(source: Path, target: Path) -> None:
    write_zip(source, study(1))
    found = instances(source)
    part = target.with_name(f".{target.name}.part")
    part.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_clean(source, found, target)
    assert caught.value.filename == str(part)


def test_what_cannot_be_made_durable_names_the_target(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_zip(source, study(1))
    found = instances(source)

    def fails(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="Input/output error") as caught:
        write_clean(source, found, target)
    assert caught.value.filename == str(target.with_name(f".{target.name}.part"))


def test_what_the_source_s_disk_refuses_does_not_name_the_target(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_zip(source, study(1))
    found = instances(source)

    def fails(*_: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pread", fails)
    with pytest.raises(OSError, match="Input/output error") as caught:
        write_clean(source, found, target)
    assert caught.value.filename is None
