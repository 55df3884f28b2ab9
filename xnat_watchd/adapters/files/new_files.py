"""Files that are new: what others put under such a name beforehand, a link above all, is never written through."""

from __future__ import annotations

import os
from pathlib import Path


def fresh(path: Path, mode: int) -> int:
    """Make a file in the place of what lies there, with this mode at most, and give its handle to write."""
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
