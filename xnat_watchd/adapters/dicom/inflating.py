"""Inflating in constant memory: packed pieces in, bounded pieces out, for every method that ZIPs of images use."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from struct import Struct
from typing import NamedTuple, Protocol

from xnat_watchd.adapters.dicom.byte_source import Source
from xnat_watchd.core.limits import Limits

STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14  #: the numbers of the methods in ZIP (APPNOTE 4.4.5)
METHODS = frozenset({STORED, DEFLATED, BZIP2, LZMA})
PIECE = 96 * 1024  #: the largest number of inflated bytes at once; where damage begins, all of a piece is lost
LARGE_PIECE = 256 * 1024  #: the same of Deflate without damage; a thread that asks seldom waits seldom for the others

_LARGEST_DICTIONARY = 64 * 1024 * 1024  #: of LZMA; its memory is allocated before the first byte comes
_LZMA_HEAD = Struct("<HHBL")  #: version, length of what follows, properties, dictionary size (APPNOTE 5.8.8)
_LZMA_PROPERTIES = 5  #: the only valid value of that length


class Corrupt(Exception):
    """The packed bytes cannot be inflated."""


class Decompressor(Protocol):
    """The interface by which `bz2` and `lzma` inflate. The other methods are adapted to it."""

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""

    @property
    def unused_data(self) -> bytes:
        """The bytes after the end of the stream."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Return inflated bytes. What exceeds `max_length` is returned by the next call, made with no bytes."""


class Exhausted(Exception):
    """More would be inflated than a ZIP of this size may contain."""


class Early(Exception):
    """What is inflated must be counted, and the members in front of it have not been counted yet."""


class Allowance:
    """How many bytes one ZIP may make us inflate in all, however deeply nested. It calls `beat` as it counts."""

    def __init__(self, limits: Limits, packed: int, beat: Callable[[], object] = bool) -> None:
        self._limits, self._packed, self._beat = limits, packed, beat
        self._spent = 0

    def counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the pieces. Raise `Exhausted` if they are too much."""
        for piece in pieces:
            self._beat()
            self._spent += len(piece)
            if self._spent > self._limits.total or self._limits.too_dense(self._packed, self._spent):
                raise Exhausted
            yield piece


class UncountedAllowance(Allowance):
    """The allowance of a member that is read before those in front of it: nothing of it may be counted yet."""

    def __init__(self) -> None:
        super().__init__(Limits(), 0)

    def counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:  # noqa: ARG002 - none of them is wanted
        """Raise `Early`."""
        raise Early


def unpacked(method: int, packed: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
    """Yield the content of packed pieces, which `packed` returns from the first one on as often as it is called.

    Raise `Corrupt` where they are damaged, or if the stream does not end with them. Where Deflate is damaged, zlib
    decides from which byte on, piece by piece. The quicker library looks further ahead, and keeps what is sound before.
    """
    if method == STORED:
        yield from packed()
    elif method == DEFLATED:
        yielded = 0
        try:
            for piece in _whole_stream(deflate.inflater(), packed(), size=LARGE_PIECE):
                yielded += len(piece)
                yield piece
        except Corrupt:
            again = Source(_whole_stream(Inflater(), packed()))
            again.skip(yielded)
            yield from again.rest()
    else:
        marked = method != LZMA  # only size and checksum tell where an LZMA stream ends
        engine = bz2.BZ2Decompressor() if method == BZIP2 else LzmaInflater()
        yield from _whole_stream(engine, packed(), marked=marked)


def _whole_stream(
    engine: Decompressor, packed: Iterator[bytes], *, marked: bool = True, size: int = PIECE
) -> Iterator[bytes]:
    yield from inflated(engine, packed, size)
    if engine.unused_data or next(packed, b"") or (marked and not engine.eof):
        raise Corrupt


def inflated(engine: Decompressor, packed: Iterator[bytes], size: int = PIECE) -> Iterator[bytes]:
    """Inflate up to the end of the pieces or of the stream, whichever comes first. Raise `Corrupt` if it fails.

    `size`: the largest number of bytes at once.
    """
    for chunk in packed:
        piece = _decompress(engine, chunk, size)
        while piece:
            yield piece
            piece = b"" if engine.eof else _decompress(engine, b"", size)
        if engine.eof:
            return


def _decompress(engine: Decompressor, chunk: bytes, size: int) -> bytes:
    try:
        return engine.decompress(chunk, size)
    except (
        deflate.error,
        zlib.error,
        lzma.LZMAError,
        OSError,
        EOFError,
    ) as error:  # OSError is what bz2 calls bad data
        raise Corrupt from error


class Inflater:
    """zlib with the interface of `bz2`: it keeps what did not fit. `bits`: for raw Deflate, or for gzip."""

    def __init__(self, bits: int = -zlib.MAX_WBITS) -> None:
        self._engine = zlib.decompressobj(bits)

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""
        return self._engine.eof

    @property
    def unused_data(self) -> bytes:
        """The bytes after the end of the stream."""
        return self._engine.unused_data

    def decompress(self, data: bytes, max_length: int = 0) -> bytes:
        """Return inflated bytes. What exceeds `max_length` is returned by the next call, made with no bytes."""
        return self._engine.decompress(data or self._engine.unconsumed_tail, max_length)


class LzmaInflater:
    """LZMA as ZIP stores it: with a header of its own."""

    def __init__(self) -> None:
        self._head = b""
        self._engine: lzma.LZMADecompressor | None = None

    @property
    def eof(self) -> bool:
        """Whether the stream has reached its end mark, if it has one."""
        return self._engine is not None and self._engine.eof

    @property
    def unused_data(self) -> bytes:
        """The bytes after the end of the stream."""
        return self._engine.unused_data if self._engine else b""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Return inflated bytes. What exceeds `max_length` is returned by the next call, made with no bytes."""
        if self._engine is None:
            self._head += data
            if len(self._head) < _LZMA_HEAD.size:
                return b""
            self._engine, data = _lzma_engine(self._head), self._head[_LZMA_HEAD.size :]
        return self._engine.decompress(data, max_length)


def _lzma_engine(head: bytes) -> lzma.LZMADecompressor:
    _, length, properties, dictionary = _LZMA_HEAD.unpack_from(head)
    rest, literal_context = divmod(properties, 9)
    position, literal_position = divmod(rest, 5)
    if length != _LZMA_PROPERTIES or dictionary > _LARGEST_DICTIONARY:
        raise Corrupt
    coding = {"lc": literal_context, "lp": literal_position, "pb": position, "dict_size": max(dictionary, 4096)}
    try:
        return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA1, **coding}])
    except (lzma.LZMAError, ValueError) as error:
        raise Corrupt from error


class Library(NamedTuple):
    """A library for Deflate."""

    inflater: Callable[[], Decompressor]
    crc32: Callable[[bytes, int], int]
    error: type[Exception]  #: what its inflater raises


ZLIB = Library(Inflater, zlib.crc32, zlib.error)


def _quickest() -> Library:
    """Return isal, which inflates about twice as fast as zlib, or zlib if isal is not installed."""
    if not find_spec("isal"):
        return ZLIB
    igzip = import_module("isal.igzip_lib")
    return Library(igzip.IgzipDecompressor, import_module("isal.isal_zlib").crc32, igzip.error)


deflate = _quickest()


def crc32(data: bytes, value: int) -> int:
    """Return the CRC-32 of bytes with the CRC-32 `value` followed by `data`."""
    return deflate.crc32(data, value)
