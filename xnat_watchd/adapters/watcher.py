"""Hints that something happened in a folder. They may be late, doubled or missing: a look into it is the truth.

The one thing done with an event is to set a flag; whoever waits on the flag looks. Where the kernel tells only
half of what happens (file systems on a network), or has no room for another watch, there are no hints at all,
and the one who waits looks every few seconds (`polling`).
"""

from __future__ import annotations

import errno
import logging
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

Mode = Literal["auto", "events", "poll"]
Nudge = Callable[[], None]  #: sets a flag. It must never raise: that would end all hints

MOUNTS = Path("/proc/self/mountinfo")
REMOTE = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "9p", "virtiofs", "vboxsf", "prl_fs", "afs", "coda"),
        *("ceph", "lustre", "beegfs", "gpfs", "gfs2", "ocfs2", "pvfs2", "orangefs", "autofs"),
    }
)
"""File systems where another machine may write without our kernel knowing (proc_pid_mountinfo(5), field 9)."""

_LIMITS_REACHED = frozenset({errno.ENOSPC, errno.EMFILE})  # inotify_add_watch(2), inotify_init(2)

# A closed file is complete, and what is moved in comes as created or moved. A new folder must be watched in its
# turn, and a filter without the folder events would not do that. Reading is left out: we read ourselves.
_EVENTS: tuple[type[FileSystemEvent], ...] = (
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
)


class Watcher:
    """Calls `nudge` when something happens in `folder` or below, from `start` until `stop`."""

    def __init__(self, folder: Path, nudge: Nudge, *, mode: Mode = "auto", mounts: Path = MOUNTS) -> None:
        self._folder = folder
        self._nudge = nudge
        self._mode = mode
        self._mounts = mounts
        self._observer: BaseObserver | None = None
        self._identity: tuple[int, int] | None = None
        self._overflow = _Overflow(nudge)
        self.polling = False  #: there will be no hints: look every few seconds
        self.why = ""  #: one sentence: why there will be no hints

    def start(self) -> None:
        """Begin, or begin anew with the folder that lies there now. Look into it after this, not before.

        A folder that is not there is no error: `alive` says False then, and `start` may be tried again.
        """
        self.stop()
        self.why = self._reason_to_poll()
        self.polling = bool(self.why)
        if not self.polling:
            logging.getLogger(_Overflow.SPEAKER).addHandler(self._overflow)
            self._watch()

    def stop(self) -> None:
        """End, and wait until the last hint is out."""
        logging.getLogger(_Overflow.SPEAKER).removeHandler(self._overflow)
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            observer.join()

    def alive(self) -> bool:
        """Say whether hints can still come, or are not needed. If not, `start` again, and look.

        A folder that was removed and made again, mounted, unmounted or mounted over is another folder, of
        which the kernel tells nothing.
        """
        if self.polling:
            return True
        if self._observer is None or self._identity != identity(self._folder):
            return False
        threads = [self._observer, *self._observer.emitters]
        # Reads from the kernel for all emitters since watchdog 7; nothing public says that it died.
        reader = getattr(self._observer, "_inotify_fd", None)
        return all(thread.is_alive() for thread in (*threads, *([reader] if reader is not None else [])))

    def _reason_to_poll(self) -> str:
        if self._mode != "auto":
            return "the setting says so" if self._mode == "poll" else ""
        kind = file_system(self._folder, self._mounts)
        return f"the folder lies on {kind}, where other machines write unseen" if is_remote(kind) else ""

    def _watch(self) -> None:
        # It comes with the paths of nested new folders, of which no journal may tell (watchdog 7.1).
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
        self._identity = identity(self._folder)
        try:
            self._observer = self._observe()
        except OSError as error:
            # Anything else is a folder that is not there just now, and `alive` says so.
            if error.errno in _LIMITS_REACHED:
                self.polling = True
                self.why = f"{error.strerror}: raise fs.inotify.max_user_watches or max_user_instances"

    def _observe(self) -> BaseObserver:
        observer = Observer()
        observer.schedule(_Nudger(self._nudge), str(self._folder), recursive=True, event_filter=list(_EVENTS))
        try:
            observer.start()
        except OSError:
            observer.stop()  # its reader runs already
            raise
        return observer


class _Nudger(FileSystemEventHandler):
    """Does for every event the one thing that cannot fail."""

    def __init__(self, nudge: Nudge) -> None:
        self._nudge = nudge

    def dispatch(self, event: FileSystemEvent) -> None:
        """Give a hint, whatever the event."""
        del event
        self._nudge()


class _Overflow(logging.Handler):
    """Turns the only sign of lost events, a warning in the log, into a hint that something happened."""

    SPEAKER = "watchdog.observers.inotify_c"

    def __init__(self, nudge: Nudge) -> None:
        super().__init__(logging.WARNING)
        self._nudge = nudge

    def emit(self, record: logging.LogRecord) -> None:
        """Give a hint."""
        del record
        self._nudge()


# -- which file system -------------------------------------------------------------------------------------


def identity(folder: Path) -> tuple[int, int] | None:
    """Give device and inode of the folder that lies at this path now, or None."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_remote(kind: str) -> bool:
    """Say whether others may write to such a file system unseen. `fuseblk` is a disk of this machine."""
    return kind in REMOTE or kind == "fuse" or kind.startswith("fuse.")


def file_system(folder: Path, mounts: Path = MOUNTS) -> str:
    """Give the kind of file system that the folder lies on, such as `ext4` or `nfs4`; "" if nobody can say."""
    try:
        lines = mounts.read_bytes().splitlines()
    except OSError:
        return ""
    real = Path(os.path.realpath(folder))
    above = [(len(point.parts), kind) for point, kind in _mounts(lines) if real.is_relative_to(point)]
    # Of two mounts on one point the later one is seen.
    return max(reversed(above), key=lambda mount: mount[0], default=(0, ""))[1]


_MOUNT = re.compile(rb"(?:\S+ ){4}(\S+) .*? - (\S+) ")  # 36 35 98:0 /root /point options [tags] - kind ...


def _mounts(lines: Iterable[bytes]) -> Iterator[tuple[Path, str]]:
    """Give mount points and kinds. Blanks in them stand as octal escapes."""
    for line in lines:
        if found := _MOUNT.match(line):
            point = re.sub(rb"\\([0-3][0-7]{2})", lambda octal: bytes([int(octal[1], 8)]), found[1])
            yield Path(os.fsdecode(point)), os.fsdecode(found[2])
