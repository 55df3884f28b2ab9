"""The two readers of its own: ZIPs as they stream by, and DICOM headers; both are fed by strangers."""

from __future__ import annotations

import struct
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from tests.sandbox.kit import STUDY, dicom, zipped
from xnat_watchd.sandbox.dicom import ObjectHeader, read_header
from xnat_watchd.sandbox.headers import UnreadableError
from xnat_watchd.sandbox.zipstream import BrokenZipError, entries


def read(content: bytes) -> dict[str, bytes]:
    return {entry.name: b"".join(entry.pieces()) for entry in entries(BytesIO(content).read)}


def header(tmp_path: Path, content: bytes) -> ObjectHeader:
    path = tmp_path / "one"
    path.write_bytes(content)
    return read_header(path)


class Pipe(BytesIO):
    """A stream that cannot be gone back in, so that its ZIP is written with data descriptors."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise OSError

    def tell(self) -> int:
        raise OSError


def test_members_come_in_order_whatever_their_method() -> None:
    members = {"a": b"x" * 3_000_000, "b": b"", "c": bytes(range(256))}
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        assert read(zipped(members, method)) == members


def test_members_of_unknown_size_are_followed_by_their_crc() -> None:
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"x" * 100)
        archive.writestr("b", b"y")
    assert read(pipe.getvalue()) == {"a": b"x" * 100, "b": b"y"}


def test_zip64_sizes_are_read() -> None:
    buffer = BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive,
        archive.open("a", "w", force_zip64=True) as member,
    ):
        member.write(b"hello")
    assert read(buffer.getvalue()) == {"a": b"hello"}


def test_a_wrong_crc_breaks_the_stream() -> None:
    content = bytearray(zipped({"a": b"hello" * 50}, zipfile.ZIP_STORED))
    content[40] ^= 1
    with pytest.raises(BrokenZipError, match="CRC"):
        read(bytes(content))


@pytest.mark.parametrize(("offset", "value", "words"), [(6, 1, "encrypted"), (8, 12, "method")])
def test_what_the_java_reader_cannot_read_breaks_the_stream(offset: int, value: int, words: str) -> None:  # F151
    content = bytearray(zipped({"a": b"hello" * 50}))
    content[offset] = value
    with pytest.raises(BrokenZipError, match=words):
        read(bytes(content))


def test_every_cut_of_a_zip_ends_or_breaks_and_never_hangs() -> None:
    content = zipped({"a": b"hello" * 50, "b": b"x"})
    for size in range(content.index(b"PK\x01\x02")):
        try:
            found = read(content[:size])
        except BrokenZipError:
            continue
        assert set(found) < {"a", "b"}


def test_a_header_is_read_past_nested_sequences_of_unknown_length(tmp_path: Path) -> None:
    inner = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + struct.pack("<HH2sH", 0x0008, 0x0104, b"LO", 2) + b"xy"
    inner += struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    sequence = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + inner
    content = dicom()
    place = content.index(struct.pack("<HH", 0x0010, 0x0010))
    assert header(tmp_path, content[:place] + sequence + content[place:]).study_uid == STUDY


def test_every_cut_of_an_object_is_read_or_refused(tmp_path: Path) -> None:
    content = dicom()
    for size in range(len(content) - 64):
        try:
            found = header(tmp_path, content[:size])
        except UnreadableError:
            continue
        assert found.series_uid == f"{STUDY}.1"


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Buc^Jérôme"),
        ("ISO_IR 126", "Διονυσιος"),
        ("ISO_IR 138", "שרון^דבורה"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小東"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
    ],
)
def test_names_are_read_in_their_own_script(tmp_path: Path, charset: str | list[str], name: str) -> None:
    assert header(tmp_path, dicom(SpecificCharacterSet=charset, PatientName=name)).patient_name == name


def test_a_date_that_is_none_is_empty(tmp_path: Path) -> None:
    content = dicom().replace(b"20240131", b"***     ")
    assert header(tmp_path, content).date == ""
