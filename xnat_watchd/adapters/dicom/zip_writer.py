"""Writing a ZIP that every reader understands: sizes before the data, simple names, the same bytes each time."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from struct import Struct
from typing import BinaryIO

from xnat_watchd.adapters.dicom.zip_directory import (
    CENTRAL,
    CENTRAL_MARK,
    END,
    END_64,
    END_64_MARK,
    END_MARK,
    FULL_16,
    FULL_32,
    LOCAL,
    LOCAL_MARK,
    LOCATOR_64,
    LOCATOR_64_MARK,
    UNIX,
)

_PLAIN, _WIDE = 20, 45  #: the versions of the format that a reader needs, without and with Zip64
_MIDNIGHT, _NEW_YEAR_1980 = 0, 0x21  #: a fixed time in DOS form, since the time of packing must not change the bytes
_READABLE = 0o100644 << 16
_LOCAL_WIDE = Struct("<HHQQ")
_CENTRAL_WIDE = Struct("<HHQQQ")
_END_64_REST = END_64.size - 12  #: the size that the record states: itself without its first two fields


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """One member to write, with its content packed by `method`. `packed` is an estimate until it is written."""

    name: bytes
    method: int
    crc: int
    size: int
    packed: int


class ZipWriter:
    """Writes members one after the other and then the directory, into a seekable file.

    Zip64 is used from the size or offset `wide_from` on.
    """

    def __init__(self, file: BinaryIO, wide_from: int = FULL_32) -> None:
        self._file = file
        self._wide_from = wide_from
        self._directory = bytearray()
        self._count = 0

    @contextmanager
    def member(self, entry: ZipEntry) -> Iterator[Callable[[bytes], object]]:
        """Write one member. The context yields the function that writes its packed bytes."""
        start = self._file.tell()
        wide = max(entry.packed, entry.size + entry.size // 1024 + 64) >= self._wide_from  # deflating may add to it
        self._file.write(_local(entry, wide=wide))
        data = self._file.tell()
        yield self._file.write
        end = self._file.tell()
        if end - data != entry.packed:
            entry = replace(entry, packed=end - data)
            self._file.seek(start)
            self._file.write(_local(entry, wide=wide))
            self._file.seek(end)
        self._directory += _central(entry, start, wide=wide or start >= self._wide_from)
        self._count += 1

    def finish(self) -> None:
        """Write the directory and the end record."""
        start, size, count = self._file.tell(), len(self._directory), self._count
        self._file.write(self._directory)
        if max(start, size) >= self._wide_from or count >= FULL_16:
            end = start + size
            self._file.write(
                END_64.pack(END_64_MARK, _END_64_REST, UNIX << 8 | _WIDE, _WIDE, 0, 0, count, count, size, start)
            )
            self._file.write(LOCATOR_64.pack(LOCATOR_64_MARK, 0, end, 1))
            start, size, count = FULL_32, FULL_32, FULL_16
        self._file.write(END.pack(END_MARK, 0, 0, count, count, size, start, 0))


def deflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Pack pieces with `DEFLATED`, for speed rather than size."""
    engine = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    for piece in pieces:
        yield engine.compress(piece)
    yield engine.flush()


def _local(entry: ZipEntry, *, wide: bool) -> bytes:
    extra = _LOCAL_WIDE.pack(1, _LOCAL_WIDE.size - 4, entry.size, entry.packed) if wide else b""
    packed, size = (FULL_32, FULL_32) if wide else (entry.packed, entry.size)
    head = LOCAL.pack(
        LOCAL_MARK,
        _WIDE if wide else _PLAIN,
        0,
        entry.method,
        _MIDNIGHT,
        _NEW_YEAR_1980,
        entry.crc,
        packed,
        size,
        len(entry.name),
        len(extra),
    )
    return head + entry.name + extra


def _central(entry: ZipEntry, start: int, *, wide: bool) -> bytes:
    extra = _CENTRAL_WIDE.pack(1, _CENTRAL_WIDE.size - 4, entry.size, entry.packed, start) if wide else b""
    packed, size, place = (FULL_32, FULL_32, FULL_32) if wide else (entry.packed, entry.size, start)
    version = _WIDE if wide else _PLAIN
    head = CENTRAL.pack(
        CENTRAL_MARK,
        UNIX << 8 | version,
        version,
        0,
        entry.method,
        _MIDNIGHT,
        _NEW_YEAR_1980,
        entry.crc,
        packed,
        size,
        len(entry.name),
        len(extra),
        0,
        0,
        0,
        _READABLE,
        place,
    )
    return head + entry.name + extra
