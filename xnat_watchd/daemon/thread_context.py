"""What the threads of the service are handed so that they keep their promises and our secrets."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from xnat_watchd.adapters.files.disk import Disk
from xnat_watchd.core.errors import Stopped
from xnat_watchd.core.heartbeat import Heartbeats
from xnat_watchd.core.ports import Clock, Log
from xnat_watchd.core.settling import FileStat
from xnat_watchd.operator.status import conceal

STEP_TAKES = 600.0  #: seconds that a thread may be without a sign of life before it is believed to hang
SLOWEST_DISK = 2_000_000  #: bytes a second that a disk copies at least, written, read again and compared


class Liveness:
    """Renews the promise of the thread that it beats for, and stops all of them.

    Whoever waits for XNAT looks at `stop` several times a second, and each look is a sign of life. So an answer may
    take the hour that `read_timeout` grants, and a thread that hangs anywhere else is still seen after minutes.
    """

    def __init__(self, names: Iterable[str], clock: Clock) -> None:
        self._names = frozenset(names)
        self._clock = clock
        self.pulse = Heartbeats(self._names)
        self.stop: threading.Event = _SignOfLifeEvent(self)

    def beat(self, takes: float = STEP_TAKES) -> None:
        """Promise, for the thread that runs this, to be back within so many seconds. Others promise nothing."""
        name = threading.current_thread().name
        if name in self._names:
            self.pulse.promise(name, self._clock.monotonic() + takes)


class _SignOfLifeEvent(threading.Event):
    """An event that knows when somebody looks at it."""

    def __init__(self, heart: Liveness) -> None:
        super().__init__()
        self._heart = heart

    def is_set(self) -> bool:
        self._heart.beat()
        return super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        self._heart.beat()
        return super().wait(timeout)


class HeartbeatDisk(Disk):
    """The disk of a thread that promises, before a file is copied over a border, as long as that may take.

    In the middle of a file it shows that it lives, and raises `Stopped` when it is not to.
    """

    def __init__(self, heart: Liveness) -> None:
        self._heart = heart
        self.beat = self._go_on

    def ensure_free(self, source: Path, seen: FileStat) -> None:
        """See that a file may be taken, all of it on the disk. `take` does so first, and its promise holds on."""
        self._promise(seen.size)
        super().ensure_free(source, seen)

    def take(self, source: Path, target: Path, seen: FileStat) -> None:
        """Take a settled file."""
        self._promise(seen.size)
        super().take(source, target, seen)
        self._heart.beat()

    def secure(self, path: Path) -> str:
        """Stamp a file, all of it on the disk, so that no later write goes unseen."""
        self._promise(path.stat().st_size)
        stamp = super().secure(path)
        self._heart.beat()
        return stamp

    def move(self, source: Path, target: Path, stamp: str = "") -> Path:
        """Move one of our own files."""
        self._promise(source.stat().st_size)
        free = super().move(source, target, stamp)
        self._heart.beat()
        return free

    def _promise(self, size: int) -> None:
        self._heart.beat(STEP_TAKES + size / SLOWEST_DISK)

    def _go_on(self) -> None:
        if self._heart.stop.is_set():  # each look is a sign of life
            raise Stopped("told to stop in the middle of a file")


CONFIRMING = frozenset({"study.advanced", "shares.made", "shares.removed"})
"""Events whose project XNAT has confirmed: by taking a study, or by listing it before something was shared there."""


class KnownProjects:
    """Which names are projects: those of the settings, and those that XNAT has confirmed.

    Any other was the name of a folder that somebody made, and may be a patient's.
    """

    def __init__(self, confirmed: Iterable[str]) -> None:
        self._confirmed = set(confirmed)
        self.configured: frozenset[str] = frozenset()

    def confirm(self, name: str) -> None:
        """Note that XNAT knows it."""
        self._confirmed.add(name)

    def __contains__(self, name: str) -> bool:
        return name in self.configured or name in self._confirmed


class ProjectHidingLog:
    """A log that names a project only where it is one."""

    def __init__(self, log: Log, projects: KnownProjects) -> None:
        self._inner, self._projects = log, projects

    def info(self, event: str, **facts: object) -> None:
        """Tell what happened."""
        self._inner.info(event, **self._told(event, facts))

    def warning(self, event: str, **facts: object) -> None:
        """Tell what somebody may want to look at."""
        self._inner.warning(event, **self._told(event, facts))

    def error(self, event: str, **facts: object) -> None:
        """Tell what is broken."""
        self._inner.error(event, **self._told(event, facts))

    def _told(self, event: str, facts: dict[str, object]) -> dict[str, object]:
        project = facts.get("project")
        if event in CONFIRMING and isinstance(project, str):
            self._projects.confirm(project)
        if not isinstance(project, str) or not project or project in self._projects:
            return facts
        hidden = {name: fact for name, fact in facts.items() if name != "project"}
        if isinstance(hidden.get("reason"), str):
            hidden["reason"] = conceal(str(hidden["reason"]), [project])
        return hidden
