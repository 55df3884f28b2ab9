"""The status file that the service publishes where everybody who may drop files can read it.

systemd gives the service a folder for it that its group may read. Without systemd it lies beside the ledger.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from xnat_watchd.adapters.files.new_files import publish

RUNTIME = Path("/run/xnat-watchd")  #: the folder that the unit names (`RuntimeDirectory=`), for commands that read it
NAME = "status.json"
AT_LEAST_EVERY = timedelta(seconds=10)  #: after this time it is written again, even if nothing changed
READABLE = 0o666  #: reduced by the umask of the service
LONGEST = 64 << 20  #: bytes of the file that are read

StatusSnapshot = dict[str, Any]


def status_path(ledger: Path, environ: Mapping[str, str]) -> Path:
    """Return where a service with this ledger and environment publishes its status."""
    runtime = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]  # several are joined by a colon (systemd.exec(5))
    return (Path(runtime) if runtime else ledger.parent) / NAME


class StatusPublisher:
    """Publishes the status in one file. A reader sees the old status or the new one, never a part."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._published = ""
        self._at: datetime | None = None

    def publish(self, snapshot: StatusSnapshot, now: datetime) -> None:
        """Replace the published status if it has changed or is older than `AT_LEAST_EVERY`."""
        text = json.dumps({**snapshot, "at": ""})
        if text == self._published and self._at is not None and abs(now - self._at) < AT_LEAST_EVERY:
            return
        publish(self._path, json.dumps(snapshot).encode(), READABLE)
        self._published, self._at = text, now


def read(path: Path) -> StatusSnapshot | None:
    """Return the published status, or None if there is none or it cannot be read.

    `daemon.running` is whether the service that published it still runs.
    """
    try:
        with path.open("rb") as file:
            snapshot: StatusSnapshot = json.loads(file.read(LONGEST))
        daemon = snapshot["daemon"]
        datetime.fromisoformat(snapshot["at"])
        daemon["running"] = bool(daemon["running"]) and _lives(int(daemon["pid"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # missing, not readable, or not a status file
        return None
    return snapshot


def age(snapshot: StatusSnapshot) -> timedelta:
    """Return how long ago the snapshot was taken."""
    return max(datetime.now(UTC) - datetime.fromisoformat(snapshot["at"]), timedelta(0))


def _lives(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # there, and another user's
        return True
    return True
