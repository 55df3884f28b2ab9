"""The status file that the service publishes, where everybody finds it who may drop files.

systemd gives the service a folder for it that its group may look into. Without systemd it lies beside the ledger.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from xnat_watchd.adapters.files.new_files import fresh

RUNTIME = Path("/run/xnat-watchd")  #: the folder that the unit names (`RuntimeDirectory=`), for whoever asks later
NAME = "status.json"
AT_LEAST_EVERY = timedelta(seconds=10)  #: so often it is said anew that the service lives
READABLE = 0o666  #: as the umask of the service allows
LONGEST = 64 << 20  #: bytes that are read of one

Picture = dict[str, Any]


def place(ledger: Path, environ: Mapping[str, str]) -> Path:
    """Return where a service with this ledger and environment publishes."""
    runtime = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]  # several are joined by a colon (systemd.exec(5))
    return (Path(runtime) if runtime else ledger.parent) / NAME


class Publication:
    """What is published at one place. A reader sees the old status or the new one, never a part."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told = ""
        self._at: datetime | None = None

    def publish(self, picture: Picture, now: datetime) -> None:
        """Replace the published status where it has changed, or the last word is some time ago."""
        told = json.dumps({**picture, "at": ""})
        if told == self._told and self._at is not None and abs(now - self._at) < AT_LEAST_EVERY:
            return
        part = self._path.with_name(f".{self._path.name}.part")
        with os.fdopen(fresh(part, READABLE), "w", encoding="utf-8") as file:
            json.dump(picture, file)
        part.replace(self._path)
        self._told, self._at = told, now


def read(path: Path) -> Picture | None:
    """Return what is published at a place, or None where there is nothing or we may not look.

    `daemon.running` says whether the one who published it still lives.
    """
    try:
        with path.open("rb") as file:
            picture: Picture = json.loads(file.read(LONGEST))
        daemon = picture["daemon"]
        datetime.fromisoformat(picture["at"])
        daemon["running"] = bool(daemon["running"]) and _lives(int(daemon["pid"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # not there, not for us, or none of ours
        return None
    return picture


def age(picture: Picture) -> timedelta:
    """Return how long ago it was taken."""
    return max(datetime.now(UTC) - datetime.fromisoformat(picture["at"]), timedelta(0))


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
