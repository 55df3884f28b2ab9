"""Creating files that are new. Nothing that somebody put there before, such as a link, is ever written through."""

from __future__ import annotations

import os
from pathlib import Path


def create_new(path: Path, mode: int) -> int:
    """Remove what lies at the path, create a file with at most this mode, and return its handle to write."""
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
