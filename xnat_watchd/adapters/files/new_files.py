"""Creating files that are new. Nothing that somebody put there before, such as a link, is ever written through."""

from __future__ import annotations

import os
from pathlib import Path


def create_new(path: Path, mode: int) -> int:
    """Remove what lies at the path, create a file with at most this mode, and return its handle to write."""
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)


def publish(path: Path, content: bytes, mode: int, *, masked: bool = True) -> None:
    """Replace what lies at the path, so that a reader sees the old content or the new one, never a part.

    It is not written through to the disk: after a power cut it is made anew. Unless the mode is `masked` by the
    process's umask, the file has just this mode.
    """
    part = path.with_name(f".{path.name}.part")
    with os.fdopen(create_new(part, mode), "wb") as file:
        if not masked:
            os.fchmod(file.fileno(), mode)
        file.write(content)
    part.replace(path)
