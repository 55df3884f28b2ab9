"""Where things lie: our folders, and the names of our files in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from xnat_watchd.adapters.files.disk import Disk, free_name

LONGEST_NAME = 120  #: bytes of a dropped name that are kept: with number and `.txt` it fits every file system
_OURS = re.compile(r"(\d{1,18})(?:\.(\d{1,18}))?\.zip")  # a number that fits the ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """The folders, below one root or where the settings put them."""

    drop: Path
    shares: Path
    work: Path
    done: Path
    failed: Path

    def zip_of(self, delivery: int) -> Path:
        """Return where a delivery's ZIP lies while the service works on it."""
        return self.work / f"{delivery}.zip"

    def clean_zip(self, item: str) -> Path:
        """Return where the ZIP lies that we write for one study. It can be written again."""
        return self.work / f"{item}.zip"

    def kept_path(self, kept: str) -> Path:
        """Return the path of a kept ZIP, given as the ledger writes it: `done/2026-11/12_scan.zip`."""
        below = kept.partition("/")[2]
        return {"done": self.done, "failed": self.failed}[folder_name_of(kept)] / below

    def free(self, kept: str) -> str:
        """Return where to keep a ZIP without a name conflict, as with a ZIP of the same number from a lost ledger."""
        path = self.kept_path(kept)
        return kept.removesuffix(path.name) + free_name(path).name


def folder_name_of(kept: str) -> str:
    """Return the name of the folder in which a ZIP is kept."""
    return kept.partition("/")[0]


def kept_in_done(delivery: int, name: str, now: datetime) -> str:
    """Return where a finished ZIP is kept: by month, by number, under its original name."""
    return f"done/{now:%Y-%m}/{delivery}_{_safe_name(name)}"


def kept_in_skipped(delivery: int, name: str) -> str:
    """Return where a ZIP is kept if a person skipped some of its studies: not all of it is on XNAT."""
    return f"done/skipped/{delivery}_{_safe_name(name)}"


def kept_in_failed(delivery: int, name: str) -> str:
    """Return where a rejected ZIP is kept."""
    return f"failed/{delivery}_{_safe_name(name)}"


def owner_of(file_name: str) -> tuple[int, int | None] | None:
    """Return delivery and study number of a file in the work folder, or None if it is not one of ours."""
    found = _OURS.fullmatch(file_name)
    return (int(found[1]), int(found[2]) if found[2] else None) if found else None


def move_out_of_work(folders: Folders, disk: Disk, delivery: int, target: Path | str, studies: int) -> None:
    """Move a delivery's ZIP to the path `target`, or back into the drop folder under the name `target`.

    Remove what was written for its `studies` studies. A second call changes nothing.
    """
    for number in range(1, studies + 1):
        disk.remove(folders.clean_zip(f"{delivery}.{number}"))
    if disk.exists(folders.zip_of(delivery)):
        source = folders.zip_of(delivery)
        if isinstance(target, Path):
            disk.move(source, target, disk.stamp(source) or "")
        else:
            disk.put_back(source, folders.drop, target, disk.stamp(source) or "")


def _safe_name(name: str) -> str:
    """Return the last part of a dropped name without what is unsafe in a terminal or a shell's pattern."""
    last = name.rpartition("/")[2]
    stem, _, ending = (last if last.lower().endswith(".zip") else f"{last}.zip").rpartition(".")
    kept = "".join(c if c.isprintable() and c not in '\\/:*?"<>|' else "_" for c in stem)
    return f"{kept.encode()[:LONGEST_NAME].decode(errors='ignore')}.{ending[:8]}"
