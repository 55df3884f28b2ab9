"""The ID of a root: a file in the work folder, by which the stations of one ledger know whose ZIPs they can read.

It is written once and never replaced: what was taken under it belongs to it for good.
"""

from __future__ import annotations

import errno
import os
import tempfile
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from xnat_watchd.adapters.files.copying import READ
from xnat_watchd.adapters.files.syncing import sync_folder

ROOT_ID = ".xnat-watchd-root"  #: in the work folder
LENGTH = 36  #: bytes of a UUID as text


def root_id(work: Path, new: Callable[[], uuid.UUID] = uuid.uuid4) -> str:
    """Return the ID of the root whose work folder this is; write a new one where there is none.

    Raise `OSError` if the folder cannot be read or written, or if something else lies in the place of the file.
    """
    path = work / ROOT_ID
    with suppress(FileNotFoundError):
        return _read(path)
    _write(path, str(new()))
    return _read(path)  # another station may have been quicker


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
