"""Which system errors mean that a disk of this machine fails: that is the machine's trouble, not a study's."""

from __future__ import annotations

import errno

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
FAILING = frozenset({
    errno.EIO, errno.ESTALE, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENODEV, errno.ENXIO, errno.ETIMEDOUT,
})  # fmt: skip


def is_failing(error: OSError) -> bool:
    """Return whether a disk or a mount fails, is full or is read-only."""
    return error.errno in FAILING
