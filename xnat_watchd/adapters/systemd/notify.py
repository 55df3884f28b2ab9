"""What systemd is told, by sd_notify(3). Without systemd nothing is told to anybody.

Each verb says whether it was taken: False without systemd, and when systemd is too busy just now. None of them
waits and none raises. Only READY matters so much that it should be said again.
"""

from __future__ import annotations

import os
from datetime import timedelta

from sdnotify import SystemdNotifier

LONGEST_STATUS = 200  #: characters: what `systemctl status` shows in one line on a wide screen


class Notifier:
    """The line to systemd. One datagram for each thing that is said, so that none is lost with another."""

    def __init__(self, line: SystemdNotifier | None) -> None:
        self._line = line

    @classmethod
    def from_environment(cls) -> Notifier:
        """Return the line that NOTIFY_SOCKET names, or one that ends nowhere."""
        if not os.environ.get("NOTIFY_SOCKET", "").startswith(("/", "@")):  # `vsock:` is for whole virtual machines
            return cls(None)
        try:
            line = SystemdNotifier(debug=True)  # else it hides every error
        except OSError:
            return cls(None)
        line.socket.settimeout(0)
        return cls(line)

    def ready(self) -> bool:
        """Return that the start, or the reload, is done."""
        return self._say("READY=1")

    def status(self, sentence: str) -> bool:
        """Return in one line what is going on, for `systemctl status`. What is not ASCII becomes `?`."""
        line = " ".join(sentence.split()).encode("ascii", "replace").decode("ascii")
        return self._say(f"STATUS={line[:LONGEST_STATUS]}")

    def watchdog(self) -> bool:
        """Return that we are well."""
        return self._say("WATCHDOG=1")

    def reloading(self, monotonic: float) -> bool:
        """Return that a reload begins, at this time of the monotonic clock in seconds; `ready` ends it."""
        return self._say(f"RELOADING=1\nMONOTONIC_USEC={round(monotonic * 1_000_000)}")

    def stopping(self) -> bool:
        """Return that we are about to end."""
        return self._say("STOPPING=1")

    def extend_timeout(self, span: timedelta) -> bool:
        """Ask for more time to start, reload or stop, counted from now."""
        return self._say(f"EXTEND_TIMEOUT_USEC={span // timedelta(microseconds=1)}")

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.socket.close()
            self._line = None

    def _say(self, text: str) -> bool:
        if self._line is None:
            return False
        try:
            # It encodes as Latin-1 and would lose a text with any other letter, so it is given bytes of UTF-8.
            self._line.notify(text.encode().decode("latin-1"))
        except OSError:  # most likely systemd has not read what was said before
            return False
        return True
