"""The file by which a ledger is moved: lines of JSON, of which the last one proves that none is missing or changed."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from xnat_watchd.adapters.files.new_files import create_new
from xnat_watchd.adapters.files.syncing import sync_folder
from xnat_watchd.core.errors import Occupied, Refusal

LONGEST = 64 << 20  #: bytes of a line
PRIVATE = 0o600  #: it holds names of patients
NOT_WHOLE = "Copy the file again, or export the ledger again. Nothing was imported."


class ExportWriter:
    """Writes a new file under another name, which `publish` replaces by its own. Leaves nothing if that is not called.

    Raise `Refusal` if there is something of that name, or if it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._part = path, path.with_name(f".{path.name}.part")
        self._rows, self._digest = 0, hashlib.sha256()

    def __enter__(self) -> Self:
        if os.path.lexists(self._path):
            raise Refusal(f"{self._path} is there already", advice="Choose another name: nothing is overwritten.")
        try:
            self._file = os.fdopen(create_new(self._part, PRIVATE), "wb")
        except OSError as error:
            raise _unwritable(self._path, error) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)

    def write(self, line: Any) -> None:
        """Write a line."""
        written = json.dumps(line, ensure_ascii=False, separators=(",", ":"), default=_bytes).encode() + b"\n"
        self._digest.update(written)
        self._rows += 1
        try:
            self._file.write(written)
        except OSError as error:
            raise _unwritable(self._path, error) from None

    def finish(self) -> None:
        """Write the last line. All of the file is on the disk afterwards."""
        self.write({"lines": self._rows, "sha256": self._digest.hexdigest()})
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unwritable(self._path, error) from None

    def publish(self) -> None:
        """Put the file under its name. Raise `Refusal` if something has it meanwhile."""
        try:
            os.link(self._part, self._path)
        except FileExistsError:
            raise Refusal(f"{self._path} is there already", advice="Choose another name.") from None
        except OSError:  # a file system without a second name for a file, as on a USB stick
            self._part.rename(self._path)
        sync_folder(self._path.parent)


class ExportReader:
    """Reads such a file, as often as one likes. Raise `Refusal` where it is cut or changed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise Refusal(
                f"{self._path} cannot be read: {error.strerror}",
                advice="Name the file that `xnat-watchd ledger export` wrote, where the service's user may read it.",
            ) from None
        self._file = os.fdopen(handle, "rb")
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            self._file.close()
            raise Refusal(f"{self._path} is no file", advice="Name the file that `xnat-watchd ledger export` wrote.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def lines(self) -> Iterator[Any]:
        """Yield all lines but the last, which is compared with them: what came before it counts only then."""
        self._file.seek(0)
        digest, rows, before = hashlib.sha256(), 0, b""
        while line := self._file.readline(LONGEST):
            if before:
                digest.update(before)
                rows += 1
                yield self._read(before)
            before = line
        if not before.endswith(b"\n") or self._read(before) != {"lines": rows, "sha256": digest.hexdigest()}:
            raise Refusal(f"{self._path} is cut or was changed", advice=NOT_WHOLE)

    def _read(self, line: bytes) -> Any:
        try:
            return json.loads(line, object_hook=_object)
        except (ValueError, RecursionError):
            raise Refusal(f"{self._path} is cut or was changed", advice=NOT_WHOLE) from None


def _bytes(value: bytes) -> dict[str, str]:
    return {"hex": value.hex()}


def _object(found: dict[str, Any]) -> Any:
    return bytes.fromhex(found["hex"]) if found.keys() == {"hex"} and isinstance(found["hex"], str) else found


def _unwritable(path: Path, error: OSError) -> Refusal:
    with suppress(OSError):
        if os.statvfs(path.parent).f_bavail == 0:
            return Occupied(f"{path} cannot be written: its disk is full", advice="Choose another disk.")
    return Refusal(
        f"{path} cannot be written: {error.strerror}", advice="Choose a folder where the service's user may write."
    )
