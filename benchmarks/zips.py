"""ZIPs of DICOM, small and large, made quickly and always the same."""

from __future__ import annotations

import math
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from itertools import repeat
from pathlib import Path

ROOT = "1.2.826.0.1.3680043.10.1572"  #: a UID root of our own, for objects that are nobody's
PIXELS = 512 * 1024  #: bytes of one image of a large ZIP
PACKED_AT = (2024, 2, 29, 12, 0, 0)
_DEFLATED_NOTHING = b"\3\0"  #: what ends a deflate stream


def _element(tag: int, vr: bytes, value: bytes) -> bytes:
    value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
    length = struct.pack("<HI", 0, len(value)) if vr in {b"OB", b"OW"} else struct.pack("<H", len(value))
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr + length + value


def head(study: str, image: int, pixels: int, frames: int = 1) -> bytes:
    """Return a DICOM file up to its frames, each of `pixels` bytes. `study` is a part of a UID.

    The name is one that needs no other label on any XNAT: the toolkit finds no subject on 1.6 whose name has a caret.
    """
    sop_class, sop = b"1.2.840.10008.5.1.4.1.1.4", f"{ROOT}.{study}.1.{image}".encode()
    meta = (
        _element(0x00020001, b"OB", b"\0\1") + _element(0x00020002, b"UI", sop_class) + _element(0x00020003, b"UI", sop)
        + _element(0x00020010, b"UI", b"1.2.840.10008.1.2.1") + _element(0x00020012, b"UI", ROOT.encode())
    )  # fmt: skip
    columns = pixels // 2 // 16
    values = (
        (0x00080016, b"UI", sop_class), (0x00080018, b"UI", sop), (0x00080020, b"DA", b"20240229"),
        (0x00080030, b"TM", b"101530"), (0x00080060, b"CS", b"MR"), (0x00100010, b"PN", f"Bench_N{study}".encode()),
        (0x00100020, b"LO", f"B-{study}".encode()), (0x00100030, b"DA", b"19700101"), (0x00100040, b"CS", b"O"),
        (0x00101010, b"AS", b"054Y"), (0x0020000D, b"UI", f"{ROOT}.{study}".encode()),
        (0x0020000E, b"UI", f"{ROOT}.{study}.1".encode()), (0x00200011, b"IS", b"1"),
        (0x00200013, b"IS", str(image).encode()),
    )  # fmt: skip
    shape = ((0x00280002, 1), (0x00280010, 16), (0x00280011, columns), (0x00280100, 16), (0x00280101, 16),
             (0x00280102, 15), (0x00280103, 0))  # fmt: skip
    elements = [_element(*one) for one in values]
    elements += [_element(tag, b"US", struct.pack("<H", value)) for tag, value in shape]
    elements.insert(-6, _element(0x00280004, b"CS", b"MONOCHROME2"))
    if frames > 1:
        elements.insert(-6, _element(0x00280008, b"IS", str(frames).encode()))
    length = _element(0x00020000, b"UL", struct.pack("<I", len(meta)))
    pixel_head = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, pixels * frames)
    return bytes(128) + b"DICM" + length + meta + b"".join(elements) + pixel_head


