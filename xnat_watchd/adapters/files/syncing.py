"""Making durable what was done in a folder."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder durable, which POSIX does not promise otherwise. Some file systems cannot."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # fsync(2): not supported for a folder
            raise
    finally:
        os.close(handle)
