"""The disk: what lies in the drop folder, and moving files so that a crash or a full disk loses nothing."""

from __future__ import annotations

import errno
import filecmp
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from xnat_watchd.core.settling import Seen


class Changed(OSError):
    """The file is still being written to: leave it where it is and look again."""


class Disk:
    """All that is done to files. What is moved is durable before the call returns."""

    def look(self, folder: Path) -> Iterator[Seen]:
        """Give every regular file below a folder, links not followed. `OSError` when the folder cannot be read."""
        yield from _walk(folder, "")

    def take(self, source: Path, target: Path, seen: Seen) -> None:
        """Move a settled file to `target`; `Changed` and nothing done when it is not what was seen any more.

        Within one file system it is a rename. A file that has another name elsewhere is copied, since whoever holds
        that name may still write to it; so is one from another file system.
        """
        _must_be(source, seen)
        if seen.links > 1 or seen.device != target.parent.stat().st_dev:
            _copy(source, target)
            _must_be(source, seen)
            source.unlink()
        else:
            source.rename(target)
            self._put_back_if_changed(source, target, seen)
        _sync_folder(target.parent)
        _sync_folder(source.parent)

    def move(self, source: Path, target: Path) -> Path:
        """Move one of our own files, never over another: a number is added to the name. Gives where it lies now."""
        target.parent.mkdir(parents=True, exist_ok=True)
        free = _free_name(target)
        try:
            source.rename(free)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy(source, free)
            source.unlink()
        _sync_folder(free.parent)
        _sync_folder(source.parent)
        return free

    def write(self, path: Path, text: str) -> None:
        """Write a small file so that it is there whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(path.parent)

    def remove(self, path: Path) -> None:
        """Remove a file that we made ourselves and can make again."""
        path.unlink(missing_ok=True)

    def lies(self, path: Path) -> bool:
        """Say whether there is such a file."""
        return path.is_file()

    def names(self, folder: Path) -> list[str]:
        """Give the names of the files in a folder of ours, sorted."""
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False))

    def _put_back_if_changed(self, source: Path, target: Path, seen: Seen) -> None:
        try:
            _must_be(target, seen)
        except Changed:
            if not source.exists():
                target.rename(source)
            raise


def identity(seen: Seen) -> str:
    """Give how a file is known again after a rename: device, inode, size, modification time."""
    return f"{seen.device}:{seen.inode}:{seen.size}:{seen.mtime_ns}"


def _walk(folder: Path, below: str) -> Iterator[Seen]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            path = f"{below}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith("."):
                    yield from _walk(folder / entry.name, f"{path}/")
            elif entry.is_file(follow_symlinks=False):
                seen = _seen(entry, path)
                if seen is not None:
                    yield seen


def _seen(entry: os.DirEntry[str], path: str) -> Seen | None:
    try:
        stat = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # gone between listing and looking
        return None
    return Seen(path, stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_dev, stat.st_nlink)


def _must_be(path: Path, seen: Seen) -> None:
    stat = path.stat(follow_symlinks=False)
    if (stat.st_size, stat.st_mtime_ns, stat.st_ino) != (seen.size, seen.mtime_ns, seen.inode):
        raise Changed(errno.EBUSY, "the file is still being written to")


def _copy(source: Path, target: Path) -> None:
    """Copy under a temporary name, make it durable, compare, and only then give it its name."""
    part = target.with_name(f".{target.name}.part")
    try:
        shutil.copy2(source, part, follow_symlinks=False)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        if not filecmp.cmp(source, part, shallow=False):
            raise Changed(errno.EBUSY, "the file changed while it was copied")
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)


def _free_name(target: Path) -> Path:
    free, number = target, 1
    while os.path.lexists(free):
        number += 1
        free = target.with_name(f"{target.stem}-{number}{target.suffix}")
    return free


def _sync_folder(folder: Path) -> None:
    """Make a rename in this folder durable: POSIX leaves open when it is, otherwise."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
