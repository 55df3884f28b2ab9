"""Inflating in constant memory: packed pieces in, bounded pieces out, for every method that a ZIP of images has."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from struct import Struct
from types import ModuleType
from typing import Protocol

from xnat_watchd.core.limits import Limits

STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14  #: as ZIP numbers them (APPNOTE 4.4.5)
METHODS = frozenset({STORED, DEFLATED, BZIP2, LZMA})
PIECE = 1024 * 1024  #: at most so many inflated bytes at once

_LARGEST_DICTIONARY = 64 * 1024 * 1024  #: of LZMA; it is taken from memory before the first byte comes
_LZMA_HEAD = Struct("<HHBL")  #: version, length of what follows, properties, dictionary size (APPNOTE 5.8.8)
_LZMA_PROPERTIES = 5  #: what that length must be


def _quickest() -> ModuleType:
    """Return what inflates two to three times as fast as zlib, or zlib itself where there is no such wheel."""
    return import_module("isal.isal_zlib") if find_spec("isal") else zlib


deflate = _quickest()


def crc32(data: bytes, value: int) -> int:
    """Return the CRC-32 of what has this one, continued by more bytes."""
    checksum: int = deflate.crc32(data, value)
    return checksum


class Corrupt(Exception):
    """The packed bytes cannot be inflated."""


class Decompressor(Protocol):
    """How `bz2` and `lzma` inflate; the others are fitted to it."""

    @property
    def eof(self) -> bool:
        """Whether the stream has come to its own end."""

    @property
    def unused_data(self) -> bytes:
        """What came after that end."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Take packed bytes, give inflated ones; what exceeds `max_length` comes at the next call with no bytes."""


class Exhausted(Exception):
    """More would be inflated than a ZIP of such a size is good for."""


class Allowance:
    """How much one ZIP may make us inflate in all, whatever lies inside of what; it beats as it counts."""

    def __init__(self, limits: Limits, packed: int, beat: Callable[[], object] = bool) -> None:
        self._limits, self._packed, self._beat = limits, packed, beat
        self._spent = 0

    def counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Pass pieces on; raises `Exhausted` when it is too much."""
        for piece in pieces:
            self._beat()
            self._spent += len(piece)
            if self._spent > self._limits.total or self._limits.too_dense(self._packed, self._spent):
                raise Exhausted
            yield piece


def unpacked(method: int, packed: Iterator[bytes]) -> Iterator[bytes]:
    """Iterate over the content of packed pieces.

    Raises `Corrupt` where they are damaged, and where the stream does not end with them.
    """
    if method == STORED:
        yield from packed
        return
    engine = _engine(method)
    yield from inflated(engine, packed)
    marked = method != LZMA  # how an LZMA stream ends is told by size and checksum alone
    if engine.unused_data or next(packed, b"") or (marked and not engine.eof):
        raise Corrupt


def inflated(engine: Decompressor, packed: Iterator[bytes]) -> Iterator[bytes]:
    """Inflate up to the end of the pieces or of the stream, whichever comes first; raises `Corrupt`."""
    for chunk in packed:
        piece = _decompress(engine, chunk)
        while piece:
            yield piece
            piece = b"" if engine.eof else _decompress(engine, b"")
        if engine.eof:
            return


def _decompress(engine: Decompressor, chunk: bytes) -> bytes:
    try:
        return engine.decompress(chunk, PIECE)
    except (deflate.error, lzma.LZMAError, OSError, EOFError) as error:  # OSError is what bz2 calls bad data
        raise Corrupt from error


def _engine(method: int) -> Decompressor:
    if method == DEFLATED:
        return Inflater()
    return bz2.BZ2Decompressor() if method == BZIP2 else LzmaInflater()


class Inflater:
    """Deflate with the manners of `bz2`: what did not fit is kept inside. `bits`: raw, or as gzip wraps it."""

    def __init__(self, bits: int = -zlib.MAX_WBITS) -> None:
        self._engine: zlib._Decompress = deflate.decompressobj(bits)

    @property
    def eof(self) -> bool:
        """Whether the stream has come to its own end."""
        return self._engine.eof

    @property
    def unused_data(self) -> bytes:
        """What came after that end."""
        return self._engine.unused_data

    def decompress(self, data: bytes, max_length: int = 0) -> bytes:
        """Take packed bytes, give inflated ones; what exceeds `max_length` comes at the next call with no bytes."""
        return self._engine.decompress(data or self._engine.unconsumed_tail, max_length)


class LzmaInflater:
    """LZMA as ZIP has it: with a head of its own."""

    def __init__(self) -> None:
        self._head = b""
        self._engine: lzma.LZMADecompressor | None = None

    @property
    def eof(self) -> bool:
        """Whether the stream has come to its own end, if it has a mark there."""
        return self._engine is not None and self._engine.eof

    @property
    def unused_data(self) -> bytes:
        """What came after that end."""
        return self._engine.unused_data if self._engine else b""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Take packed bytes, give inflated ones; what exceeds `max_length` comes at the next call with no bytes."""
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
