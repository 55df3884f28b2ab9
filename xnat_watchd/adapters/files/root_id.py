"""The ID of a root: a file in the work folder, by which the stations of one ledger know whose ZIPs they can read.

It is written once and never replaced: what was taken under it belongs to it for good.
"""

from __future__ import annotations

import errno
import os
import re
import tempfile
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from xnat_watchd.adapters.files.copying import READ
from xnat_watchd.adapters.files.layout import Folders
from xnat_watchd.adapters.files.syncing import sync_folder

ROOT_ID = ".xnat-watchd-root"  #: in the work folder
LENGTH = 36  #: bytes of a UUID as text
_TAKEN = re.compile(r"\d+(_.*|\.zip)", re.DOTALL)  #: names of ZIPs in work, done and failed


def root_id(work: Path, new: Callable[[], uuid.UUID] = uuid.uuid4) -> str:
    """Return the ID of the root whose work folder this is; write a new one where there is none.

    Raise `OSError` if the folder cannot be read or written, or if something else lies in the place of the file.
    """
    path = work / ROOT_ID
    with suppress(FileNotFoundError):
        return _read(path)
    _write(path, str(new()))
    return _read(path)  # another station may have been quicker


def known_root(work: Path) -> str:
    """Return the ID of the root whose work folder this is; nothing if it has none yet, or it cannot be read."""
    with suppress(OSError):
        return _read(work / ROOT_ID)
    return ""


def worked_root(folders: Folders) -> str:
    """Return the ID of a root whose folders hold ZIPs that were taken; nothing if it has none yet, or no such ZIP.

    Where a folder cannot be read, nothing is concluded from it.
    """
    known = known_root(folders.work)
    return known if known and any(map(_holds_taken, (folders.work, folders.failed, folders.done))) else ""


def _holds_taken(folder: Path) -> bool:
    with suppress(OSError):
        return any(_TAKEN.match(name) for _, _, names in os.walk(folder) for name in names)
    return False


def _read(path: Path) -> str:
    handle = os.open(path, READ)
    try:
        written = os.read(handle, LENGTH + 1).decode("ascii", "replace")
    finally:
        os.close(handle)
    try:
        return str(uuid.UUID(written))
    except ValueError:
        raise OSError(errno.EINVAL, "the ID of the root is none", str(path)) from None


def _write(path: Path, written: str) -> None:
    """Write the file under another name, and give it its own only if nothing has that."""
    handle, part = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)  # for us alone
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(written)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(part, path)
        sync_folder(path.parent)
    finally:
        Path(part).unlink(missing_ok=True)
