"""Where a one-off command keeps what it remembers, when no configuration says it.

A folder of ZIPs has its ledger inside, in `DIR/.xnat-watchd`: whoever may take ZIPs out of the folder may write
there, moving a ZIP into it copies nothing, and the folder's memory goes where the folder goes. A command without
ZIPs has one ledger for each server among the user's own files.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from xnat_watchd.adapters.config import KeyPath, find_file, variable_of
from xnat_watchd.core.errors import Refusal

FOLDER = ".xnat-watchd"  #: in a folder of ZIPs; a hidden folder is never looked into for ZIPs
MEMO = "chosen.json"
LONGEST = 64 * 1024  #: bytes of the memo that are read

_BELOW = ("shares", "work", "done", "failed")


def variables(*, config: Path | None, server: str | None, project: str | None, drop: Path | None) -> dict[str, str]:
    """Give what was chosen, by `--config` and so on, as variables of the settings."""
    memo = remembered(drop) if drop else {}
    folders = _in_folder_of_zips(drop) if drop else _folders(config, server)
    said = {
        ("xnat", "server"): server or memo.get("server"), ("xnat", "project"): project or memo.get("project"), **folders
    }  # fmt: skip
    return {variable_of(path): str(value) for path, value in said.items() if value}


def remembered(drop: Path) -> Mapping[str, str]:
    """Give what was chosen for a folder of ZIPs before.

    A memo that others may write is not believed: it could send us and our password to a server of theirs.
    """
    folder = drop / FOLDER
    try:
        seen = folder.stat(follow_symlinks=False)
        if seen.st_uid not in (0, os.geteuid()) or seen.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return {}
        with (folder / MEMO).open("rb") as file:
            memo = json.loads(file.read(LONGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return {str(k): v for k, v in memo.items() if isinstance(v, str)} if isinstance(memo, dict) else {}


def remember(drop: Path, server: str, project: str) -> None:
    """Keep what was chosen for a folder of ZIPs. `Refusal` where its ledger is of another server."""
    before = remembered(drop).get("server", server)
    if before != server:
        raise Refusal(
            f"what was sent from {drop} went to {before}, and its ledger knows nothing of another server",
            advice=f"Put the ZIPs into another folder, or remove {drop / FOLDER} if they may all be sent anew.",
        )
    folder = drop / FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)  # the ledger holds the names of patients
        part = folder / f".{MEMO}.part"
        part.write_text(json.dumps({"server": server, "project": project}), encoding="utf-8")
        part.replace(folder / MEMO)
    except OSError as error:
        raise Refusal(f"{folder}: cannot be written: {error.strerror}", advice="Use a folder of your own.") from None


def _folders(config: Path | None, server: str | None) -> dict[KeyPath, Path | str | None]:
    is_configured = find_file(config, os.environ) or variable_of(("folders", "root")) in os.environ
    if server is None or is_configured:
        return {}
    return {("folders", "root"): _own_state() / re.sub(r"[^A-Za-z0-9.-]+", "_", _host(server))}


def _in_folder_of_zips(drop: Path) -> dict[KeyPath, Path | str | None]:
    """Give all folders: what a configuration says of the service's own must not hold here.

    The folder is looked into every few seconds: events in it would mostly be of our own making.
    """
    root = drop / FOLDER
    return {
        ("folders", "root"): root,
        ("folders", "drop"): drop,
        **{("folders", name): root / name for name in _BELOW},
        ("ledger", "path"): root / "ledger.sqlite",
        ("intake", "watch"): "poll",
    }


def _own_state() -> Path:
    """Give the user's folder for what programs remember (XDG Base Directory Specification)."""
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if state.startswith("/") else Path.home() / ".local" / "state") / "xnat-watchd"


def _host(server: str) -> str:
    parts = urlsplit(server)
    return f"{parts.netloc}{parts.path}".lower()
