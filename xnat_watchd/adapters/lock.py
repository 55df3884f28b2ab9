"""One service for one root: a lock that the kernel lets go of when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from xnat_watchd.core.errors import Occupied, Refusal

AS_SERVICE = "It is for the service's own user: put `sudo -u xnat-watchd` in front, or choose a root of your own."


class Lock:
    """Hold the root's lock for as long as the `with` block lasts.

    `Occupied` while another process has it: a service that comes up meanwhile is started again by systemd.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def __enter__(self) -> Self:
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except PermissionError:
            raise Refusal(f"{self._path}: this user may not work here", advice=AS_SERVICE) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise Occupied(
                f"another xnat-watchd works on this root already ({self._path})",
                advice="`xnat-watchd status` shows what it does. Stop it first, or give this one a root of its own.",
            ) from None
        self._handle = handle
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def is_held(path: Path) -> bool:
    """Say whether a process holds the lock now."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
