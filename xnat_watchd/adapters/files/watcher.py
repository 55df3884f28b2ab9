"""Hints that something happened in a folder. They may be late, doubled or missing: a look into it is the truth.

The one thing done with an event is to set a flag; whoever waits on the flag looks. Where the kernel tells only
half of what happens (file systems on a network), or has no room for another watch, there are no hints at all,
and the one who waits looks every few seconds (`polling`).
"""

from __future__ import annotations

import errno
import logging
import warnings
from collections.abc import Callable
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

from xnat_watchd.adapters.files.mounts import MOUNTS, file_system, is_remote

Mode = Literal["auto", "events", "poll"]
Nudge = Callable[[], None]  #: sets a flag. It must never raise: that would end all hints

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
            speaker, quiet = logging.getLogger(_Farewell.SPEAKER), _Farewell()
            speaker.addFilter(quiet)
            observer.stop()
            observer.join()
            speaker.removeFilter(quiet)

    def alive(self) -> bool:
        """Return whether hints can still come, or are not needed. If not, `start` again, and look.

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


class _Farewell(logging.Filter):
    """Leaves out what an emitter calls an error when it is stopped with an event in its hands (watchdog 6 and 7).

    No order of stopping prevents it, since the emitter reads without a lock; and whoever stops wants no more hints.
    """

    SPEAKER = "watchdog.observers.inotify"

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything else pass."""
        return not str(record.msg).endswith("queue_events() called when the thread is inactive")


def identity(folder: Path) -> tuple[int, int] | None:
    """Return device and inode of the folder that lies at this path now, or None."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
