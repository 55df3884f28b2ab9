"""The main thread's watch: it publishes, tells systemd how we are, and sees when a thread hangs or the clock jumps."""

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

LOOKS = 0.5  #: seconds between two looks
SHARE = 20  #: a look that costs more than this part of the time is taken more rarely
MORE_TIME = timedelta(seconds=60)  #: that systemd is asked for, again and again, while we are at work on it


class Monitor:
    """Looks after the threads. `look` is called every half second, by the main thread only."""

    def __init__(
        self,
        *,
        picture: Callable[[], Snapshot],
        is_ready: Callable[[], bool],
        pulse: Heartbeats,
        notifier: Notifier,
        publication: StatusPublisher,
        clock: Clock,
        log: Log,
        stderr: TextIO | None = None,
    ) -> None:
        self._picture, self._is_ready, self._pulse = picture, is_ready, pulse
        self._notifier, self._publication = notifier, publication
        self._clock, self._log, self._stderr = clock, log, stderr
        self._ready = False  #: everything stands
        self._told = ""  #: the last line that systemd took
        self._to_tell = False  #: systemd has to hear that we are ready
        self._next_picture = clock.monotonic()
        self._hanging: frozenset[str] = frozenset()
        self._steady = ClockOffset(clock.now(), clock.monotonic())

    def look(self) -> None:
        """Do what is due."""
        self._see_clock()
        if self._clock.monotonic() >= self._next_picture:
            self._tell()
        if not self._ready and self._is_ready():
            self._ready = self._to_tell = True
            self._log.info("daemon.ready")
        if self._to_tell:
            self._to_tell = not self._notifier.ready()
        self._see_threads()

    def reloading(self) -> None:
        """Tell systemd that settings are read; that we are ready again is told at the next look."""
        self._notifier.reloading(self._clock.monotonic())
        self._to_tell = self._ready

    def stopping(self) -> None:
        """Tell systemd that we stop, and that it may take as long as the threads keep their promises."""
        self._notifier.stopping()

    def wait(self) -> None:
        """Ask for more time to stop, while every thread keeps its promise; the watchdog listens until the end."""
        if not self._pulse.broken(self._clock.monotonic()):
            self._notifier.watchdog()
            self._notifier.extend_timeout(MORE_TIME)

    def last_picture(self, picture: Snapshot) -> None:
        """Publish how it stood when we ended, for those who cannot see the ledger."""
        with suppress(OSError):
            self._publication.publish(picture, self._clock.now())

    def _tell(self) -> None:
        began = self._clock.monotonic()
        picture = self._picture()
        with suppress(OSError):  # no room, or the folder is gone: at the next look
            self._publication.publish(picture, self._clock.now())
        line = sentence(picture)
        if line != self._told and self._notifier.status(line):
            self._told = line
        now = self._clock.monotonic()
        self._next_picture = now + SHARE * (now - began)

    def _see_threads(self) -> None:
        """Ping while every promise is kept. Of a hang every thread's stack is told, once, before systemd ends us."""
        late = frozenset(self._pulse.broken(self._clock.monotonic()))
        if late - self._hanging:
            self._log.error("daemon.hangs", reason=", ".join(sorted(late)))
            # Files, lines and functions only: what the variables hold may be a name or a password.
            faulthandler.dump_traceback(self._stderr or sys.stderr, all_threads=True)
        self._hanging = late
        if not late:
            self._notifier.watchdog()
            if not self._ready:
                self._notifier.extend_timeout(MORE_TIME)

    def _see_clock(self) -> None:
        jump = self._steady.set_by(self._clock.now(), self._clock.monotonic())
        if abs(jump) > JUMP:
            self._log.warning("clock.jumped", seconds=round(jump.total_seconds()))
