"""What lies in the drop folder: ZIPs that may be taken, and files that are not taken, with the reason for each.

A file is judged by its name and its first bytes. The verdict is remembered for as long as the file system shows the
same file, so that a folder of very many files costs little more than asking the file system about each.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from xnat_watchd.adapters.files.disk import Disk, OddEntry
from xnat_watchd.core.loose_files import (
    AS_SET,
    HEAD,
    LEFT_ALONE,
    NO_ZIP,
    archive_kind,
    archive_reason,
    images_reason,
    is_bin,
    is_dicom,
    is_zip,
    matches,
)
from xnat_watchd.core.refusals import NO_PROJECT, Reason
from xnat_watchd.core.settling import FileStat

NAMED_IMAGES = 20  #: loose images that are listed by name; more of them are listed as one line
MOST_REMEMBERED = 200_000  #: files whose verdict is remembered, at about 400 bytes each; any others are judged anew


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeRules:
    """Rules for the drop folder. Times in seconds."""

    quiet_for: float
    incomplete_after: float
    ignore: tuple[str, ...]  #: patterns of names of files and folders, and of paths
    project: str  #: for all ZIPs outside the folders in `projects`; empty: the first folder names the project
    projects: Collection[str]  #: folders below drop that name a project


@dataclass(slots=True)
class FolderContents:
    """What one look into the folder has found."""

    zips: list[FileStat] = field(default_factory=list)
    ignored: dict[str, Reason] = field(default_factory=dict)  #: printable path -> why it is not taken
    odd: list[OddEntry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Judged:
    """A file and what it is: not taken for a reason, a DICOM file of an exam without a ZIP, or else a ZIP."""

    seen: FileStat
    name: str  #: the path, printable
    why: Reason | None
    exam: str = ""
    lasts: bool = True  #: until the file changes; not if it could not be read


@dataclass(frozen=True, slots=True)
class _Remembered:
    """What the last look has found, by path. It holds under the same rules only."""

    rules: IntakeRules
    files: dict[str, _Judged] = field(default_factory=dict)


class DropFolder:
    """Lists the drop folder by the rules. One thread looks; any thread may give it other rules."""

    def __init__(self, disk: Disk, folder: Path, rules: IntakeRules) -> None:
        self._disk, self._folder, self._rules = disk, folder, rules
        self._remembered = _Remembered(rules)

    def configure(self, rules: IntakeRules) -> None:
        """Judge every file by these rules from the next look on."""
        self._rules = rules

    def count_files(self) -> int:
        """Return how many files lie in the folder, other than those that are left alone."""
        return sum(not isinstance(one, OddEntry) for one in self._disk.scan(self._folder, self._why_skipped))

    def look(self) -> FolderContents:
        """Return what lies there now. `OSError` if the folder itself cannot be read."""
        found, images = FolderContents(), Counter[str]()
        last = self._remembered if self._remembered.rules is self._rules else _Remembered(self._rules)
        now = _Remembered(last.rules)
        for seen in self._disk.scan_again(self._folder, self._why_skipped, last.files):
            if isinstance(seen, OddEntry):
                found.odd.append(seen)
                continue
            file = seen if isinstance(seen, _Judged) else self._judge(seen)
            if file.lasts and len(now.files) < MOST_REMEMBERED:
                now.files[file.seen.path] = file
            if file.why is not None:
                found.ignored[file.name] = file.why
            elif file.exam:
                images[file.exam] += 1
            else:
                found.zips.append(file.seen)
        self._remembered = now
        found.ignored |= _told_by_exam(images)
        return found

    def project_of(self, path: str) -> str | None:
        """Return the project that a ZIP at this path is for, or None if none is named."""
        first = path.partition("/")[0] if "/" in path else None
        if first is not None and (first in self._rules.projects or not self._rules.project):
            return printable(first)
        return self._rules.project or None

    def _why_skipped(self, path: str) -> str:
        if is_bin(path.rpartition("/")[2]):
            return LEFT_ALONE[0]
        return AS_SET[0] if matches(path, self._rules.ignore) and not path.rpartition("/")[2].startswith(".") else ""

    def _judge(self, seen: FileStat) -> _Judged:
        path, name = seen.path, printable(seen.path)
        name = path if name == path else name  # one text in memory instead of two
        if (why := self._why_left(path)) is not None:
            return _Judged(seen, name, why)
        named_zip = path.lower().endswith(".zip")
        head = b"" if named_zip else self._disk.head(self._folder / path, HEAD)
        if named_zip or is_zip(path, head):
            return _Judged(seen, name, NO_PROJECT if self.project_of(path) is None else None)
        lasts = bool(head) or not seen.size
        if kind := archive_kind(path, head):
            return _Judged(seen, name, archive_reason(kind), lasts=lasts)
        if is_dicom(path, head):
            return _Judged(seen, name, None, self._exam_of(path), lasts=lasts)
        return _Judged(seen, name, NO_ZIP, lasts=lasts)

    def _why_left(self, path: str) -> Reason | None:
        """Return why a file is left alone by its name, whatever it holds; None for any other file."""
        name = path.rpartition("/")[2]
        if is_bin(name):
            return LEFT_ALONE
        if name.startswith("."):
            return "hidden", ""
        return ("a temporary name", "") if matches(path, self._rules.ignore) else None

    def _exam_of(self, path: str) -> str:
        """Return the folder, with a slash, of an exam without a ZIP; for a loose image, its own path."""
        parts = path.split("/")
        outer = 2 if parts[0] in self._rules.projects or not self._rules.project else 1
        return "/".join(parts[:outer]) + "/" if len(parts) > outer else path


def printable(path: str) -> str:
    """Return a file name, which may be any bytes, as text. Different names stay different."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _told_by_exam(images: Mapping[str, int]) -> dict[str, Reason]:
    """Return one line for each exam without a ZIP: exam or loose file -> number of DICOM files, as a reason."""
    loose = [name for name in images if not name.endswith("/")]
    if len(loose) <= NAMED_IMAGES:
        return {printable(name): images_reason(count) for name, count in images.items()}
    exams = {name: count for name, count in images.items() if name.endswith("/")}
    return {printable(name): images_reason(count) for name, count in {"./": len(loose), **exams}.items()}
