"""A small reader of DICOM headers, independent of the program's, so that each can be checked against the other.

It follows DICOM PS3.10 (the file) and PS3.5 (the elements). It reads no value longer than `MAX_VALUE_BYTES` and
stops at the pixels.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import SEEK_CUR, SEEK_END, SEEK_SET, BytesIO
from pathlib import Path
from typing import BinaryIO

from pydicom.charset import decode_bytes, python_encoding

MAX_VALUE_BYTES = 64 * 1024
MAX_DEPTH = 16  # of sequences inside sequences
UNDEFINED = 0xFFFFFFFF
TRANSFER_SYNTAX, PIXELS = 0x00020010, 0x7FE00008
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
LONG_FORM = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
IMPLICIT, BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
PERSON_DELIMITERS = {0x5E, 0x3D, 0x5C}


class UnreadableError(ValueError):
    """The file is not a DICOM object, or not one that this reader understands."""


class NoPreambleError(UnreadableError):
    """The file looks like a data set without preamble and meta header (F76)."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element of the outermost level; `value` is None for a sequence and for a value that is too long to read.

    `start` and `size` are the position and length of the whole element in the file, in bytes. `start` is -1 where the
    element is in no fixed position, as in a deflated data set.
    """

    tag: int
    vr: str
    value: bytes | None
    start: int = -1
    size: int = 0


@dataclass(frozen=True, slots=True)
class _Syntax:
    explicit: bool
    order: str


def elements(path: Path) -> Iterator[Element]:
    """Yield the elements of a DICOM file in order, first the meta header, up to the pixels.

    Raise UnreadableError where the file is not DICOM or is cut off.
    """
    with path.open("rb") as stream:
        _begin(stream)
        uid = IMPLICIT
        for element in _meta(stream):
            if element.tag == TRANSFER_SYNTAX:
                uid = (element.value or b"").decode("ascii", "replace").strip("\0 ")
            yield element
        body = _inflated(stream) if uid == DEFLATED else stream
        yield from _data_set(body, _Syntax(uid != IMPLICIT, ">" if uid == BIG_ENDIAN else "<"))


def _begin(stream: BinaryIO) -> None:
    start = stream.read(132)
    if start[128:] != b"DICM":
        if start[:2] in (b"\x08\x00", b"\x02\x00"):
            raise NoPreambleError("no preamble")
        raise UnreadableError("not DICOM")


def _meta(stream: BinaryIO) -> Iterator[Element]:
    syntax = _Syntax(explicit=True, order="<")
    while True:
        group = stream.read(2)
        stream.seek(-len(group), SEEK_CUR)
        element = _element(stream, syntax) if group == b"\x02\x00" else None
        if element is None:
            return
        yield element


def _data_set(stream: BinaryIO, syntax: _Syntax) -> Iterator[Element]:
    while (element := _element(stream, syntax)) is not None:
        yield element


def _inflated(stream: BinaryIO) -> BinaryIO:
    try:
        return BytesIO(zlib.decompressobj(-15).decompress(stream.read(), 64 * 1024 * 1024))
    except zlib.error as error:
        raise UnreadableError("the deflated data set is damaged") from error


def _element(stream: BinaryIO, syntax: _Syntax) -> Element | None:
    """Return the next element, or None at the end of the file or at the pixels."""
    start = stream.tell()
    head = stream.read(4)
    if not head:
        return None
    tag = _tag(head, syntax)
    if tag >= PIXELS:
        return None
    vr, length = _vr_and_length(stream, syntax)
    if length == UNDEFINED:
        _skip_items(stream, _Syntax(explicit=False, order="<") if vr == "UN" else syntax, 0)
        return Element(tag, "SQ", None)
    if length > MAX_VALUE_BYTES or vr == "SQ":
        _skip(stream, length)
        return Element(tag, vr, None)
    value = _exactly(stream, length)
    return Element(tag, vr, value, -1 if isinstance(stream, BytesIO) else start, stream.tell() - start)


def _tag(head: bytes, syntax: _Syntax) -> int:
    try:
        group, element = struct.unpack(syntax.order + "HH", head)
    except struct.error as error:
        raise UnreadableError("breaks off in a tag") from error
    return int(group) << 16 | int(element)


def _vr_and_length(stream: BinaryIO, syntax: _Syntax) -> tuple[str, int]:
    raw = _exactly(stream, 4)
    if not syntax.explicit:
        return "", int(struct.unpack(syntax.order + "I", raw)[0])
    vr = raw[:2].decode("latin-1")
    if not (vr.isascii() and vr.isalpha() and vr.isupper()):
        raise UnreadableError("no value representation where one belongs")
    if vr in LONG_FORM:
        return vr, int(struct.unpack(syntax.order + "I", _exactly(stream, 4))[0])
    return vr, int(struct.unpack(syntax.order + "H", raw[2:])[0])


def _skip_items(stream: BinaryIO, syntax: _Syntax, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise UnreadableError("sequences too deep")
    while True:
        tag = _tag(stream.read(4), syntax)
        length = int(struct.unpack(syntax.order + "I", _exactly(stream, 4))[0])
        if tag == SEQUENCE_END:
            return
        if tag != ITEM:
            raise UnreadableError("no item where one belongs")
        if length == UNDEFINED:
            _skip_item(stream, syntax, depth)
        else:
            _skip(stream, length)


def _skip_item(stream: BinaryIO, syntax: _Syntax, depth: int) -> None:
    while True:
        tag = _tag(stream.read(4), syntax)
        if tag == ITEM_END:
            _exactly(stream, 4)
            return
        vr, length = _vr_and_length(stream, syntax)
        if length == UNDEFINED:
            _skip_items(stream, _Syntax(explicit=False, order="<") if vr == "UN" else syntax, depth + 1)
        else:
            _skip(stream, length)


def _exactly(stream: BinaryIO, length: int) -> bytes:
    value = stream.read(length)
    if len(value) < length:
        raise UnreadableError("breaks off in a value")
    return value


def _skip(stream: BinaryIO, length: int) -> None:
    here = stream.tell()
    end = stream.seek(0, SEEK_END)
    if here + length > end:
        raise UnreadableError("breaks off in a value")
    stream.seek(here, SEEK_SET)
    stream.seek(length, SEEK_CUR)


def decoded(value: bytes, charset: str) -> str:
    """Return a text value without its padding; bytes that cannot be decoded become the replacement character."""
    names = [name.strip() for name in charset.split("\\")] or [""]
    codecs = [str(python_encoding.get(name, "iso8859")) for name in names]
    raw = value.rstrip(b"\0 ")
    if b"\x1b" not in raw:
        return raw.decode(codecs[0], "replace").strip()
    try:
        return str(decode_bytes(raw, codecs, PERSON_DELIMITERS)).strip()
    except (UnicodeError, LookupError, UserWarning):
        return raw.decode("latin-1")
