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
        text = json.dumps({**snapshot, "at": "", "said": ""})
        if text == self._published and self._at is not None and abs(now - self._at) < AT_LEAST_EVERY:
            return
        publish(self._path, json.dumps(snapshot).encode(), READABLE)
        self._published, self._at = text, now


def read(path: Path) -> StatusSnapshot | None:
    """Return the published status, or None if there is none, it cannot be read, or another version has another form.

    `daemon.running` is whether the service that published it still runs.
    """
    try:
        with path.open("rb") as file:
            snapshot: StatusSnapshot = json.loads(file.read(LONGEST))
        if not _is_status(snapshot):
            return None
    except (OSError, ValueError, RecursionError):  # missing, not readable, or not a status file
        return None
    daemon = snapshot["daemon"]
    daemon["running"] = daemon["running"] and _lives(daemon["pid"])
    return snapshot


def _is_status(found: Any) -> bool:
    """Return whether this has what every reader of a status relies on. Raise `ValueError` for a time that is none."""
    match found:
        case {
            "at": str(at),
            "daemon": {
                "running": bool(),
                "pid": int(),
                "uploads": [*uploads],
                "heard": None | str() as heard,
            } as daemon,
            "attention": [*attention],
            "of_service": [*of_service],
        }:
            return (
                all(datetime.fromisoformat(one).tzinfo for one in (at, heard or at, _said(found)))
                and all(isinstance(daemon.get(name, 0), int | float) for name in ("settling", "rate", "reloads"))
                and all(map(_is_upload, uploads))
                and all(map(_is_row, [*attention, *of_service]))
            )
        case _:
            return False


def _is_upload(found: object) -> bool:
    match found:
        case {"worker": str(), "sent": int(), "size": int()}:
            return True
        case _:
            return False


def _is_row(found: object) -> bool:
    match found:
        case {"item": str(), "project": str(), "why": str(), "advice": str()}:
            return True
        case _:
            return False


def age(snapshot: StatusSnapshot) -> timedelta:
    """Return how old the figures of a snapshot are."""
    return _since(snapshot["at"])


def silence(snapshot: StatusSnapshot) -> timedelta:
    """Return how long ago the service has said it: later than its figures are, while it cannot read the ledger."""
    return _since(_said(snapshot))


def _said(snapshot: Mapping[str, Any]) -> str:
    said: str = snapshot.get("said", snapshot["at"])
    return said


def _since(moment: str) -> timedelta:
    return max(datetime.now(UTC) - datetime.fromisoformat(moment), timedelta(0))


def _lives(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # gone, or larger than any process number
        return False
    except PermissionError:  # there, and another user's
        return True
    return True
