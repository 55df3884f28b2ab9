"""Archives inside a ZIP, read as a stream: the members of a ZIP, a tar or a packed file, one after the other.

They are read from the first byte on, without the directory at the end. Only if each member follows directly on the
previous one, and nothing is hidden in between, is it certain what an archive does not hold.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Iterator

from xnat_watchd.adapters.dicom.byte_source import Source
from xnat_watchd.adapters.dicom.inflating import (
    DEFLATED,
    STORED,
    Allowance,
    Corrupt,
    Decompressor,
    Exhausted,
    Inflater,
    inflated,
)
from xnat_watchd.adapters.dicom.zip_directory import (
    CENTRAL,
    CENTRAL_MARK,
    ENCRYPTED,
    END,
    END_MARK,
    FULL_32,
    LOCAL,
    LOCAL_MARK,
)

_DESCRIPTOR_MARK, _HAS_DESCRIPTOR = b"PK\7\x08", 0x0008
_BLOCK = 512  #: bytes of a block of a tar
_FILES, _FOLDER, _NOTES = b"0\0007", b"5", b"xgLKV"  #: types of a tar's members; notes precede a member
_LONGEST_NOTE = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_MEMORY = 32 * 1024 * 1024  #: bytes of memory that an xz may ask for
_PACKED = {b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ": "xz"}
_UNSUPPORTED = (b"7z\xbc\xaf\x27\x1c", b"Rar!", b"\x1f\x9d", b"\x1f\xa0", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18")

Member = tuple[bytes, Source]
"""The name of a member and its content. Read the content before you ask for the next member."""


class OpaqueArchive(Exception):
    """It cannot be known what the archive holds."""


def is_archive(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of an archive or a compressed file."""
    return head.startswith((LOCAL_MARK, END_MARK, *_PACKED, *_UNSUPPORTED)) or _is_tar(head)


def archive_members(name: bytes, source: Source, allowance: Allowance) -> Iterator[Member]:
    """Yield the members of an archive. Raise `OpaqueArchive` if any byte of it cannot be explained."""
    head = source.peek(_BLOCK)
    try:
        if head.startswith((LOCAL_MARK, END_MARK)):
            yield from _zip(source, allowance)
        elif _is_tar(head):
            yield from _tar(source)
        elif (mark := next((mark for mark in _PACKED if head.startswith(mark)), None)) is not None:
            yield _without_suffix(name), Source(_unpacked(_PACKED[mark], source, allowance))
        else:
            raise OpaqueArchive
    except (Corrupt, EOFError, Exhausted) as error:
        raise OpaqueArchive from error


def _zip(source: Source, allowance: Allowance) -> Iterator[Member]:
    count = 0
    while source.peek(4) == LOCAL_MARK:
        head = source.read(LOCAL.size)
        if len(head) < LOCAL.size:
            raise OpaqueArchive
        _, _, flags, method, _, _, _, packed, size, name_length, extra_length = LOCAL.unpack(head)
        described = bool(flags & _HAS_DESCRIPTOR)
        if flags & ENCRYPTED or method not in {STORED, DEFLATED} or FULL_32 in (packed, size):
            raise OpaqueArchive
        if method == STORED and described:
            raise OpaqueArchive  # nothing tells where it ends
        name = source.read(name_length)
        source.skip(extra_length)
        pieces = _exactly(source, packed) if method == STORED else _deflated(source, allowance)
        content = Source(pieces)
        yield name, content
        content.drain()
        if described:
            source.skip(16 if source.peek(4) == _DESCRIPTOR_MARK else 12)
        count += 1
    _end_zip(source, count)


def _end_zip(source: Source, count: int) -> None:
    """Raise `OpaqueArchive` unless the directory names `count` members and nothing follows its end."""
    while source.peek(4) == CENTRAL_MARK:
        head = source.read(CENTRAL.size)
        if len(head) < CENTRAL.size or not source.skip(sum(CENTRAL.unpack(head)[10:13])):
            raise OpaqueArchive
        count -= 1
    end = source.read(END.size)
    if count or len(end) < END.size or end[:4] != END_MARK:
        raise OpaqueArchive  # a Zip64, for example
    if not source.skip(END.unpack(end)[7]) or not _is_blank(source):
        raise OpaqueArchive


def _tar(source: Source) -> Iterator[Member]:
    while (head := source.read(_BLOCK)).strip(b"\0"):
        if not _is_tar(head):
            raise OpaqueArchive
        size, kind = _octal(head[124:136]), head[156:157]
        if kind in _FILES:
            content = Source(_exactly(source, size))
            yield head[:100].rstrip(b"\0"), content
            content.drain()
        elif kind in _NOTES and size <= _LONGEST_NOTE:
            note = source.read(size)
            if b"size=" in note or b"GNU.sparse" in note:
                raise OpaqueArchive
        elif kind not in _FOLDER or size:
            raise OpaqueArchive  # a link, or an unknown type
        if not source.skip(-size % _BLOCK):
            raise OpaqueArchive
    if not head or not _is_blank(source):
        raise OpaqueArchive  # it is cut off, or goes on after its end


def _is_tar(head: bytes) -> bool:
    """Return whether a block is the header of a tar member, by its checksum."""
    if len(head) < _BLOCK or not head[0]:
        return False
    try:
        return _octal(head[148:156]) == sum(head[:148]) + 8 * ord(" ") + sum(head[156:_BLOCK])
    except OpaqueArchive:
        return False


def _octal(field: bytes) -> int:
    try:
        return int(field.strip(b"\0 ") or b"0", 8)
    except ValueError as error:
        raise OpaqueArchive from error


def _exactly(source: Source, size: int) -> Iterator[bytes]:
    """Yield the next `size` bytes. Raise `OpaqueArchive` if there are fewer."""
    while size:
        piece = source.read_available(size)
        if not piece:
            raise OpaqueArchive
        size -= len(piece)
        yield piece


def _deflated(source: Source, allowance: Allowance) -> Iterator[bytes]:
    engine = Inflater()
    yield from allowance.counted(inflated(engine, source.pieces()))
    if not engine.eof:
        raise OpaqueArchive
    source.unread(engine.unused_data)


def _unpacked(kind: str, source: Source, allowance: Allowance) -> Iterator[bytes]:
    """Yield the content of a compressed file, which may be several streams in a row."""
    while source.peek(1):
        engine = _engine(kind)
        yield from allowance.counted(inflated(engine, source.pieces()))
        if not engine.eof:
            raise OpaqueArchive
        source.unread(engine.unused_data)
        if not any(source.peek(6).startswith(mark) for mark in _PACKED):
            break
    if not _is_blank(source):
        raise OpaqueArchive


def _is_blank(source: Source) -> bool:
    return not any(piece.strip(b"\0") for piece in source.rest())


def _engine(kind: str) -> Decompressor:
    if kind == "gz":
        return Inflater(_GZIP)
    return bz2.BZ2Decompressor() if kind == "bz2" else lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)


def _without_suffix(name: bytes) -> bytes:
    stem, dot, suffix = name.rpartition(b".")
    if suffix.lower() in {b"tgz", b"tbz", b"tbz2", b"txz"}:
        return stem + b".tar"
    return stem if dot else name
