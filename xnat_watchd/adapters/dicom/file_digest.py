"""The SHA-256 of a file, made while it is read for another reason, so that it comes from the disk only once."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from functools import partial
from hashlib import sha256

from xnat_watchd.adapters.dicom.ordered_threads import Beat, OrderedThreads

STEP = 4 * 1024 * 1024  #: bytes, at least, that are digested in one go
_MOST_STEPS = 8  #: that may wait: what was read longer ago may have to come from the disk again
_PIECE = 1024 * 1024  #: bytes that are digested at once


class FollowingDigest:
    """Digests a file from its beginning to its end, beside those who read it. `threads`: one thread, or none."""

    def __init__(self, fd: int, threads: OrderedThreads) -> None:
        self._fd, self._threads = fd, threads
        self._sha256 = sha256()
        self._end = 0  #: of what is digested or waits for it
        self._steps: deque[Callable[[], None]] = deque()

    def follow(self, end: int) -> None:
        """Digest up to about this offset: the file is read so far. Any offset is good, it is no more than a hint."""
        if end - self._end >= STEP:
            self._begin(end)
            if len(self._steps) > _MOST_STEPS:
                self._steps.popleft()()

    def hexdigest(self) -> str:
        """Digest what is left, and return the digest of the whole file."""
        self._begin(max(self._end, os.fstat(self._fd).st_size))
        while self._steps:
            self._steps.popleft()()
        return self._sha256.hexdigest()

    def _begin(self, end: int) -> None:
        self._steps.append(self._threads.begin(partial(self._digest, self._end, end)))
        self._end = end

    def _digest(self, at: int, end: int, beat: Beat) -> None:
        # Until a block of this size has been freed, glibc returns each smaller one to the system, and the threads that
        # inflate get new memory for each piece: a fifth of the time of opening. So the block lives for one step only.
        piece = memoryview(bytearray(_PIECE))
        while at < end and (size := os.preadv(self._fd, [piece[: end - at]], at)):
            self._sha256.update(piece[:size])
            at += size
            beat()
