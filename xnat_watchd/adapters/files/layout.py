"""Where things lie: our folders, and the names that our files have in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from xnat_watchd.adapters.files.disk import Disk, free_name

LONGEST_NAME = 120  #: bytes of a dropped name that we keep: with number and `.txt` it fits every file system
_OURS = re.compile(r"(\d+)(?:\.(\d+))?\.zip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """The folders of one root, or wherever the settings put them."""

    drop: Path
    shares: Path
    work: Path
    done: Path
    failed: Path

    def zip_of(self, delivery: int) -> Path:
        """Return where a delivery's ZIP lies while it is ours."""
        return self.work / f"{delivery}.zip"

    def clean_zip(self, item: str) -> Path:
        """Return where the ZIP lies that we make of one study: a copy that can be made again."""
        return self.work / f"{item}.zip"

    def rest(self, resting: str) -> Path:
        """Return the path of a resting place as the ledger writes it: `done/2026-11/12_scan.zip`."""
        below = resting.partition("/")[2]
        return {"done": self.done, "failed": self.failed}[kind_of(resting)] / below

    def free(self, resting: str) -> str:
        """Return a resting place where nothing lies, such as a ZIP of the same number from a ledger that was lost."""
        path = self.rest(resting)
        return resting.removesuffix(path.name) + free_name(path).name


def kind_of(resting: str) -> str:
    """Return the name of the folder that a resting place lies in."""
    return resting.partition("/")[0]


def lock_of(ledger: Path) -> Path:
    """Return the file whose lock says that a service works on this ledger."""
    return ledger.with_name(f"{ledger.name}.lock")


def resting_done(delivery: int, name: str, now: datetime) -> str:
    """Return where a finished ZIP is to lie: by month, by number, under the name that it came with."""
    return f"done/{now:%Y-%m}/{delivery}_{_plain(name)}"


def resting_skipped(delivery: int, name: str) -> str:
    """Return where a ZIP is to lie of which a person did not want every study: not all of it is on XNAT."""
    return f"done/skipped/{delivery}_{_plain(name)}"


def resting_failed(delivery: int, name: str) -> str:
    """Return where a rejected ZIP is to lie."""
    return f"failed/{delivery}_{_plain(name)}"


def whose(file_name: str) -> tuple[int, int | None] | None:
    """Return delivery and study of a file in work, or None when it is none of ours."""
    found = _OURS.fullmatch(file_name)
    return (int(found[1]), int(found[2]) if found[2] else None) if found else None


def put_away(folders: Folders, disk: Disk, delivery: int, target: Path | str, studies: int) -> None:
    """Move a delivery's ZIP to `target`, or back into the drop folder under that name, and remove what was made of it.

    Does nothing when it is done.
    """
    for number in range(1, studies + 1):
        disk.remove(folders.clean_zip(f"{delivery}.{number}"))
    if disk.lies(folders.zip_of(delivery)):
        source = folders.zip_of(delivery)
        if isinstance(target, Path):
            disk.move(source, target, disk.stamp(source) or "")
        else:
            disk.put_back(source, folders.drop, target, disk.stamp(source) or "")


def _plain(name: str) -> str:
    """Keep the last part of a dropped name, without what hurts in a terminal or a shell's glob."""
    last = name.rpartition("/")[2]
    stem, _, ending = (last if last.lower().endswith(".zip") else f"{last}.zip").rpartition(".")
    kept = "".join(c if c.isprintable() and c not in '\\/:*?"<>|' else "_" for c in stem)
    return f"{kept.encode()[:LONGEST_NAME].decode(errors='ignore')}.{ending[:8]}"
