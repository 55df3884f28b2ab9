"""Which file system a folder lies on, and whether other machines may write there without our kernel knowing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
REMOTE = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "9p", "virtiofs", "vboxsf", "prl_fs", "afs", "coda"),
        *("ceph", "lustre", "beegfs", "gpfs", "gfs2", "ocfs2", "pvfs2", "orangefs", "autofs"),
    }
)
"""File systems where another machine may write without our kernel knowing (proc_pid_mountinfo(5), field 9)."""


def is_remote(kind: str) -> bool:
    """Return whether other machines may write to this kind of file system unseen. `fuseblk` is a local disk."""
    return kind in REMOTE or kind == "fuse" or kind.startswith("fuse.")


def file_system(folder: Path, mounts: Path = MOUNTS) -> str:
    """Return the kind of file system that holds the folder, such as `ext4` or `nfs4`, or "" if it is not known."""
    try:
        lines = mounts.read_bytes().splitlines()
    except OSError:
        return ""
    real = Path(os.path.realpath(folder))
    above = [(len(point.parts), kind) for point, kind in _mounts(lines) if real.is_relative_to(point)]
    # Of two mounts on one point, the later one hides the earlier one.
    return max(reversed(above), key=lambda mount: mount[0], default=(0, ""))[1]


_MOUNT = re.compile(rb"(?:\S+ ){4}(\S+) .*? - (\S+) ")  # 36 35 98:0 /root /point options [tags] - kind ...


def _mounts(lines: Iterable[bytes]) -> Iterator[tuple[Path, str]]:
    """Yield mount points and kinds. Blanks in them are written as octal escapes."""
    for line in lines:
        if found := _MOUNT.match(line):
            point = re.sub(rb"\\([0-3][0-7]{2})", lambda octal: bytes([int(octal[1], 8)]), found[1])
            yield Path(os.fsdecode(point)), os.fsdecode(found[2])
