"""DICOM and ZIPs written byte by byte, for what no library would write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from xnat_watchd.sandbox.samples import BIG_ENDIAN, EXPLICIT, IMPLICIT

LONG_FORM = frozenset({"OB", "OW", "SQ", "UN", "UT"})
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXELS = 0x7FE00010
MR = "1.2.840.10008.5.1.4.1.1.4"


def element(tag: int, vr: str, value: bytes, *, syntax: str = EXPLICIT, length: int | None = None) -> bytes:
    """Return one element; `length` is the length that it declares, if that is to be wrong."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    said = len(value) if length is None else length
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT or tag >> 16 == 0xFFFE:
        return head + struct.pack(order + "L", said) + value
    if vr in LONG_FORM:
        return head + vr.encode() + struct.pack(order + "HL", 0, said) + value
    return head + vr.encode() + struct.pack(order + "H", said) + value


def identity(*, sop: str = "1.2.3.4", study: str = "1.2", series: str = "1.2.3", syntax: str = EXPLICIT) -> bytes:
    """Return the elements that every instance has, up to (0020,000E)."""

    def text(tag: int, vr: str, value: str) -> bytes:
        return element(tag, vr, (value + "\0" * (len(value) % 2)).encode(), syntax=syntax)

    return (
        text(0x00080016, "UI", MR)
        + text(0x00080018, "UI", sop)
        + text(0x00080060, "CS", "MR")
        + text(0x0020000D, "UI", study)
        + text(0x0020000E, "UI", series)
    )


def pixels(size: int = 64, *, syntax: str = EXPLICIT, length: int | None = None) -> bytes:
    return element(PIXELS, "OW", b"\7" * size, syntax=syntax, length=length)


def file_of(data_set: bytes, *, syntax: str = EXPLICIT, preamble: bytes = bytes(128)) -> bytes:
    """Return a file: preamble, meta header, and the data set as it is."""
    uid = (syntax + "\0" * (len(syntax) % 2)).encode()
    return preamble + b"DICM" + element(0x00020010, "UI", uid) + data_set


def instance(number: int = 1, *, study: str = "1.2", series: str = "1.2.3", more: bytes = b"", size: int = 64) -> bytes:
    """Return a small sound instance with SOP Instance UID `1.2.3.<number>`."""
    return file_of(identity(sop=f"1.2.3.{number}", study=study, series=series) + more + pixels(size))


@dataclass(frozen=True)
class Part:
    """One member; what is None follows from the content."""

    name: bytes
    content: bytes
    method: int = 8
    flags: int = 0
    packed: bytes | None = None
    crc: int | None = None
    size: int | None = None
    local_name: bytes | None = None
    local_extra: bytes = b""
    descriptor: bytes | None = None  #: follows the data; sizes in the local header are then 0
    mode: int = 0o100644
    start: int | None = None
    gap: bytes = b""  #: stands before it


def zip_of(
    parts: Iterable[Part], *, before: bytes = b"", behind: bytes = b"", comment: bytes = b"", disk: int = 0
) -> bytes:
    """Return a ZIP. Offsets count from its own first byte, so `before` is a stub; `behind` follows the members."""
    body, directory, count = bytearray(), bytearray(), 0
    for part in parts:
        packed = _packed(part)
        crc = zlib.crc32(part.content) if part.crc is None else part.crc
        size = len(part.content) if part.size is None else part.size
        body += part.gap
        start = len(body) if part.start is None else part.start
        body += _local(part, crc, len(packed), size) + packed + (part.descriptor or b"")
        directory += struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", 0x0314, 20, part.flags, part.method, 0, 0x21, crc, len(packed), size,
            len(part.name), 0, 0, 0, 0, part.mode << 16, start,
        ) + part.name  # fmt: skip
        count += 1
    body += behind
    end = struct.pack(
        "<4s4H2LH", b"PK\5\6", disk, disk, count & 0xFFFF, count & 0xFFFF, len(directory), len(body), len(comment)
    )
    return before + bytes(body + directory) + end + comment


def deflated(content: bytes) -> bytes:
    engine = zlib.compressobj(6, zlib.DEFLATED, -15)
    return engine.compress(content) + engine.flush()


def descriptor(content: bytes, *, mark: bool = True, method: int = 8) -> bytes:
    """Return the data descriptor of a member that is written as a stream."""
    packed = deflated(content) if method else content
    return b"PK\7\x08" * mark + struct.pack("<LLL", zlib.crc32(content), len(packed), len(content))


def local_of(part: Part) -> bytes:
    """Return a member as a stream shows it, with nothing about it in any directory."""
    packed = _packed(part)
    return _local(part, zlib.crc32(part.content), len(packed), len(part.content)) + packed


def _packed(part: Part) -> bytes:
    if part.packed is not None:
        return part.packed
    return deflated(part.content) if part.method == 8 else part.content


def _local(part: Part, crc: int, packed: int, size: int) -> bytes:
    name = part.name if part.local_name is None else part.local_name
    if part.descriptor is not None:
        crc = packed = size = 0
    head = struct.pack(
        "<4s5H3L2H", b"PK\3\4", 20, part.flags, part.method, 0, 0x21, crc, packed, size, len(name),
        len(part.local_extra),
    )  # fmt: skip
    return head + name + part.local_extra
