"""What the system says of a disk of this machine that fails: nobody's trouble but the machine's."""

from __future__ import annotations

import errno

FAILING = frozenset({
    errno.EIO, errno.ESTALE, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENODEV, errno.ENXIO, errno.ETIMEDOUT,
})  # fmt: skip


def is_failing(error: OSError) -> bool:
    """Return whether a disk or a mount fails, is full or takes no writes."""
    return error.errno in FAILING
