"""Notifications to systemd, by sd_notify(3). Without systemd nothing is sent.

Each method returns whether the notification was accepted: False without systemd, and while systemd is too busy. None
of them waits and none raises. Only READY is important enough to be sent again.
"""

from __future__ import annotations

import os
from datetime import timedelta

from sdnotify import SystemdNotifier

LONGEST_STATUS = 200  #: characters: what `systemctl status` shows in one line on a wide screen


class Notifier:
    """The connection to systemd. Each notification is one datagram, so that none is lost together with another."""

    def __init__(self, connection: SystemdNotifier | None) -> None:
        self._connection = connection

    @classmethod
    def from_environment(cls) -> Notifier:
        """Return a notifier for the socket that NOTIFY_SOCKET names, or one that sends nothing."""
        if not os.environ.get("NOTIFY_SOCKET", "").startswith(("/", "@")):  # `vsock:` is for virtual machines
            return cls(None)
        try:
            connection = SystemdNotifier(debug=True)  # otherwise it hides every error
        except OSError:
            return cls(None)
        connection.socket.settimeout(0)
        return cls(connection)

    def ready(self) -> bool:
        """Tell systemd that the start, or the reload, is done."""
        return self._send("READY=1")

    def status(self, sentence: str) -> bool:
        """Tell systemd in one line what is going on, for `systemctl status`. A character outside ASCII becomes `?`."""
        line = " ".join(sentence.split()).encode("ascii", "replace").decode("ascii")
        return self._send(f"STATUS={line[:LONGEST_STATUS]}")

    def watchdog(self) -> bool:
        """Tell systemd that the service is well."""
        return self._send("WATCHDOG=1")

    def reloading(self, monotonic: float) -> bool:
        """Tell systemd that a reload begins, at this monotonic time in seconds. `ready` ends the reload."""
        return self._send(f"RELOADING=1\nMONOTONIC_USEC={round(monotonic * 1_000_000)}")

    def stopping(self) -> bool:
        """Tell systemd that the service is about to end."""
        return self._send("STOPPING=1")

    def extend_timeout(self, span: timedelta) -> bool:
        """Ask for more time to start, reload or stop, counted from now."""
        return self._send(f"EXTEND_TIMEOUT_USEC={span // timedelta(microseconds=1)}")

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.socket.close()
            self._connection = None

    def _send(self, text: str) -> bool:
        if self._connection is None:
            return False
        try:
            # It encodes as Latin-1 and would lose a text with any other letter, so it gets the bytes of UTF-8.
            self._connection.notify(text.encode().decode("latin-1"))
        except OSError:  # most likely systemd has not read the previous notifications yet
            return False
        return True