def small(study: str, images: int = 10, pixels: int = 2048) -> bytes:
    """Return a ZIP of one study of a person of its own."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for image in range(1, images + 1):
            info = zipfile.ZipInfo(f"I{image:04}.dcm", PACKED_AT)
            archive.writestr(info, head(study, image, pixels) + _noise(pixels), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def write_large(
    path: Path, size: int, *, deflated: bool, study: str = "77", slices: bool = False, frames: int = 1
) -> Path:
    """Write a ZIP of one study that inflates to about `size` bytes, at the speed of the disk.

    A deflated member is its header and then pixels that were deflated once for all: a deflate stream may be joined
    where it was flushed in full. `slices`: of a CT, instead of noise. `frames`: in each image.
    """
    entries: list[zipfile.ZipInfo] = []
    pixels = slice_of_a_ct() if slices else _noise(PIXELS)
    packed = _flushed(pixels) if deflated else pixels
    last = _DEFLATED_NOTHING if deflated else b""
    with path.open("wb") as file:
        for image in range(1, max(size // PIXELS // frames, 1) + 1):
            header = head(study, image, PIXELS, frames)
            info = zipfile.ZipInfo(f"I{image:06}.dcm", PACKED_AT)
            info.compress_type = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
            info.CRC, info.file_size = _crc(header, pixels, frames), len(header) + len(pixels) * frames
            first = _flushed(header) if deflated else header
            info.compress_size, info.header_offset = len(first) + len(packed) * frames + len(last), file.tell()
            file.write(info.FileHeader(zip64=False) + first)
            file.writelines(repeat(packed, frames))
            file.write(last)
            entries.append(info)
        file.write(b"".join(_directory(entries, file.tell())))
    return path


@cache
def slice_of_a_ct() -> bytes:
    """Return the pixels of a body with lungs and a spine, and with noise: they deflate to half, as real slices do."""
    chance = random.Random(512)  # noqa: S311 - the same each time is the point
    pixels = bytearray()
    for y, x in ((y, x) for y in range(-256, 256) for x in range(-256, 256)):
        value, noise = _tissue(x, y)
        pixels += max(0, int(chance.gauss(value, noise))).to_bytes(2, "little")
    return bytes(pixels)


def _tissue(x: int, y: int) -> tuple[float, float]:
    """Return the mean and the noise of the values at a place, with 1024 for water."""
    body = math.hypot(x / 230, y / 170)
    if body > 1:
        return (24, 6) if body < 1.6 else (0, 0)
    if math.hypot(x, y - 114) < 35:
        return 1900, 60
    if math.hypot(abs(x) - 86, y + 26) < 60:
        return 180, 40
    return (920, 12) if body > 0.93 else (1060 + 60 * math.sin(x / 37) * math.cos(y / 29), 12)


def _crc(header: bytes, pixels: bytes, frames: int) -> int:
    crc = zlib.crc32(header)
    for _ in range(frames):
        crc = zlib.crc32(pixels, crc)
    return crc


def _directory(entries: list[zipfile.ZipInfo], start: int) -> Iterator[bytes]:
    """Yield the central directory, in the form for large files where the offsets need it."""
    length = 0
    for one in entries:
        name, offset = one.filename.encode(), one.header_offset
        far = struct.pack("<HHQ", 1, 8, offset) if offset > 0xFFFFFFFE else b""
        entry = struct.pack(
            "<4s4B4HL2L5H2L", b"PK\1\2", 45, 3, 45, 0, 0, one.compress_type, _dos_time(), _dos_date(), one.CRC,
            one.compress_size, one.file_size, len(name), len(far), 0, 0, 0, 0, min(offset, 0xFFFFFFFF),
        )  # fmt: skip
        length += len(entry) + len(name) + len(far)
        yield entry + name + far
    count = len(entries)
    if start + length > 0xFFFFFFFE or count > 0xFFFE:
        end = start + length
        yield struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, start)
        yield struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    yield struct.pack(
        "<4s4H2LH", b"PK\5\6", 0, 0, min(count, 0xFFFF), min(count, 0xFFFF), length, min(start, 0xFFFFFFFF), 0
    )


def _dos_date() -> int:
    year, month, day, *_ = PACKED_AT
    return (year - 1980) << 9 | month << 5 | day


def _dos_time() -> int:
    *_, hour, minute, second = PACKED_AT
    return hour << 11 | minute << 5 | second // 2


@cache
def _noise(size: int) -> bytes:
    """Return noise of ten bits in sixteen: it deflates to three quarters, which is more than images leave."""
    chance = random.Random(size)  # noqa: S311 - the same each time is the point
    noise = bytearray(size)
    noise[::2] = chance.randbytes(size // 2)
    noise[1::2] = bytes(byte & 3 for byte in chance.randbytes(size // 2))
    return bytes(noise)


@cache
def _flushed(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)
