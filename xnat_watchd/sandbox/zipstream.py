"""Reading a ZIP as a stream by its local headers only, as the Java reader in XNAT does (F153).

So a ZIP without a central directory is complete, a ZIP that breaks off yields its members up to there, and other bytes
yield none.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

PIECE = 1024 * 1024
LOCAL, DESCRIPTOR = b"PK\x03\x04", b"PK\x07\x08"
STORED, INFLATED = 0, 8
ENCRYPTED, TRAILING, UTF8 = 0x1, 0x8, 0x800
ZIP64_EXTRA = 0x0001
FULL = 0xFFFFFFFF
HEAD, CRC, EXTRA = struct.Struct("<HHHHHIIIHH"), struct.Struct("<I"), struct.Struct("<HH")


class BrokenZipError(ValueError):
    """The stream is not a valid ZIP from the middle of an entry on."""


class _ByteSource:
    """Bytes from a reader, some of which can be pushed back to be read again."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._kept = b""

    def read_some(self, limit: int) -> bytes:
        if self._kept:
            piece, self._kept = self._kept[:limit], self._kept[limit:]
            return piece
        return self._read(limit)

    def read_exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            piece = self.read_some(size - len(parts))
            if not piece:
                break
            parts += piece
        return bytes(parts)

    def push_back(self, data: bytes) -> None:
        self._kept = data + self._kept


class PieceReader:
    """A stream over pieces of any size, by which a ZIP inside a ZIP is read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._kept = b""

    def read(self, limit: int) -> bytes:
        """Return up to `limit` bytes, none at the end."""
        while not self._kept:
            self._kept = next(self._pieces, b"")
            if not self._kept:
                return b""
        piece, self._kept = self._kept[:limit], self._kept[limit:]
        return piece

    def drain(self) -> None:
        """Read and drop the remaining bytes."""
        while self.read(PIECE):
            pass


class StreamEntry:
    """One member: its name as written, and its content in pieces, which must be read before the next member."""

    def __init__(self, name: str, flags: int, method: int, sizes: tuple[int, int, int], source: _ByteSource) -> None:
        self.name = name
        self._flags, self._method, self._source = flags, method, source
        self._crc, self._packed, self._size = sizes

    @property
    def is_folder(self) -> bool:
        """Whether the member is a folder."""
        return self.name.endswith("/")

    def pieces(self) -> Iterator[bytes]:
        """Return the content in pieces; raise BrokenZipError where it is damaged or its CRC is wrong."""
        if self._flags & ENCRYPTED:
            raise BrokenZipError("encrypted ZIP entry not supported")
        if self._method == STORED:
            return self._stored()
        if self._method == INFLATED:
            return self._inflated()
        raise BrokenZipError("invalid compression method")

    def _stored(self) -> Iterator[bytes]:
        if self._flags & TRAILING:
            raise BrokenZipError("only DEFLATED entries can have EXT descriptor")
        crc, left = 0, self._packed
        while left:
            piece = self._source.read_some(min(left, PIECE))
            if not piece:
                raise BrokenZipError("unexpected end of ZLIB input stream")
            crc, left = zlib.crc32(piece, crc), left - len(piece)
            yield piece
        self._check(crc, self._crc)

    def _inflated(self) -> Iterator[bytes]:
        engine, crc, size = zlib.decompressobj(-15), 0, 0
        while not engine.eof:
            packed = engine.unconsumed_tail or self._source.read_some(PIECE)
            if not packed:
                raise BrokenZipError("unexpected end of ZLIB input stream")
            try:
                piece = engine.decompress(packed, PIECE)
            except zlib.error as error:
                raise BrokenZipError(str(error)) from error
            crc, size = zlib.crc32(piece, crc), size + len(piece)
            yield piece
        self._source.push_back(engine.unused_data)
        self._check(crc, self._descriptor(size) if self._flags & TRAILING else self._crc)

    def _descriptor(self, size: int) -> int:
        """Return the CRC that follows an entry of unknown size; its signature is optional."""
        start = self._source.read_exactly(4)
        crc = self._source.read_exactly(4) if start == DESCRIPTOR else start
        self._source.read_exactly(16 if size > FULL else 8)
        if len(crc) < CRC.size:
            raise BrokenZipError("unexpected end of ZLIB input stream")
        return int(CRC.unpack(crc)[0])

    @staticmethod
    def _check(found: int, said: int) -> None:
        if found != said:
            raise BrokenZipError("invalid entry CRC")


def entries(read: Callable[[int], bytes]) -> Iterator[StreamEntry]:
    """Yield the members in the order of the stream; each must be read to its end before the next.

    End in silence at the first bytes that are not a member. Raise BrokenZipError where a header is cut off.
    """
    source = _ByteSource(read)
    while source.read_exactly(4) == LOCAL:
        yield _entry(source)


def _entry(source: _ByteSource) -> StreamEntry:
    head = source.read_exactly(HEAD.size)
    if len(head) < HEAD.size:
        raise BrokenZipError("unexpected end of header")
    _, flags, method, _, _, crc, packed, size, name_size, extra_size = HEAD.unpack(head)
    raw, extra = source.read_exactly(name_size), source.read_exactly(extra_size)
    if len(extra) < extra_size:
        raise BrokenZipError("unexpected end of header")
    name = raw.decode("utf-8" if flags & UTF8 else "cp437", "replace")
    packed, size = _zip64(extra, packed, size)
    return StreamEntry(name, flags, method, (crc, packed, size), source)


def _zip64(extra: bytes, packed: int, size: int) -> tuple[int, int]:
    """Return the packed and the full size, which ZIP64 stores in an extra field."""
    while len(extra) >= EXTRA.size:
        kind, length = EXTRA.unpack_from(extra)
        field, extra = extra[EXTRA.size : EXTRA.size + length], extra[EXTRA.size + length :]
        if kind == ZIP64_EXTRA:
            values = [int(value[0]) for value in struct.iter_unpack("<Q", field[: len(field) // 8 * 8])]
            size = values.pop(0) if size == FULL and values else size
            packed = values.pop(0) if packed == FULL and values else packed
    return packed, size
