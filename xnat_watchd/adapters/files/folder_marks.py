"""Whether a folder is the one that we know: the service puts a mark into it, and the ledger remembers the mark.

A folder whose disk is not mounted looks empty, and what is read there says nothing about our files. So a folder
without its mark is not trusted, with two exceptions: it is the same directory as before (somebody deleted the mark),
or it holds files that must lie there (it was copied without hidden files). A person confirms that it is the right one
with an empty file in place of the mark.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from xnat_watchd.adapters.files.copying import READ
from xnat_watchd.adapters.files.disk import MARK
from xnat_watchd.adapters.files.layout import Folders
from xnat_watchd.adapters.files.new_files import create_new
from xnat_watchd.adapters.files.syncing import sync_folder
from xnat_watchd.adapters.ledger.marks import Mark
from xnat_watchd.adapters.ledger.marks import Marks as Known
from xnat_watchd.core.presence import Presence

READABLE = 0o644
LONGEST = 64  #: bytes of a mark that are read


class UnknownFolder(OSError):
    """The folder is not the one that we know: conclude nothing from its content, and put nothing into it."""


class FolderMarks:
    """The marks of our folders, by name: drop, shares, work, done, failed."""

    def __init__(
        self, folders: Folders, known: Known, token: Callable[[], str] = lambda: secrets.token_hex(16)
    ) -> None:
        self._folders, self._known, self._token = folders, known, token

    def presence(self, name: str, path: Path) -> Presence:
        """Return whether a file lies in a folder of ours; `UNKNOWN` if the folder may not be the one that we know."""
        try:
            if path.is_file():
                return Presence.PRESENT
            self.must_be_known(name)
            return Presence.PRESENT if path.is_file() else Presence.ABSENT
        except OSError:
            return Presence.UNKNOWN

    def must_be_known(self, name: str) -> None:
        """Raise `UnknownFolder` if a folder is not the one that we know, and `OSError` if it cannot be read.

        A folder that is seen for the first time gets its mark, provided that no file is missing there.
        """
        folder: Path = getattr(self._folders, name)
        mark, identity = self._known.mark(name), _identity(folder)
        written = _written(folder)
        if mark is not None and mark.id and written == mark.id:
            return
        if not self._is_familiar(name, folder, mark, identity, written):
            raise UnknownFolder(errno.ENODEV, f"the {name} folder is not the one that is known")
        if mark is None or written is not None or (mark.identity, mark.path) != (identity, str(folder)) or mark.id:
            is_anothers = bool(written) and self._known.is_of_another(name, written or "")
            self._known.keep(name, Mark((is_anothers and written) or self._put(folder), identity, str(folder)))

    def is_known(self, name: str) -> bool:
        """Return whether a folder is the one that we know. Change nothing in it."""
        folder: Path = getattr(self._folders, name)
        try:
            mark, written = self._known.mark(name), _written(folder)
            is_marked = mark is not None and bool(mark.id) and written == mark.id
            return is_marked or self._is_familiar(name, folder, mark, _identity(folder), written)
        except OSError:
            return False

    def _is_familiar(self, name: str, folder: Path, mark: Mark | None, identity: str, written: str | None) -> bool:
        if written == "" or (mark is not None and identity == mark.identity):
            return True
        expected = [one for id_, one in self._known.expected(name) if not self._folders.zip_of(id_).is_file()]
        if any((folder / one).is_file() for one in expected):
            return True
        if mark is None or mark.path != str(folder):
            return not expected
        return name == "drop" and any(one.name != MARK for one in folder.iterdir())

    def _put(self, folder: Path) -> str:
        """Put a mark into a folder and return it, or nothing if that is not possible."""
        token, path = self._token(), folder / MARK
        try:
            with os.fdopen(create_new(path, READABLE), "w", encoding="ascii") as file:
                file.write(token)
                file.flush()
                os.fsync(file.fileno())
            sync_folder(folder)
        except OSError:  # the folder is read-only, or somebody put a folder of that name there
            return ""
        return token


def _identity(folder: Path) -> str:
    """Return device and inode of a folder that can be listed."""
    seen = folder.stat()
    with os.scandir(folder) as entries:
        next(entries, None)
    return f"{seen.st_dev}:{seen.st_ino}"


def _written(folder: Path) -> str | None:
    """Return the content of a folder's mark, or None if there is no mark or it is not a file."""
    with suppress(OSError):
        handle = os.open(folder / MARK, READ)
        try:
            return os.read(handle, LONGEST).decode("ascii", "replace")
        finally:
            os.close(handle)
    return None
