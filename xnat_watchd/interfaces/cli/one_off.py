"""Where a one-off command has its ledger if there is no configuration.

The ledger for a folder of ZIPs lies in it, in `DIR/.xnat-watchd`. Who may take ZIPs out of the folder may write there,
a ZIP is moved there without a copy, and the ledger moves with the folder. A command without ZIPs uses one ledger for
each server, among the user's own files.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from xnat_watchd.adapters.config import KeyPath, find_file, variable_of
from xnat_watchd.adapters.files.disk import ONE_OFF
from xnat_watchd.adapters.files.folder_handles import make_folder, pinned
from xnat_watchd.adapters.files.new_files import create_new
from xnat_watchd.core.errors import LedgerUnusable, Refusal, WatchdError

if TYPE_CHECKING:  # `status` must be quick
    from xnat_watchd.core.delivery import Place

FOLDER = ONE_OFF
MEMO = "chosen.json"
FOLDERS, MOST_FOLDERS = "folders.txt", 50  #: among the user's own files: the folders that ZIPs were sent from
LONGEST = 64 * 1024  #: bytes of the memo that are read

YOUR_OWN = "Use a folder of your own, or ask somebody who may write there to remove it."

_BELOW = ("shares", "work", "done", "failed")


def variables(*, config: Path | None, server: str | None, project: str | None, drop: Path | None) -> dict[str, str]:
    """Return the options, such as `--config`, as variables of the settings."""
    memo = remembered(drop) if drop else {}
    folders = _in_folder_of_zips(drop) if drop else _folders(config, server)
    said = {
        ("xnat", "server"): server or memo.get("server"), ("xnat", "project"): project or memo.get("project"), **folders
    }  # fmt: skip
    return {variable_of(path): str(value) for path, value in said.items() if value}


def remembered(drop: Path) -> Mapping[str, str]:
    """Return the options that were used for a folder of ZIPs before.

    A memo that others may write is not believed: it could send our password to a server of theirs.
    """
    folder = drop / FOLDER
    try:
        if not _is_ours(folder):
            return {}
        with pinned(drop, f"{FOLDER}/{MEMO}") as path, path.open("rb") as file:
            memo = json.loads(file.read(LONGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return {str(k): v for k, v in memo.items() if isinstance(v, str)} if isinstance(memo, dict) else {}


def remember(drop: Path, server: str, project: str) -> None:
    """Store the options for a folder of ZIPs. Raise `Refusal` if its ledger belongs to another server."""
    before = remembered(drop).get("server", server)
    if before != server:
        raise Refusal(
            f"the ZIPs of {drop} were sent to {before} before, and its ledger is for that server only",
            advice=f"Put the ZIPs into another folder, or remove {drop / FOLDER} if all of them may be sent again.",
        )
    folder = drop / FOLDER
    try:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)  # the ledger holds the names of patients
        _must_be_ours(folder)
        with pinned(drop, f"{FOLDER}/{MEMO}") as memo:
            part = memo.with_name(f".{MEMO}.part")
            with os.fdopen(create_new(part, 0o600), "w", encoding="utf-8") as file:
                json.dump({"server": server, "project": project}, file)
            part.replace(memo)
        _remember_folder(drop)
    except OSError as error:
        raise Refusal(f"{folder}: cannot be written: {error.strerror}", advice=YOUR_OWN) from None


def sent_from(place: Place) -> Path | None:
    """Return the folder of ZIPs of this user from which the study at this place of the prearchive was sent, or None."""
    for drop in _remembered_folders():
        with suppress(WatchdError, LedgerUnusable, OSError):
            if _is_ours(drop / FOLDER) and _has_sent(drop / FOLDER / "ledger.sqlite", place):
                return drop
    return None


def _has_sent(path: Path, place: Place) -> bool:
    from xnat_watchd.adapters.ledger.ledger import Ledger
    from xnat_watchd.adapters.ledger.opening import open_database

    if not path.exists():
        return False
    with closing(Ledger(open_database(path, read_only=True, upgrade=False))) as ledger:
        return ledger.existing_sessions.at(place) is not None


def _remembered_folders() -> list[Path]:
    try:
        lines = (_own_state() / FOLDERS).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    return [Path(line) for line in lines if line.startswith("/")][-MOST_FOLDERS:]


def _remember_folder(drop: Path) -> None:
    """Store that this user has sent ZIPs from this folder: `archive` looks there for what it finds in XNAT."""
    known = _remembered_folders()
    if drop in known or not str(drop).isprintable():
        return
    state = _own_state()
    make_folder(state)
    part = state / f".{FOLDERS}.part"
    with os.fdopen(create_new(part, 0o600), "w", encoding="utf-8") as file:
        file.writelines(f"{one}\n" for one in [*known, drop])
    part.replace(state / FOLDERS)


def _is_ours(folder: Path) -> bool:
    seen = folder.lstat()
    ours = stat.S_ISDIR(seen.st_mode) and seen.st_uid in (0, os.geteuid())
    return ours and not seen.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _must_be_ours(folder: Path) -> None:
    """Refuse a folder where others may put a ledger of theirs, or a link that we would write through."""
    if os.path.lexists(folder) and not _is_ours(folder):
        raise Refusal(f"{folder}: cannot be written safely: it is not ours alone", advice=YOUR_OWN)


def _folders(config: Path | None, server: str | None) -> dict[KeyPath, Path | str | None]:
    is_configured = find_file(config, os.environ) or variable_of(("folders", "root")) in os.environ
    if server is None or is_configured:
        return {}
    return {("folders", "root"): _own_state() / re.sub(r"[^A-Za-z0-9.-]+", "_", _host(server))}


def _in_folder_of_zips(drop: Path) -> dict[KeyPath, Path | str | None]:
    """Return all folders, so that none of the service's own, from a configuration, is used.

    The folder is polled every few seconds: most file events in it would come from ourselves.
    """
    root = drop / FOLDER
    _must_be_ours(root)
    return {
        ("folders", "root"): root,
        ("folders", "drop"): drop,
        **{("folders", name): root / name for name in _BELOW},
        ("ledger", "path"): root / "ledger.sqlite",
        ("intake", "watch"): "poll",
    }


def _own_state() -> Path:
    """Return the user's folder for the state of programs (XDG Base Directory Specification)."""
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if state.startswith("/") else Path.home() / ".local" / "state") / "xnat-watchd"


def _host(server: str) -> str:
    parts = urlsplit(server)
    return f"{parts.netloc}{parts.path}".lower()
