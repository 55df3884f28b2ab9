"""Bytes that come in pieces, read forwards only, in constant memory."""

from __future__ import annotations

import os
from collections.abc import Iterator

PIECE = 120 * 1024  #: bytes read from the disk at once; from 128 KiB on the C library maps new memory each time


def read_range(fd: int, start: int, size: int) -> Iterator[bytes]:
    """Yield `size` bytes of an open file from `start` in pieces, or fewer if the file ends before."""
    end = start + size
    while start < end and (piece := os.pread(fd, min(PIECE, end - start), start)):
        start += len(piece)
        yield piece


class Source:
    """A reader over an iterator of pieces, none of them empty."""

    __slots__ = ("_at", "_piece", "_pieces")

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = b""
        self._at = 0

    def peek(self, size: int) -> bytes:
        """Return the next `size` bytes, or what is left of them, without moving on."""
        self._fill(size)
        return self._piece[self._at : self._at + size]

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, or what is left of them."""
        at, end = self._at, self._at + size
        if end <= len(self._piece):
            self._at = end
            return self._piece[at:end]
        found = self.peek(size)
        self._at += len(found)
        return found

    def skip(self, size: int) -> bool:
        """Skip `size` bytes. Return whether there were so many."""
        left = size - (len(self._piece) - self._at)
        if left <= 0:
            self._at += size
            return True
        while piece := next(self._pieces, b""):
            if left <= len(piece):
                self._piece, self._at = piece, left
                return True
            left -= len(piece)
        self._piece, self._at = b"", 0
        return False

    def window(self, at: int | None = None, reach: int = 0) -> tuple[bytes, int]:
        """Move to `at` in the previous window. Return a window with `reach` bytes from there, or what is left.

        The result is the window and the position in it. The first window is asked for without `at`. Raise `EOFError`
        if `at` lies beyond the end. This is for loops that cannot afford a call for each read.
        """
        if at is not None and not self.skip(at - self._at):
            raise EOFError
        self._fill(reach)
        return self._piece, self._at

    def read_available(self, size: int) -> bytes:
        """Return what is in memory of the next `size` bytes: at least one byte, unless the source has ended."""
        return self.read(min(size, max(1, len(self._piece) - self._at)))

    def pieces(self) -> Iterator[bytes]:
        """Yield what is left, piece by piece. What is not asked for stays in the source."""
        while piece := self.read_available(PIECE):
            yield piece

    def unread(self, data: bytes) -> None:
        """Put back the bytes that were read last."""
        self._piece, self._at = data + self._piece[self._at :], 0

    def rest(self) -> Iterator[bytes]:
        """Yield everything that is left, in pieces."""
        piece, self._piece = self._piece[self._at :], b""
        self._at = 0
        if piece:
            yield piece
        yield from self._pieces

    def drain(self) -> None:
        """Read what is left and drop it."""
        self._piece, self._at = b"", 0
        for _ in self._pieces:
            pass

    def _fill(self, size: int) -> None:
        while len(self._piece) - self._at < size and (more := next(self._pieces, b"")):
            self._piece = self._piece[self._at :] + more
            self._at = 0
