"""The disk: what lies in the drop folder, and moving files so that a crash or a full disk loses nothing."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from xnat_watchd.adapters.files.copying import READ, Beat, copy, digest, same, sync_folder
from xnat_watchd.adapters.files.folder_handles import pinned
from xnat_watchd.adapters.files.mounts import file_system, is_remote
from xnat_watchd.adapters.files.new_files import fresh
from xnat_watchd.adapters.files.stamps import Changed, is_told_of, lasting_stamp, stamp_of
from xnat_watchd.core.settling import FileStat

READABLE = 0o666  #: mode of what is made: as the umask allows
Leave = Callable[[str], str]  #: why a folder is not looked into; empty: it is
MARK = ".xnat-watchd-mark"  #: by which a folder is known again (`adapters.marks`); never listed
LOCK = ".xnat-watchd.lock"  #: of a folder that a service has claimed (`adapters.lock`); never listed
DEEPEST = 64  #: folders in folders that are looked into; whoever nests more wants us to fall


@dataclass(frozen=True, slots=True)
class Odd:
    """Something in the drop folder that is no file, or a folder that nobody can look into."""

    path: str  #: below the drop folder
    what: str
    error: OSError | None = None  #: why a folder cannot be read


def nothing(_: str) -> str:
    """Leave no folder out."""
    return ""


def nobody() -> None:
    """Listen to no beat."""


class Disk:
    """All that is done to files. What is moved is durable before the call returns.

    `beat` is called at every piece of a file that is read to be copied, compared or digested: it may raise `Stopped`.
    """

    beat: Beat = staticmethod(nobody)

    def look(self, folder: Path, leave: Leave = nothing) -> Iterator[FileStat | Odd]:
        """Yield everything below a folder but its folders, links not followed. `OSError` when it cannot be read itself.

        One folder in it that cannot be read is told and hides nothing else. `leave` says of the path of a folder why
        it is not looked into, or nothing.
        """
        yield from _walk(folder, "", DEEPEST, leave)

    def head(self, path: Path, size: int) -> bytes:
        """Return the first bytes of a file, links not followed; nothing of one that may not be read."""
        try:
            handle = os.open(path, READ)
        except OSError:
            return b""
        try:
            return os.read(handle, size)
        except OSError:
            return b""
        finally:
            os.close(handle)

    def ensure_free(self, source: Path, seen: FileStat) -> None:
        """Raise as `take` would, as far as it can be told without moving anything. Its content is durable then."""
        if not os.access(source.parent, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "nothing may be taken out of its folder")
        handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            _must_be(source, seen)
            if _is_written_to(handle) and not is_remote(file_system(source)):
                raise OSError(errno.ETXTBSY, "somebody has it open to write")
            os.fsync(handle)
        finally:
            os.close(handle)

    def take(self, source: Path, target: Path, seen: FileStat) -> None:
        """Move a settled file to `target`, or raise with nothing done; `Changed` when it is not what was seen any more.

        Within one file system it is a rename. A file that has another name elsewhere is copied, since whoever holds
        that name may still write to it; so is one from another file system. `OSError` with ETXTBSY while somebody has
        it open to write, where the kernel tells us. Only when a disk fails may the file lie at `target` after an error.
        """
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "there is such a file of ours already")
        drop = source.parents[seen.path.count("/")]
        with pinned(drop, seen.path) as held:
            self.ensure_free(held, seen)
            if seen.links > 1 or not self._renamed(held, target, seen):
                self._carried_over(held, target, seen)
            sync_folder(held.parent)

    def put_back(self, source: Path, drop: Path, name: str, stamp: str = "") -> None:
        """Move one of our own files back to where it was dropped, or beside what lies there now; through no link."""
        with pinned(drop, name, make=True) as held:
            self.move(source, held, stamp)

    def move(self, source: Path, target: Path, stamp: str = "") -> Path:
        """Move one of our own files, never over another: a number is added to the name. Returns where it lies now.

        What a crash left behind under both names is one file again afterwards. With a `stamp`, `Changed` and nothing
        is moved where the file is not the one that has it, or was written to while it was copied over a border.
        """
        self.must_have(source, stamp)
        target.parent.mkdir(parents=True, exist_ok=True)
        free = free_name(target)
        try:
            source.rename(free)
            sync_folder(free.parent)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            if free != target and same(source, target, self.beat):
                free = target
            else:
                self._copied(source, free, stamp)
            source.unlink()
        sync_folder(source.parent)
        return free

    def write(self, path: Path, text: str) -> None:
        """Write a small file so that it is there whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        with os.fdopen(fresh(part, READABLE), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)

    def remove(self, path: Path) -> None:
        """Remove a file that we made ourselves and can make again."""
        path.unlink(missing_ok=True)

    def lies(self, path: Path) -> bool:
        """Return whether there is such a file."""
        return path.is_file()

    def names(self, folder: Path) -> list[str]:
        """Return the names of the files in a folder of ours, sorted."""
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False))

    def digest(self, path: Path) -> str:
        """Return the SHA-256 of a file, in hex."""
        return digest(path, self.beat)

    def size(self, path: Path) -> int | None:
        """Return the size of a file in bytes, or None when there is none."""
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return None

    def secure(self, path: Path) -> str:
        """Return the stamp of a file in a folder of ours, once no write to it can go unseen; `Changed` if one does.

        Where the file system would not tell of a write, and somebody else may have the file open, a copy that is ours
        alone takes its place.
        """
        if not is_told_of(path, path.stat(follow_symlinks=False)):
            if shutil.disk_usage(path.parent).free < path.stat().st_size:
                raise OSError(errno.ENOSPC, "no room for a copy")
            copy(path, path, self.beat)
        handle = os.open(path, READ)
        try:
            return lasting_stamp(handle)
        finally:
            os.close(handle)

    def stamp(self, path: Path) -> str | None:
        """Return what changes when somebody writes to a file (`adapters.stamps`), or None when there is none."""
        return stamp_of(path)

    def must_have(self, path: Path, stamp: str) -> None:
        """Raise `Changed` where a file has another stamp than this, if it is one."""
        if stamp and self.stamp(path) != stamp:
            raise Changed(errno.EBUSY, "the file is not the one that was looked at")

    def _copied(self, source: Path, target: Path, stamp: str) -> None:
        copy(source, target, self.beat)
        try:
            self.must_have(source, stamp)
        except Changed:
            target.unlink()
            raise

    def _renamed(self, source: Path, target: Path, seen: FileStat) -> bool:
        """Rename; False where a border lies between. Devices are not compared: overlays give a file another one."""
        try:
            source.rename(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            return False
        try:
            _must_be(target, seen)
        except Changed:
            self.move(target, source)  # never over what was put there meanwhile
            raise
        sync_folder(target.parent)
        return True

    def _carried_over(self, source: Path, target: Path, seen: FileStat) -> None:
        if shutil.disk_usage(target.parent).free < seen.size:
            raise OSError(errno.ENOSPC, "no room for a copy")
        copy(source, target, self.beat)
        try:
            _must_be(source, seen)
            source.unlink()
        except OSError:
            target.unlink()  # or there would be two of it
            raise


def identity(seen: FileStat) -> str:
    """Return how a file is known again after a rename: device, inode, size, modification time."""
    return f"{seen.device}:{seen.inode}:{seen.size}:{seen.mtime_ns}"


def _walk(folder: Path, below: str, deep: int, leave: Leave) -> Iterator[FileStat | Odd]:
    with os.scandir(folder) as listed:
        entries = sorted((one for one in listed if one.name not in (LOCK, MARK)), key=lambda one: one.name)
    for entry in entries:
        path = f"{below}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from _inside(folder / entry.name, path, deep - 1, leave)
        elif entry.is_file(follow_symlinks=False):
            seen = _seen(entry, path)
            if seen is not None:
                yield seen
        else:
            yield Odd(path, "a link" if entry.is_symlink() else "no file")


def _inside(folder: Path, path: str, deep: int, leave: Leave) -> Iterator[FileStat | Odd]:
    if why := leave(path):
        yield Odd(path, why)
    elif folder.name.startswith("."):
        yield Odd(path, "a hidden folder")
    elif not deep:
        yield Odd(path, "nested too deeply")
    else:
        try:
            yield from _walk(folder, f"{path}/", deep, leave)
        except (FileNotFoundError, NotADirectoryError):  # gone between listing and looking
            return
        except OSError as error:
            yield Odd(path, "a folder that cannot be read", error)


def _seen(entry: os.DirEntry[str], path: str) -> FileStat | None:
    try:
        stat = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # gone between listing and looking
        return None
    return FileStat(path, stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_dev, stat.st_nlink)


def _is_written_to(handle: int) -> bool:
    """Return whether a process has the file open to write, by asking for a lease on it (fcntl(2)) and letting it go.

    The kernel tells only root and the file's owner: False is no proof. Nor is True where other machines may write,
    since NFS and CIFS refuse a lease to whom the server has given no delegation.
    """
    fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)  # who opens it just now must not end us, as SIGIO would
    try:
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def _must_be(path: Path, seen: FileStat) -> None:
    stat = path.stat(follow_symlinks=False)
    if (stat.st_size, stat.st_mtime_ns, stat.st_ino) != (seen.size, seen.mtime_ns, seen.inode):
        raise Changed(errno.EBUSY, "the file is still being written to")


def free_name(target: Path) -> Path:
    """Return the path, or one with a number added to its name where something lies there."""
    free, number = target, 1
    while os.path.lexists(free):
        number += 1
        free = target.with_name(f"{target.stem}-{number}{target.suffix}")
    return free
