"""What the main thread does: it publishes the status, reports to systemd, and notices hung threads and clock jumps."""

from __future__ import annotations

import faulthandler
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TextIO

from xnat_watchd.adapters.files.status_file import StatusPublisher
from xnat_watchd.adapters.systemd.notify import Notifier
from xnat_watchd.core.clock_jumps import JUMP, ClockOffset
from xnat_watchd.core.heartbeat import Heartbeats
from xnat_watchd.core.ports import Clock, Log
from xnat_watchd.operator.status import Snapshot, sentence

LOOKS = 1.0  #: seconds between two checks
SOON = 0.25  #: the same while somebody waits: for the start to be complete, or for a run to end
SHARE = 20  #: a snapshot may take one twentieth of the time: one that takes long is taken more rarely
MORE_TIME = timedelta(seconds=60)  #: asked of systemd again and again while we start or stop


class Monitor:
    """Monitors the threads. Only the main thread calls `check`, every second."""

    def __init__(  # noqa: PLR0913 - each is given by name
        self,
        *,
        take_snapshot: Callable[[], Snapshot],
        for_everybody: Callable[[Snapshot], Snapshot],
        is_ready: Callable[[], bool],
        heartbeats: Heartbeats,
        notifier: Notifier,
        publication: StatusPublisher,
        clock: Clock,
        log: Log,
        stderr: TextIO | None = None,
    ) -> None:
        self._take_snapshot, self._for_everybody = take_snapshot, for_everybody
        self._is_ready, self._heartbeats = is_ready, heartbeats
        self._notifier, self._publication = notifier, publication
        self._clock, self._log, self._stderr = clock, log, stderr
        self._ready = False  #: every part runs, and the drop folder was swept once
        self._published: Snapshot | None = None  #: the last snapshot that was published
        self._line = self._told = ""  #: the status line, and the last one that systemd accepted
        self._to_tell = False  #: systemd has still to be told that we are ready
        self._next_snapshot = clock.monotonic()
        self._late: frozenset[str] = frozenset()
        self._steady = ClockOffset(clock.now(), clock.monotonic())

    @property
    def is_starting(self) -> bool:
        """Whether the service does not work completely yet."""
        return not self._ready

    def check(self) -> None:
        """Do what is due."""
        self._check_clock()
        if self._clock.monotonic() >= self._next_snapshot:
            self._publish()
        if not self._ready and self._is_ready():
            self._ready = self._to_tell = True
            self._log.info("daemon.ready")
        if self._to_tell:
            self._to_tell = not self._notifier.ready()
        self._check_threads()

    def reloading(self) -> None:
        """Tell systemd that the settings are read again. The next check tells it that we are ready."""
        self._notifier.reloading(self._clock.monotonic())
        self._to_tell = self._ready

    def stopping(self) -> None:
        """Tell systemd that we stop. `wait` then asks for time, as long as the threads keep their promises."""
        self._notifier.stopping()

    def wait(self) -> None:
        """Ask systemd for more time to stop, while every thread keeps its promise.

        The watchdog is active until the end, so it is told as well.
        """
        if not self._heartbeats.broken(self._clock.monotonic()):
            self._notifier.watchdog()
            self._notifier.extend_timeout(MORE_TIME)

    def publish_last(self, snapshot: Snapshot) -> None:
        """Publish the status at the end of the service, for people who cannot read the ledger."""
        with suppress(OSError):
            self._publication.publish(snapshot, self._clock.now())

    def _publish(self) -> None:
        began = self._clock.monotonic()
        snapshot = self._take_snapshot()
        if snapshot is not self._published:  # the same object: nothing is to be compared, nor written
            told = self._for_everybody(snapshot)
            self._line = sentence(told)
            with suppress(OSError):  # no room, or the folder is gone: tried again at the next check
                self._publication.publish(told, self._clock.now())
                self._published = snapshot
        if self._line != self._told and self._notifier.status(self._line):
            self._told = self._line
        now = self._clock.monotonic()
        self._next_snapshot = now + SHARE * (now - began)

    def _check_threads(self) -> None:
        """Ping the watchdog while every promise is kept. When a thread hangs, dump all stacks once: systemd ends us."""
        late = frozenset(self._heartbeats.broken(self._clock.monotonic()))
        if late - self._late:
            self._log.error("daemon.hangs", reason=", ".join(sorted(late)))
            # Files, lines and functions only: what the variables hold may be a name or a password.
            faulthandler.dump_traceback(self._stderr or sys.stderr, all_threads=True)
        self._late = late
        if not late:
            self._notifier.watchdog()
            if not self._ready:
                self._notifier.extend_timeout(MORE_TIME)

    def _check_clock(self) -> None:
        jump = self._steady.jump(self._clock.now(), self._clock.monotonic())
        if abs(jump) > JUMP:
            self._log.warning("clock.jumped", seconds=round(jump.total_seconds()))
