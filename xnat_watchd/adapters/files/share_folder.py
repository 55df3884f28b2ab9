"""The folder of share tables. Others write there too: no link is followed, and none of their files is changed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from xnat_watchd.adapters.files.new_files import create_new
from xnat_watchd.adapters.files.stamps import Changed
from xnat_watchd.core.settling import FileStat
from xnat_watchd.core.sharing.report import to_be_read
from xnat_watchd.core.sharing.table import MOST_BYTES

READ_WRITE = 0o666


class ShareFolder:
    """Share tables and their reports. Names have no folder part: tables in folders below are not applied."""

    def __init__(self, folder: Path, must_be_known: Callable[[], None] = lambda: None) -> None:
        self._folder, self._must_be_known = folder, must_be_known

    def tables(self) -> list[FileStat]:
        """Return the tables, and what is no table yet: a spreadsheet that must be saved as CSV first.

        Raise `OSError` if the folder cannot be read or is not the one that we know.
        """
        self._must_be_known()
        with os.scandir(self._folder) as entries:
            names = to_be_read(entry.name for entry in entries if _is_file(entry))
        return [seen for name in names if (seen := self._seen(name)) is not None]

    def read(self, seen: FileStat) -> bytes:
        """Return the content of a settled table, cut off where it is too large.

        Raise `Changed` if it is no longer what was seen, and `OSError` if it may not be read.
        """
        handle = os.open(self._folder / seen.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            data = file.read(MOST_BYTES + 1)
            if _as_seen(seen.path, os.fstat(handle)) != seen:
                raise Changed(errno.EBUSY, "the table is still being written to")
        return data

    def has(self, name: str) -> bool:
        """Return whether there is a file of this name."""
        return (self._folder / name).is_file()

    def write(self, name: str, text: str, beside: str) -> None:
        """Replace a report as a whole, readable for everybody who may read the table `beside` it.

        The byte order mark tells spreadsheets that it is UTF-8.
        """
        part = self._folder / f".{name}.part"
        try:
            handle = create_new(part, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8-sig", newline="") as file:
                self._let_read(handle, beside)
                file.write(text)
                file.flush()
                os.fsync(handle)
            part.replace(self._folder / name)
        finally:
            part.unlink(missing_ok=True)

    def _let_read(self, handle: int, beside: str) -> None:
        table = (self._folder / beside).stat(follow_symlinks=False)
        with suppress(PermissionError):  # we are not of the table's group
            os.fchown(handle, -1, table.st_gid)
        os.fchmod(handle, table.st_mode & READ_WRITE | 0o600)

    def _seen(self, name: str) -> FileStat | None:
        try:
            return _as_seen(name, (self._folder / name).stat(follow_symlinks=False))
        except FileNotFoundError:  # gone between listing and looking
            return None


def lock_of_shares(ledger: Path) -> Path:
    """Return the lock file of whoever applies share tables with this ledger."""
    return ledger.with_name(f"{ledger.name}.shares.lock")


def _is_file(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False)


def _as_seen(name: str, stat: os.stat_result) -> FileStat:
    return FileStat(name, stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_dev, stat.st_nlink)
