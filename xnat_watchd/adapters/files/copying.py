"""Copying and comparing files: durably, never through a link, with a call of `beat` for every piece."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from xnat_watchd.adapters.files.named_file import naming
from xnat_watchd.adapters.files.new_files import create_new
from xnat_watchd.adapters.files.stamps import OTHERS_MAY_WRITE, Changed
from xnat_watchd.adapters.files.syncing import sync_folder

PRIVATE = 0o600  #: mode of a copy until it is finished
PIECE = 1 << 20  #: bytes copied or compared at once
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FICLONE = 0x40049409  #: ioctl_ficlonerange(2): two files share their blocks until one of them is written to

Beat = Callable[[], None]  #: renews the heartbeat; raises `Stopped` when the work is to end


def copy(source: Path, target: Path, beat: Beat) -> None:
    """Copy under a temporary name, make the copy durable, compare it, and only then rename it, durably too.

    The copy belongs to us alone. Others may read it if they may read the source, and may not write to it. `source`
    and `target` may be the same path: then the copy replaces the file. An `OSError` about the copy names it.
    """
    part = target.with_name(f".{target.name}.part")
    given = os.open(source, READ)
    try:
        with os.fdopen(create_new(part, PRIVATE), "wb", buffering=0) as written:
            _fill(given, written.fileno(), part, beat)
            with naming(part):
                _set_mode_and_times(os.fstat(given), written.fileno())
                os.fsync(written.fileno())
        with part.open("rb", buffering=0) as written:
            if not _same(given, written.fileno(), beat):
                raise Changed(errno.EBUSY, "the file changed while it was copied")
        part.rename(target)
        sync_folder(target.parent)
    finally:
        os.close(given)
        part.unlink(missing_ok=True)


def same(one: Path, other: Path, beat: Beat) -> bool:
    """Return whether two files hold the same bytes."""
    with one.open("rb", buffering=0) as first, other.open("rb", buffering=0) as second:
        return _same(first.fileno(), second.fileno(), beat)


def digest(path: Path, beat: Beat) -> str:
    """Return the SHA-256 of a file, in hex."""
    sha256 = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        for piece in _pieces(file.fileno(), beat):
            sha256.update(piece)
    return sha256.hexdigest()


def _fill(source: int, target: int, name: Path, beat: Beat) -> None:
    """Write the bytes of one open file into another, or let both share the blocks where the file system can."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:  # another file system, or one that cannot
        for piece in _pieces(source, beat):
            left = memoryview(piece)
            with naming(name):
                while left:
                    left = left[os.write(target, left) :]


def _same(one: int, other: int, beat: Beat) -> bool:
    if os.fstat(one).st_size != os.fstat(other).st_size:
        return False
    return all(a == b for a, b in zip(_pieces(one, beat), _pieces(other, beat), strict=False))


def begins_with(path: Path, other: Path, beat: Beat, least: int) -> bool:
    """Return whether a file begins with all bytes of another one, which has at least `least` bytes."""
    with ExitStack() as opened:
        handles = []
        for one in (path, other):
            handles.append(os.open(one, READ))
            opened.callback(os.close, handles[-1])
        whole, part = map(os.fstat, handles)
        if not stat.S_ISREG(part.st_mode) or not least <= part.st_size <= whole.st_size:
            return False
        return all(a.startswith(b) for a, b in zip(*(_pieces(one, beat) for one in handles), strict=False))


def _pieces(handle: int, beat: Beat) -> Iterator[bytes]:
    at = 0
    while piece := os.pread(handle, PIECE, at):
        beat()
        yield piece
        at += len(piece)


def _set_mode_and_times(seen: os.stat_result, handle: int) -> None:
    """Set the times and the mode of a copy to those of its source, without the right of others to write."""
    os.fchmod(handle, seen.st_mode & 0o777 & ~OTHERS_MAY_WRITE)
    os.utime(handle, ns=(seen.st_atime_ns, seen.st_mtime_ns))
