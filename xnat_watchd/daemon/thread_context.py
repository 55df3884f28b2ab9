"""The thread context: heartbeats for the threads, a disk that renews them, and a log that hides names."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from xnat_watchd.adapters.files.disk import Disk
from xnat_watchd.core.concealing import conceal
from xnat_watchd.core.errors import Stopped
from xnat_watchd.core.heartbeat import Heartbeats
from xnat_watchd.core.ports import Clock, Log
from xnat_watchd.core.settling import FileStat

STEP_TAKES = 600.0  #: seconds without a heartbeat after which a thread counts as hung
SLOWEST_DISK = 2_000_000  #: bytes a second that any disk copies, with writing, reading back and comparing


class Liveness:
    """Renews the heartbeat of the thread that calls it, and holds the event that stops all threads.

    A thread that waits for XNAT asks `stop` several times a second, and each time renews its heartbeat. So an answer
    may take the hour that `read_timeout` allows, and a thread that hangs anywhere else is still seen after minutes.
    """

    def __init__(self, names: Iterable[str], clock: Clock) -> None:
        self._names = frozenset(names)
        self._clock = clock
        self.heartbeats = Heartbeats(self._names)
        self.stop: threading.Event = _SignOfLifeEvent(self)

    def beat(self, takes: float = STEP_TAKES) -> None:
        """Promise that the calling thread is back within `takes` seconds. Only the threads in `names` promise."""
        name = threading.current_thread().name
        if name in self._names:
            self.heartbeats.promise(name, self._clock.monotonic() + takes)


class _SignOfLifeEvent(threading.Event):
    """An event that renews the heartbeat of every thread that asks it."""

    def __init__(self, liveness: Liveness) -> None:
        super().__init__()
        self._liveness = liveness

    def is_set(self) -> bool:
        self._liveness.beat()
        return super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        self._liveness.beat()
        return super().wait(timeout)


class HeartbeatDisk(Disk):
    """A disk that renews the heartbeat of the thread that uses it, and raises `Stopped` if the service is to stop.

    Before a file is copied to another file system, the thread promises as much time as the copy may take.
    """

    def __init__(self, liveness: Liveness) -> None:
        self._liveness = liveness
        self.beat = self._go_on

    def ensure_free(self, source: Path, seen: FileStat) -> None:
        """Check that a file may be taken, with all of it on the disk. `take` does so first, under the same promise."""
        self._promise(seen.size)
        super().ensure_free(source, seen)

    def take(self, source: Path, target: Path, seen: FileStat) -> None:
        """Take a settled file."""
        self._promise(seen.size)
        super().take(source, target, seen)
        self._liveness.beat()

    def secure(self, path: Path) -> str:
        """Write a file through to the disk and return its stamp, so that a later write is seen."""
        self._promise(path.stat().st_size)
        stamp = super().secure(path)
        self._liveness.beat()
        return stamp

    def move(self, source: Path, target: Path, stamp: str = "") -> Path:
        """Move one of our own files and return its new path."""
        self._promise(source.stat().st_size)
        free = super().move(source, target, stamp)
        self._liveness.beat()
        return free

    def _promise(self, size: int) -> None:
        self._liveness.beat(STEP_TAKES + size / SLOWEST_DISK)

    def _go_on(self) -> None:
        if self._liveness.stop.is_set():  # asking renews the heartbeat
            raise Stopped("told to stop in the middle of a file")


CONFIRMING = frozenset({"study.advanced", "shares.made", "shares.removed"})
"""Events that confirm a project: XNAT has archived a study in it, or listed it before something was shared there."""


class KnownProjects:
    """The names that are known to be projects: those in the settings, and those that XNAT has confirmed.

    Any other name comes from a folder that somebody made, and may be a patient's.
    """

    def __init__(self, confirmed: Iterable[str]) -> None:
        self._confirmed = set(confirmed)
        self.configured: frozenset[str] = frozenset()

    def confirm(self, name: str) -> None:
        """Note that XNAT knows this project."""
        self._confirmed.add(name)

    def __contains__(self, name: str) -> bool:
        return name in self.configured or name in self._confirmed


class ProjectHidingLog:
    """A log that leaves out a project's name unless it is known to be a project."""

    def __init__(self, log: Log, projects: KnownProjects) -> None:
        self._inner, self._projects = log, projects

    def info(self, event: str, **facts: object) -> None:
        """Log what happened."""
        self._inner.info(event, **self._safe(event, facts))

    def warning(self, event: str, **facts: object) -> None:
        """Log what somebody may want to look at."""
        self._inner.warning(event, **self._safe(event, facts))

    def error(self, event: str, **facts: object) -> None:
        """Log what is broken."""
        self._inner.error(event, **self._safe(event, facts))

    def _safe(self, event: str, facts: dict[str, object]) -> dict[str, object]:
        project = facts.get("project")
        if event in CONFIRMING and isinstance(project, str):
            self._projects.confirm(project)
        if not isinstance(project, str) or not project or project in self._projects:
            return facts
        hidden = {name: fact for name, fact in facts.items() if name != "project"}
        if isinstance(hidden.get("reason"), str):
            hidden["reason"] = conceal(str(hidden["reason"]), [project])
        return hidden
