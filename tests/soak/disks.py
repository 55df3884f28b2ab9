"""Disks that fill up or become read-only for a while: file systems of our own below the root, where we may mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

SIZE = "192m"
FILLER = ".filler"


class Disks:
    """The file systems of one workstation. Without root's rights there are none, and no trouble comes."""

    def __init__(self, root: Path, apart: Sequence[str], chance: Random) -> None:
        """Make one for the root, with the ledger and the drop folder, and one for each folder that lies apart."""
        self._chance, self._mounted = chance, list[Path]()
        self._over: Callable[[], None] | None = None
        self.of_the_root = False  #: the root itself is in trouble: nothing can be dropped, and no ledger written
        for name in ("", *apart):
            path = root / name
            path.mkdir(parents=True, exist_ok=True)
            if os.geteuid() == 0 and _mount(path, f"size={SIZE},mode=0755"):
                self._mounted.append(path)

    @property
    def are_there(self) -> bool:
        """Whether trouble can come."""
        return bool(self._mounted)

    @property
    def in_trouble(self) -> bool:
        """Whether one of them is full or read-only."""
        return self._over is not None

    def begin(self) -> str:
        """Let one of them fail; give what happens, or nothing where that could not be."""
        self.end()
        if not self.are_there:
            return ""
        path = self._chance.choice(self._mounted)
        trouble = self._chance.choice(list(TROUBLES))
        self._over = TROUBLES[trouble](path)
        if self._over is None:
            return ""
        self.of_the_root = path == self._mounted[0]
        return f"{trouble} {path.name if not self.of_the_root else 'root'}"

    def end(self) -> None:
        """Let all be well."""
        over, self._over, self.of_the_root = self._over, None, False
        if over is not None:
            over()

    def close(self) -> None:
        """Unmount them."""
        self.end()
        while self._mounted:
            subprocess.run(["umount", "--lazy", self._mounted.pop()], check=True)  # noqa: S603, S607 - our own mount


def _fill(path: Path) -> Callable[[], None] | None:
    filler = path / FILLER
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        for size in (1024 * 1024, 4096, 1):
            with suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
    return filler.unlink


def _protect(path: Path) -> Callable[[], None] | None:
    if not _mount(path, "remount,ro"):  # something is being written there just now
        return None
    return lambda: _writable(path)


def _writable(path: Path) -> None:
    if not _mount(path, "remount,rw"):
        raise RuntimeError(f"{path} stays read-only")


def _mount(path: Path, options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(path)]
    return not subprocess.run(command, capture_output=True, check=False).returncode  # noqa: S603 - our own mount


TROUBLES: Mapping[str, Callable[[Path], Callable[[], None] | None]] = {"full": _fill, "read-only": _protect}
