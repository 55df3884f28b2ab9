"""The body of an answer of any length: its beginning in memory, the rest in a temporary file without a name.

The server chooses how long an answer is, so the memory that an answer takes must not depend on its length.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterator

IN_MEMORY = 1 << 20  #: bytes that are kept in memory
PIECE = 1 << 16  #: bytes that are read at once


class BodyRemainder:
    """The part of a body that is not in memory. Raises `OSError` if the disk is full."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as file:  # no name: nobody else can open it
            self._handle = os.dup(file.fileno())
        self._close = weakref.finalize(self, os.close, self._handle)

    def add(self, piece: bytes) -> None:
        """Append a piece."""
        while piece:
            piece = piece[os.write(self._handle, piece) :]

    def pieces(self) -> Iterator[bytes]:
        """Yield all of it from its beginning, piece by piece."""
        place = 0
        while piece := os.pread(self._handle, PIECE, place):
            place += len(piece)
            yield piece


def split_body(pieces: Iterator[bytes], limit: int) -> tuple[bytes, BodyRemainder | None, bool]:
    """Return the beginning, the rest if there is one, and whether the body was cut after `limit` bytes."""
    beginning, rest, size = bytearray(), None, 0
    for piece in pieces:
        size += len(piece)
        wanted = piece[: len(piece) - max(size - limit, 0)]
        space = IN_MEMORY - len(beginning)
        beginning += wanted[:space]
        if len(wanted) > space:
            rest = rest or BodyRemainder()
            rest.add(wanted[space:])
        if size > limit:
            break
    return bytes(beginning), rest, size > limit
