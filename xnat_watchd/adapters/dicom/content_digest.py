"""The SHA-256 of a content that comes in pieces. Another thread makes that of a long one, while more is inflated."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from types import TracebackType
from typing import Self

LONG = 16 * 1024 * 1024  #: bytes from which a thread is worth its while
_MOST_WAITING = 2  #: pieces that are kept in memory for it


class ContentDigest:
    """Digests pieces in their order. A thread that does so ends with the context. `size`: bytes that are expected."""

    def __init__(self, size: int) -> None:
        self._sha256 = sha256()
        self._thread = ThreadPoolExecutor(1, "digest") if size >= LONG else None
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Drop what still waits, and wait for the thread to end."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

    def update(self, piece: bytes) -> None:
        """Digest the next piece, which is not changed after this."""
        if self._thread is None:
            self._sha256.update(piece)
            return
        self._waiting.append(self._thread.submit(self._sha256.update, piece))
        if len(self._waiting) > _MOST_WAITING:
            self._waiting.popleft().result()

    def digest(self) -> bytes:
        """Return the digest of all pieces."""
        while self._waiting:
            self._waiting.popleft().result()
        return self._sha256.digest()
