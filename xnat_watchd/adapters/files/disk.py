"""The disk: listing the drop folder, and moving files so that neither a crash nor a full disk loses anything."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Never, Protocol, TypeVar

from xnat_watchd.adapters.files.copying import READ, Beat, begins_with, copy, digest, same
from xnat_watchd.adapters.files.folder_handles import pinned
from xnat_watchd.adapters.files.lock import LOCK
from xnat_watchd.adapters.files.mounts import file_system, is_remote
from xnat_watchd.adapters.files.new_files import create_new
from xnat_watchd.adapters.files.stamps import Changed, lasting_stamp, shows_every_write, stamp_of
from xnat_watchd.adapters.files.syncing import sync_folder
from xnat_watchd.core.settling import FileStat

READABLE = 0o666  #: mode of new files, reduced by the umask
FolderFilter = Callable[[str], str]  #: returns why a folder is left out, or nothing if it is not
MARK = ".xnat-watchd-mark"  #: the folder mark (`adapters.files.folder_marks`)
ONE_OFF = ".xnat-watchd"  #: the folder with all that belongs to ZIPs that are sent once, among them
OURS = frozenset((LOCK, MARK, ONE_OFF))  #: names that are never listed
DEEPEST = 64  #: levels of nested folders that are listed; deeper nesting is an attack


@dataclass(frozen=True, slots=True)
class OddEntry:
    """An entry of the drop folder that is not a file, or a folder that cannot be listed."""

    path: str  #: below the drop folder
    what: str
    error: OSError | None = None  #: why a folder cannot be read


def look_everywhere(_: str) -> str:
    """Leave out no folder."""
    return ""


def no_beat() -> None:
    """Do nothing: there is no heartbeat to renew."""


class Seen(Protocol):
    """What a caller remembers of a file that an earlier scan has shown."""

    @property
    def seen(self) -> FileStat:
        """The file as it was then."""


Known = TypeVar("Known", bound=Seen)


class Disk:
    """Everything that is done with files. A move is durable before the call returns.

    `beat` is called for every piece of a file that is copied, compared or digested. It may raise `Stopped`.
    """

    beat: Beat = staticmethod(no_beat)

    def scan(self, folder: Path, leave: FolderFilter = look_everywhere) -> Iterator[FileStat | OddEntry]:
        """Yield everything below a folder except its folders. Links are not followed.

        Raise `OSError` if the folder itself cannot be read. A folder in it that cannot be read is yielded as an
        `OddEntry`, and the others are still listed. `leave` returns why a folder is left out, given its path.
        """
        yield from _walk(folder, "", DEEPEST, leave, dict[str, Never]())

    def scan_again(
        self, folder: Path, leave: FolderFilter, known: Mapping[str, Known]
    ) -> Iterator[FileStat | OddEntry | Known]:
        """Yield what `scan` yields, but for a file that is still as it was in `known`, by path, that entry of `known`.

        So nothing is made for a file that has not changed, which counts where there are very many of them.
        """
        yield from _walk(folder, "", DEEPEST, leave, known)

    def head(self, path: Path, size: int) -> bytes:
        """Return the first bytes of a file, or nothing if it cannot be read. Links are not followed."""
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
        """Raise what `take` would raise, if that can be known without moving the file. Sync its content to the disk."""
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
        """Move a settled file to `target`. If an error is raised, nothing was moved, unless a disk failed.

        Within one file system this is a rename. A file on another file system is copied. So is a file with a second
        hard link: somebody may still write to it under the other name. Raise `Changed` if the file is not the one that
        was seen, and `OSError` with ETXTBSY while somebody has it open to write, where the kernel tells us.
        """
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "there is such a file of ours already")
        drop = source.parents[seen.path.count("/")]
        with pinned(drop, seen.path) as held:
            self.ensure_free(held, seen)
            if seen.links > 1 or not self._renamed(held, target, seen):
                self._move_by_copy(held, target, seen)
            sync_folder(held.parent)

    def put_back(self, source: Path, drop: Path, name: str, stamp: str = "") -> None:
        """Move one of our files back to where it was dropped, or beside what lies there now. Follow no link."""
        with pinned(drop, name, make=True) as held:
            self.move(source, held, stamp)

    def move(self, source: Path, target: Path, stamp: str = "") -> Path:
        """Move one of our files and return its new path. If the name is taken, a number is added to it.

        If a crash left the file under both names, only one remains afterwards. With a `stamp`, raise `Changed` and
        move nothing if the file has another one, or was written to while it was copied to another file system.
        """
        self.require_stamp(source, stamp)
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
                self._copy_unchanged(source, free, stamp)
            source.unlink()
        sync_folder(source.parent)
        return free

    def write(self, path: Path, text: str) -> None:
        """Write a small file so that it is there completely or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        with os.fdopen(create_new(part, READABLE), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)

    def remove(self, path: Path) -> None:
        """Remove a file that we made and can make again."""
        path.unlink(missing_ok=True)

    def exists(self, path: Path) -> bool:
        """Return whether there is such a file."""
        return path.is_file()

    def names(self, folder: Path) -> list[str]:
        """Return the names of the files in a folder of ours, sorted."""
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False))

    def seen(self, path: Path, name: str) -> FileStat:
        """Return a file of ours as a scan would show it under a name in the drop folder."""
        stat = path.stat(follow_symlinks=False)
        return FileStat(name, stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_dev, stat.st_nlink)

    def is_as_dropped(self, path: Path, known: str) -> bool:
        """Return whether a file has the size and the time of the one with this `identity`, wherever it lies now."""
        return identity(self.seen(path, "")).split(":")[:2] == known.split(":")[:2]

    def digest(self, path: Path) -> str:
        """Return the SHA-256 of a file, in hex."""
        return digest(path, self.beat)

    def begins_with(self, path: Path, other: Path, least: int) -> bool:
        """Return whether a file begins with all bytes of another one, which has at least `least` bytes."""
        return begins_with(path, other, self.beat, least)

    def size(self, path: Path) -> int | None:
        """Return the size of a file in bytes, or None when there is none."""
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return None

    def secure(self, path: Path) -> str:
        """Return the stamp of a file in a folder of ours once every later write changes it. May raise `Changed`.

        If a write might not show and somebody else may have the file open, a copy of our own replaces it first.
        """
        if not shows_every_write(path, path.stat(follow_symlinks=False)):
            if shutil.disk_usage(path.parent).free < path.stat().st_size:
                raise OSError(errno.ENOSPC, "no room for a copy")
            copy(path, path, self.beat)
        handle = os.open(path, READ)
        try:
            return lasting_stamp(handle)
        finally:
            os.close(handle)

    def stamp(self, path: Path) -> str | None:
        """Return what changes when somebody writes to a file (`stamps`), or None if there is no file."""
        return stamp_of(path)

    def require_stamp(self, path: Path, stamp: str) -> None:
        """Raise `Changed` if a file has another stamp than this. An empty stamp allows every file."""
        if stamp and self.stamp(path) != stamp:
            raise Changed(errno.EBUSY, "the file is not the one that was looked at")

    def _copy_unchanged(self, source: Path, target: Path, stamp: str) -> None:
        copy(source, target, self.beat)
        try:
            self.require_stamp(source, stamp)
        except Changed:
            target.unlink()
            raise

    def _renamed(self, source: Path, target: Path, seen: FileStat) -> bool:
        """Rename, or return False if the target is on another file system.

        Device numbers are not compared, since an overlay gives a file a number of its own.
        """
        try:
            source.rename(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            return False
        try:
            _must_be(target, seen)
        except Changed:
            self.move(target, source)  # never over a file that was put there in the meantime
            raise
        sync_folder(target.parent)
        return True

    def _move_by_copy(self, source: Path, target: Path, seen: FileStat) -> None:
        if shutil.disk_usage(target.parent).free < seen.size:
            raise OSError(errno.ENOSPC, "no room for a copy")
        copy(source, target, self.beat)
        try:
            _must_be(source, seen)
            source.unlink()
        except OSError:
            target.unlink()  # otherwise there would be two copies
            raise


def identity(seen: FileStat) -> str:
    """Return what identifies a file in the drop folder, on whichever host: size, modification time, digest of the path.

    Device and inode are not part of it: two hosts of one share see others, and a device's number may change at a boot.
    """
    path = hashlib.sha256(os.fsencode(seen.path)).hexdigest()
    return f"{seen.size}:{seen.mtime_ns}:{path}"


def _walk(
    folder: Path, below: str, deep: int, leave: FolderFilter, known: Mapping[str, Known]
) -> Iterator[FileStat | OddEntry | Known]:
    with os.scandir(folder) as listed:
        for entry in listed:
            if entry.name in OURS:
                continue
            path = below + entry.name
            if entry.is_file(follow_symlinks=False):
                last, seen = known.get(path), _seen(entry, path)
                if last is not None and last.seen == seen:
                    yield last
                elif seen is not None:
                    yield FileStat(*seen)
            elif entry.is_dir(follow_symlinks=False):
                yield from _inside(folder / entry.name, path, deep - 1, leave, known)
            else:
                yield OddEntry(path, "a link" if entry.is_symlink() else "no file")


def _inside(
    folder: Path, path: str, deep: int, leave: FolderFilter, known: Mapping[str, Known]
) -> Iterator[FileStat | OddEntry | Known]:
    if why := leave(path):
        yield OddEntry(path, why)
    elif folder.name.startswith("."):
        yield OddEntry(path, "a hidden folder")
    elif not deep:
        yield OddEntry(path, "nested too deeply")
    else:
        try:
            yield from _walk(folder, f"{path}/", deep, leave, known)
        except (FileNotFoundError, NotADirectoryError):  # gone between listing and looking
            return
        except OSError as error:
            yield OddEntry(path, "a folder that cannot be read", error)


def _seen(entry: os.DirEntry[str], path: str) -> tuple[str, int, int, int, int, int] | None:
    """Return the fields of a `FileStat`. Making one for each of very many names would take long."""
    try:
        stat = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # gone between listing and looking
        return None
    return path, stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_dev, stat.st_nlink


def _is_written_to(handle: int) -> bool:
    """Return whether a process has the file open to write. Ask the kernel for a lease (fcntl(2)) and give it back.

    The kernel grants leases only to root and the file's owner, so False proves nothing. Neither does True where other
    machines may write: NFS and CIFS refuse a lease to a client without a delegation from the server.
    """
    fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)  # SIGIO would end us if somebody opened the file just now
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
    """Return the path, or one with a number added to its name if the path is taken."""
    free, number = target, 1
    while os.path.lexists(free):
        number += 1
        free = target.with_name(f"{target.stem}-{number}{target.suffix}")
    return free
