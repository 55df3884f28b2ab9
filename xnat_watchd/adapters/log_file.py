"""A log file for machines without a journal. It never exceeds a size, and a few older files are kept."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TextIO, cast

from xnat_watchd.core.errors import Refusal

LARGEST = 10 * 1024**2  #: bytes after which a new file is started
KEPT = 5  #: older files; `NAME.1` is the latest of them
MODE = 0o640


def opened(path: Path) -> TextIO:
    """Return the file as a stream for `logs.configure`. Raise `Refusal` if it cannot be opened."""
    return cast("TextIO", LogFile(path))


class LogFile(io.TextIOBase):
    """A file to which lines are appended, by one thread at a time, in a folder that is made if there is none.

    Raises `Refusal` if it cannot be opened.
    """

    def __init__(self, path: Path, *, largest: int = LARGEST, kept: int = KEPT) -> None:
        self._path, self._largest, self._kept = path, largest, kept
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = self._open()
        except OSError as error:
            super().close()  # so that its finaliser does not close what was never opened
            raise Refusal(f"{path}: cannot be written: {error.strerror}", advice="Correct `file` in [logs].") from None

    def write(self, text: str) -> int:
        """Append a line. If another program has moved the file away, start a new one."""
        data = text.encode("utf-8", "replace")
        seen = os.fstat(self._handle)
        if not self._is_there(seen):
            self._reopen()
        elif seen.st_size and seen.st_size + len(data) > self._largest:
            self._rotate()
        os.write(self._handle, data)
        return len(text)

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            os.close(self._handle)
        super().close()

    def _is_there(self, seen: os.stat_result) -> bool:
        try:
            return os.path.samestat(seen, self._path.stat())
        except FileNotFoundError:
            return False

    def _rotate(self) -> None:
        for number in range(self._kept - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        self._path.replace(self._numbered(1))
        self._reopen()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _reopen(self) -> None:
        before, self._handle = self._handle, self._open()
        os.close(before)

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, MODE)
