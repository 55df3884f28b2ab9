"""A ZIP on disk as the body of a request."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from xnat_watchd.core.ports import UPLOAD_PIECE, Progressed

PIECE = UPLOAD_PIECE
"""Bytes sent at once. Above 128 KiB the speed no longer rises; the library's 16 KiB cost twice the CPU (F283)."""


class ZipUnreadable(Exception):
    """The disk fails, or the ZIP changes while it is sent.

    This is no OSError on purpose: urllib3 takes every OSError for a connection error, and passes other errors on.
    """


class ZipBody:
    """A request body of known size that is read once and never rewound, so that no library can send it again.

    `sent` counts the bytes that the kernel has taken, in whole pieces. While it is less than `size`, XNAT cannot have
    the complete ZIP.
    """

    def __init__(self, path: str, progressed: Progressed) -> None:
        self.sent = 0
        self._last_piece = 0
        self._progressed = progressed
        self._buffer = memoryview(bytearray(PIECE))
        try:
            self._file = Path(path).open("rb", buffering=0)  # noqa: SIM115 - closed by `__exit__`
            self.size = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise ZipUnreadable(error.strerror or "the disk does not say why") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[memoryview]:
        return iter(self.read, memoryview(b""))

    @property
    def is_sent(self) -> bool:
        """Whether all of it was sent."""
        return self.sent == self.size

    def waiting(self) -> None:
        """Report that nothing is sent yet, because it is not our turn."""
        self._progressed(0, 0)

    def read(self, _: int = -1) -> memoryview:
        """Return the next piece, whatever size was requested. The next call shows that the last piece was sent."""
        self.sent += self._last_piece
        self._progressed(self.sent, self.size)
        try:
            self._last_piece = self._file.readinto(self._buffer)
        except OSError as error:
            raise ZipUnreadable(error.strerror or "the disk does not say why") from None
        if self.sent + self._last_piece > self.size or (not self._last_piece and not self.is_sent):
            raise ZipUnreadable("it changed while it was sent")
        return self._buffer[: self._last_piece]
