"""What the file system says of a file: by its stamp a later write is known without reading the file again.

Whoever writes to a file changes its size or its times, and nobody can set the change time back. Two things hide a
write. A program that has the file mapped writes into memory: on the file systems of `TELLING` the first store to a page
that is clean sets the times, and a later one to the same page does not, so a file is cleaned (fsync) before it is
stamped. And times move on in ticks: two writes within one tick leave one time, so a stamp is taken only of a file whose
last change is older than that.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

from xnat_watchd.adapters.files.mounts import file_system, is_remote

TELLING = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs"})
"""File systems that set a file's times at the first store through a mapping (their `page_mkwrite`). tmpfs does not."""

TICKS = 2  #: so many ticks of the kernel's clock ago, a change has a time that the next one cannot have
SECOND = 10**9  #: nanoseconds; the tick of file systems that keep whole seconds
TRIES = 5
OTHERS_MAY_WRITE = 0o022
_COARSE = 5  #: CLOCK_REALTIME_COARSE of clock_gettime(2), from which file times are taken


class Changed(OSError):
    """The file is still being written to: leave it where it is and look again."""


def stamp(handle: int) -> str:
    """Return the stamp of an open file as it is now."""
    return _written(os.fstat(handle))


def stamp_of(path: Path) -> str | None:
    """Return the stamp of the file at this path, links not followed; None where there is no file."""
    try:
        return _written(path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return None


def lasting_stamp(handle: int) -> str:
    """Return a stamp that every write from now on changes; `Changed` where somebody writes all the time."""
    for _ in range(TRIES):
        _let_age(handle)
        before = stamp(handle)
        os.fsync(handle)
        if stamp(handle) == before:
            return before
    raise Changed(errno.EBUSY, "the file is still being written to")


def is_told_of(path: Path, seen: os.stat_result) -> bool:
    """Return whether a write to this file of a folder of ours would show in its stamp, whoever has it open.

    Where the file system does not tell, it must be ours, and nobody else may have been able to open it to write.
    """
    kind = file_system(path)
    private = seen.st_uid == os.geteuid() and not seen.st_mode & OTHERS_MAY_WRITE
    return kind in TELLING or (private and not is_remote(kind))


def _written(seen: os.stat_result) -> str:
    """Write what changes with the file, without the device, whose number another boot may change."""
    return f"{seen.st_ino}:{seen.st_size}:{seen.st_mtime_ns}:{seen.st_ctime_ns}"


def _let_age(handle: int) -> None:
    """Wait, some milliseconds at most, until a further change gets another time than the last one has."""
    changed = os.fstat(handle).st_ctime_ns
    tick = SECOND if not changed % SECOND else int(time.clock_getres(_COARSE) * SECOND)
    left = changed + TICKS * tick - time.time_ns()
    if 0 < left <= TICKS * tick:  # else the clock was set back meanwhile, and no change will have that time
        time.sleep(left / SECOND)
