"""A file to write whose errors name it: two disks take part in a copy, and one of them fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedWriter, FileIO
from pathlib import Path
from typing import Any, BinaryIO


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name this file in every `OSError`. The system does so for paths only, and not for open files."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def names_file_in(folder: Path, error: OSError) -> bool:
    """Return whether an error is about a file in this folder, as far as it names one."""
    return error.filename is not None and Path(error.filename).parent == folder


class _NamedFile(FileIO):
    def __init__(self, path: Path) -> None:
        super().__init__(path, "wb")
        self._path = path

    def write(self, data: Any, /) -> int:
        with naming(self._path):
            return super().write(data)


@contextmanager
def durably_written(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write. It is durable after the `with` block, unless that raises."""
    with BufferedWriter(_NamedFile(path)) as file:
        yield file
        file.flush()
        with naming(path):
            os.fsync(file.fileno())
