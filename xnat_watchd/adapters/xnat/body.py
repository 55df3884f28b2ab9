"""The body of an answer, whatever its length: its beginning in memory, the rest in a file without a name.

A server chooses how much it answers. So an answer costs memory only for what is looked at at once.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterator

IN_MEMORY = 1 << 20  #: bytes that are kept in memory
PIECE = 1 << 16  #: bytes that are read at once


class BodyRemainder:
    """What of a body is beyond its beginning. The disk may be full: `OSError`."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as file:  # without a name, for us alone
            self._handle = os.dup(file.fileno())
        self._close = weakref.finalize(self, os.close, self._handle)

    def add(self, piece: bytes) -> None:
        """Append a piece."""
        while piece:
            piece = piece[os.write(self._handle, piece) :]

    def pieces(self) -> Iterator[bytes]:
        """Return all of it from its beginning, a piece at a time."""
        place = 0
        while piece := os.pread(self._handle, PIECE, place):
            place += len(piece)
            yield piece


def split_body(pieces: Iterator[bytes], limit: int) -> tuple[bytes, BodyRemainder | None, bool]:
    """Return the beginning, the rest if there is any, and whether more came than `limit` bytes: that is left out."""
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
