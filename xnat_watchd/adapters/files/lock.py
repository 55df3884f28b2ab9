"""One service for a root and its folders: locks that the kernel releases when their process ends, however it ends."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from xnat_watchd.adapters.files.mounts import file_system, is_remote
from xnat_watchd.core.errors import NoReadAccess, Occupied, Refusal

LOCK = ".xnat-watchd.lock"  #: in a folder that a service has claimed; never listed
PRIVATE = 0o600  #: whoever may open a file may lock it, and so keep us out
OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
AS_SERVICE = "It is for the service's own user: put `sudo -u xnat-watchd` in front, or choose a root of your own."


def lock_of(ledger: Path) -> Path:
    """Return the lock file of the service that works on this ledger."""
    return ledger.with_name(f"{ledger.name}.lock")


class Lock:
    """Hold the root's lock for as long as the `with` block lasts.

    Raise `Occupied` while another process has it. systemd then starts the service again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def __enter__(self) -> Self:
        try:
            handle = os.open(self._path, OPEN | os.O_CREAT, PRIVATE)
        except PermissionError:
            raise Refusal(f"{self._path}: this user may not write here", advice=AS_SERVICE) from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise Refusal(f"{self._path}: a link lies in its place", advice="Remove the link.") from None
            raise Refusal(
                f"{self._path} cannot be opened: {error.strerror}",
                advice="Make the disk of the ledger's folder writable. Then start the service again.",
            ) from None
        os.fchmod(handle, PRIVATE)  # an earlier version let everybody open it, and so lock it
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise Occupied(
                f"another xnat-watchd works on this root already ({self._path})",
                advice="`xnat-watchd status` shows what it does. Stop it first, or give this one a root of its own. "
                "Hosts that share a root and a ledger each need a `path` in [ledger] on a disk of their own.",
            ) from None
        self._handle = handle
        return self

    @property
    def name(self) -> str:
        """The name of the lock, which nothing else on earth has while it is held: who holds it next came after us."""
        if self._handle is None:
            return ""
        seen = os.fstat(self._handle)
        return f"{boot_id()}:{seen.st_dev}:{seen.st_ino}"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def boot_id() -> str:
    """Return the ID of this run of the kernel. Hosts that were cloned from one image have different ones."""
    try:
        return BOOT_ID.read_text("ascii").strip()
    except OSError:  # then no lock is known again, and a name is free when the lease is over
        return os.urandom(16).hex()


class Claims:
    """Folders that no other service may use, whichever ledger it has, from `claim` until `close`.

    The lock is on a hidden file in the folder, so it holds under every path that leads there. Only we may open that
    file. If the folder itself were locked, everybody who may list it could lock us out. Until `close` the file system
    can only be unmounted lazily.

    `shared`: the stations of a ledger in a database may use a folder together, since that ledger says who does what.
    Who has a ledger of its own is kept out by them, and keeps them out.
    """

    def __init__(self, *, shared: bool = False) -> None:
        self._claimed: dict[Path, int] = {}
        self._kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX

    def claim(self, folder: Path) -> None:
        """Claim a folder unless it is claimed already, missing, or on a network, where a lock is not reliable.

        A folder on a disk that is full, read-only or failing is claimed at a later call: it must not end the service.
        Raise `Occupied` while another process has it.
        """
        if folder in self._claimed or is_remote(file_system(folder)):
            return
        with suppress(OSError):
            handle = _file_of_ours(folder)
            try:
                fcntl.flock(handle, self._kind | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                raise Occupied(
                    f"another xnat-watchd, with a ledger of its own, works with {folder} already",
                    advice="Stop that one, or give this one folders of its own in [folders].",
                ) from None
            self._claimed[folder] = handle

    def close(self) -> None:
        """Release all of them."""
        while self._claimed:
            os.close(self._claimed.popitem()[1])


def _file_of_ours(folder: Path) -> int:
    """Open the lock file of a folder. What somebody else put in its place locks nobody out, so it is renamed."""
    path = folder / LOCK
    for _ in range(3):
        try:
            handle = os.open(path, OPEN | os.O_CREAT, PRIVATE)
        except OSError:
            if not os.path.lexists(path):
                raise
        else:
            seen = os.fstat(handle)
            if stat.S_ISREG(seen.st_mode) and seen.st_uid == os.geteuid() and not stat.S_IMODE(seen.st_mode) & 0o077:
                return handle
            os.close(handle)
        path.rename(path.with_name(f"{LOCK}-{os.urandom(8).hex()}"))
    raise PermissionError(errno.EACCES, "somebody puts other things in the place of the lock")


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock now."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except PermissionError:
        raise NoReadAccess(f"{path}: this user may not see whether a service runs here", advice=AS_SERVICE) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
