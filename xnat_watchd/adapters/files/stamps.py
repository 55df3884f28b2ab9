"""What the file system says about a file. A later write changes this stamp, so the file need not be read again.

A write changes the size or the times of a file, and nobody can set the change time back. Two things can hide a write.
First, a program that has mapped the file writes into memory. On the file systems of `TIMES_SET_BY_MAPPED_WRITES` the
first store to a clean page sets the times, and a later store to the same page does not. So the pages are cleaned
(fsync) before the stamp is taken. Second, times advance in ticks, and two writes within one tick leave the same time.
So a stamp is taken only of a file whose last change is older than a tick.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

from xnat_watchd.adapters.files.mounts import file_system, is_remote

TIMES_SET_BY_MAPPED_WRITES = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs"})
"""File systems that set a file's times at the first store through a mapping (their `page_mkwrite`). tmpfs does not."""

TICKS = 2  #: ticks of the kernel's clock after which a further change gets another time
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
    """Return a stamp that every later write changes. Raise `Changed` if the file is written to all the time."""
    for _ in range(TRIES):
        _wait_for_next_tick(handle)
        before = stamp(handle)
        os.fsync(handle)
        if stamp(handle) == before:
            return before
    raise Changed(errno.EBUSY, "the file is still being written to")


def shows_every_write(path: Path, seen: os.stat_result) -> bool:
    """Return whether every write to this file, which lies in a folder of ours, changes its stamp.

    Where the file system does not ensure that, the file must be ours, and nobody else may be able to open it to write.
    """
    kind = file_system(path)
    private = seen.st_uid == os.geteuid() and not seen.st_mode & OTHERS_MAY_WRITE
    return kind in TIMES_SET_BY_MAPPED_WRITES or (private and not is_remote(kind))


def _written(seen: os.stat_result) -> str:
    """Return the stamp as text: what is the same on every host that sees the file.

    The number of a device may change at the next boot, and a client of a share may number the files itself (mount.cifs,
    `noserverino`). Another file in the place of this one has another change time.
    """
    return f"{seen.st_size}:{seen.st_mtime_ns}:{seen.st_ctime_ns}"


def _wait_for_next_tick(handle: int) -> None:
    """Wait, a few milliseconds at most, until a further change gets another time than the last one."""
    changed = os.fstat(handle).st_ctime_ns
    tick = SECOND if not changed % SECOND else int(time.clock_getres(_COARSE) * SECOND)
    left = changed + TICKS * tick - time.time_ns()
    if 0 < left <= TICKS * tick:  # otherwise the clock was set back, and no later change gets that time
        time.sleep(left / SECOND)
