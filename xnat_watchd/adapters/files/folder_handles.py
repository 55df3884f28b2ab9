"""Folders that are used through a handle, so that renaming them in the meantime cannot redirect us.

Whoever may drop files may also rename the folders in the drop folder and put links in their places. So such a folder
is opened once, without following a link, and everything in it is done through the handle.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

OURS = 0o750  #: mode of a folder that we make, regardless of the umask
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_IN_THE_WAY = frozenset({errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM})


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents, for us and our group regardless of the umask."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    folder.chmod(OURS | (folder.stat().st_mode & 0o2000))  # keep the setgid bit that the parent passed on


@contextmanager
def pinned(folder: Path, below: str, *, make: bool = False) -> Iterator[Path]:
    """Yield a path to a file below `folder` that goes through a handle. It is valid inside the `with` block.

    Raise `OSError` if there is a link below `folder`. With `make`, missing folders are made, and a link or a folder
    that is closed to us is renamed out of the way.
    """
    path = PurePosixPath(below)
    try:
        handle = _opened(folder, path.parts[:-1], make=make)
    except OSError as error:
        if not make or error.errno not in _IN_THE_WAY or len(path.parts) == 1:
            raise
        _set_aside(folder, path.parts[0])
        handle = _opened(folder, path.parts[:-1], make=True)
    try:
        yield Path(f"/proc/self/fd/{handle}", path.name)
    finally:
        os.close(handle)


def _opened(folder: Path, names: tuple[str, ...], *, make: bool) -> int:
    handle = os.open(folder, FOLDER)
    for name in names:
        try:
            if make:
                _made(name, handle)
            inner = os.open(name, FOLDER | os.O_NOFOLLOW, dir_fd=handle)
        finally:
            os.close(handle)
        handle = inner
    if make and not os.access(f"/proc/self/fd/{handle}", os.W_OK | os.X_OK):
        os.close(handle)
        raise PermissionError(errno.EACCES, "nothing may be put into the folder")
    return handle


def _made(name: str, within: int) -> None:
    try:
        os.mkdir(name, dir_fd=within)
    except FileExistsError:
        return


def _set_aside(folder: Path, name: str) -> None:
    free, number = name, 1
    while os.path.lexists(folder / free):
        number += 1
        free = f"{name}-{number}"
    (folder / name).rename(folder / free)
