"""Hints that something happened in a folder. They may be late, doubled or missing: only a sweep shows the truth.

An event only sets a flag, and the thread that waits on the flag sweeps the folder. Where the kernel reports only half
of what happens (network file systems), or cannot add another watch, there are no hints at all, and that thread sweeps
every few seconds (`polling`).
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
Hint = Callable[[], None]  #: sets a flag. It must never raise: that would end all hints

_LIMITS_REACHED = frozenset({errno.ENOSPC, errno.EMFILE})  # inotify_add_watch(2), inotify_init(2)

# A closed file is complete. A file that is moved in is reported as created or moved. The folder events are needed,
# since without them a new folder would not be watched. Reading is left out: we read the files ourselves.
_EVENTS: tuple[type[FileSystemEvent], ...] = (
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
)


class Watcher:
    """Calls `hint` when something happens in `folder` or below, from `start` until `stop`."""

    def __init__(self, folder: Path, hint: Hint, *, mode: Mode = "auto", mounts: Path = MOUNTS) -> None:
        self._folder = folder
        self._hint = hint
        self._mode = mode
        self._mounts = mounts
        self._observer: BaseObserver | None = None
        self._identity: tuple[int, int] | None = None
        self._overflow = _Overflow(hint)
        self.polling = False  #: whether there will be no hints, so that sweeps come every few seconds
        self.why = ""  #: why there will be no hints, in one sentence

    def start(self) -> None:
        """Start, or start again with the folder that lies there now. Sweep the folder after this, not before.

        A missing folder is no error: `alive` then returns False, and `start` may be called again.
        """
        self.stop()
        self.why = self._reason_to_poll()
        self.polling = bool(self.why)
        if not self.polling:
            logging.getLogger(_Overflow.LOGGER).addHandler(self._overflow)
            self._watch()

    def stop(self) -> None:
        """Stop, and wait until the last hint has been given."""
        logging.getLogger(_Overflow.LOGGER).removeHandler(self._overflow)
        observer, self._observer = self._observer, None
        if observer is not None:
            logger, filter_ = logging.getLogger(_StopNoiseFilter.LOGGER), _StopNoiseFilter()
            logger.addFilter(filter_)
            observer.stop()
            observer.join()
            logger.removeFilter(filter_)

    def alive(self) -> bool:
        """Return whether hints can still come or are not needed. If not, call `start` again and sweep.

        A folder that was removed and made again, mounted, unmounted or mounted over is another folder, about which
        the kernel reports nothing.
        """
        if self.polling:
            return True
        if self._observer is None or self._identity != identity(self._folder):
            return False
        threads = [self._observer, *self._observer.emitters]
        # Since watchdog 7 it reads from the kernel for all emitters. No public attribute tells whether it died.
        reader = getattr(self._observer, "_inotify_fd", None)
        return all(thread.is_alive() for thread in (*threads, *([reader] if reader is not None else [])))

    def _reason_to_poll(self) -> str:
        if self._mode != "auto":
            return "the setting says so" if self._mode == "poll" else ""
        kind = file_system(self._folder, self._mounts)
        return f"the folder lies on {kind}, where other machines write unseen" if is_remote(kind) else ""

    def _watch(self) -> None:
        # This warning holds the paths of nested new folders, which must not go into a log (watchdog 7.1).
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
        self._identity = identity(self._folder)
        try:
            self._observer = self._observe()
        except OSError as error:
            # Any other error means that the folder is missing just now, and `alive` reports that.
            if error.errno in _LIMITS_REACHED:
                self.polling = True
                self.why = f"{error.strerror}: raise fs.inotify.max_user_watches or max_user_instances"

    def _observe(self) -> BaseObserver:
        observer = Observer()
        observer.schedule(_HintHandler(self._hint), str(self._folder), recursive=True, event_filter=list(_EVENTS))
        try:
            observer.start()
        except OSError:
            observer.stop()  # its reader thread runs already
            raise
        return observer


class _HintHandler(FileSystemEventHandler):
    """Report a hint for every event and does nothing else, so it cannot fail."""

    def __init__(self, hint: Hint) -> None:
        self._hint = hint

    def dispatch(self, event: FileSystemEvent) -> None:
        """Set off a hint for any event."""
        del event
        self._hint()


class _Overflow(logging.Handler):
    """Turns the only sign of lost events, a warning in the log, into a hint that something happened."""

    LOGGER = "watchdog.observers.inotify_c"

    def __init__(self, hint: Hint) -> None:
        super().__init__(logging.WARNING)
        self._hint = hint

    def emit(self, record: logging.LogRecord) -> None:
        """Set off a hint."""
        del record
        self._hint()


class _StopNoiseFilter(logging.Filter):
    """Drops the error that an emitter logs when it is stopped while it handles an event (watchdog 6 and 7).

    No order of stopping prevents it, since the emitter reads without a lock. After `stop` the event does not matter.
    """

    LOGGER = "watchdog.observers.inotify"

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
