"""The file that `login` writes: one login for each server, for the service's user and nobody else.

It is replaced as a whole. Whoever can read it can act as the service on XNAT. So the file is refused if others can read
it, and no error text holds any of its content. It lies in a folder of its own within the service's state folder: from a
process that is to have no way to it, systemd hides that folder; the hiding of a file would end when it is replaced.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from xnat_watchd.adapters.files.folder_handles import make_folder
from xnat_watchd.adapters.files.new_files import create_new
from xnat_watchd.adapters.secret import Credential, Lease, Secret
from xnat_watchd.core.errors import Refusal

PRIVATE, NAME = "login", "credentials.json"  #: the folder and the file in it
LONGEST = 1 << 20  #: bytes that are read; one login takes about 300
MODE = 0o600

Entry = Mapping[str, Any]


def folders(environ: Mapping[str, str], beside: Path | None) -> list[Path]:
    """Return where the file may lie, in order of precedence: in the state folder, then beside the ledger."""
    state = environ.get("STATE_DIRECTORY", "").partition(":")[0]  # several are joined by a colon (systemd.exec(5))
    return list(dict.fromkeys([*([Path(state)] if state else []), *([beside] if beside else [])]))


@dataclass(frozen=True, slots=True)
class LoginFile:
    """The login file of one folder."""

    folder: Path

    @property
    def path(self) -> Path:
        """The path of the file."""
        return self.folder / PRIVATE / NAME

    @property
    def earlier(self) -> Path:
        """The path that the file had up to version 0.1. It is read there, and moves when it is written."""
        return self.folder / NAME

    def find(self, server: str) -> Credential | None:
        """Return the login for a server, or None. Raise `Refusal` if the file cannot be trusted."""
        entry = self._read().get(_key(server))
        return None if entry is None else self._credential(entry)

    def prepare(self) -> None:
        """Make the folder if it is missing. Raise `Refusal` if no login can be stored, before anybody types one."""
        try:
            make_folder(self.folder)
        except OSError as error:
            raise Refusal(f"{self.folder}: cannot be made: {error.strerror}", advice=AS_SERVICE) from None
        with self._held():
            self._read()
            if not os.access(self.folder, os.W_OK | os.X_OK, effective_ids=True):
                raise Refusal(f"{self.folder}: cannot be written to", advice=AS_SERVICE)

    def store(self, server: str, credential: Credential, instead_of: Credential | None = None) -> bool:
        """Store a login and return whether it was stored. With `instead_of`, replace only that login."""
        with self._held():
            entries = self._read()
            before = entries.get(_key(server))
            if instead_of is not None and (before is None or not _same(self._credential(before), instead_of)):
                return False
            self._write({**entries, _key(server): _entry(credential)})
        return True

    def remove(self, server: str) -> Credential | None:
        """Remove the login for a server. Return it, or None if there was none."""
        with self._held():
            entries = self._read()
            before = entries.pop(_key(server), None)
            if before is None:
                return None
            self._write(entries)
        return self._credential(before)

    def _read(self) -> dict[str, Entry]:
        handle = self._opened(self.path)
        if handle is None:
            handle = self._opened(self.earlier)
        if handle is None:
            return {}
        with os.fdopen(handle, "rb") as file:
            self._refuse_what_others_can_read(os.fstat(handle))
            return self._parsed(file.read(LONGEST))

    def _opened(self, path: Path) -> int | None:
        """Return a handle of the file; None if there is none for us. Raise `Refusal` if it cannot be read."""
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.EACCES and not self._is_ours():
                return None  # it belongs to the service, and we are another user with a login of our own or none
            raise Refusal(f"{path}: cannot be read: {error.strerror}", advice=AS_SERVICE) from None

    def _parsed(self, text: bytes) -> dict[str, Entry]:
        try:
            entries = json.loads(text)["servers"]
            return {str(server): dict(entry) for server, entry in entries.items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            # Not chained: the parser's error holds the text.
            raise Refusal(f"{self.path}: cannot be understood", advice=f"Remove it, then {LOG_IN}.") from None

    def _credential(self, entry: Entry) -> Credential:
        try:
            lease = entry.get("token")
            return Credential(
                str(entry["user"]),
                Secret(str(entry["password"])),
                f"the file {self.path}",
                None if lease is None else _lease(lease),
            )
        except (ValueError, KeyError, TypeError):
            raise Refusal(f"{self.path}: cannot be understood", advice=f"Remove it, then {LOG_IN}.") from None

    def _is_ours(self) -> bool:
        try:
            return self.folder.stat().st_uid == os.geteuid()
        except PermissionError:  # it lies below a folder of another user
            return False

    def _refuse_what_others_can_read(self, seen: os.stat_result) -> None:
        if seen.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise Refusal(
                f"{self.path}: other users of this machine may read or change it, and it holds a password",
                advice=f"Type `chmod 600 {self.path}`, and change the password if somebody may have seen it.",
            )
        if seen.st_uid not in (0, os.geteuid(), self.folder.stat().st_uid):
            raise Refusal(
                f"{self.path}: belongs to another user, and it holds a password", advice=f"Remove it, then {LOG_IN}."
            )

    def _write(self, entries: Mapping[str, Entry]) -> None:
        """Write a temporary file and rename it: nobody reads half of it, and only its owner may read it."""
        owner = self.folder.stat()
        self._make_private(owner)
        part = self.path.with_name(f".{NAME}.part")
        handle = create_new(part, MODE)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                if os.geteuid() == 0:  # root logs the service in: the service's user owns the folder
                    os.fchown(handle, owner.st_uid, owner.st_gid)
                os.fchmod(handle, MODE)
                json.dump({"servers": entries}, file, indent=1)
                file.flush()
                os.fsync(handle)
            part.replace(self.path)
        finally:
            part.unlink(missing_ok=True)
        self.earlier.unlink(missing_ok=True)

    def _make_private(self, owner: os.stat_result) -> None:
        """Make the file's own folder, for its owner alone."""
        with suppress(FileExistsError):
            self.path.parent.mkdir(MODE | stat.S_IXUSR)
            if os.geteuid() == 0:
                os.chown(self.path.parent, owner.st_uid, owner.st_gid, follow_symlinks=False)

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Hold a lock against other writers: the service may renew a token while somebody logs in."""
        try:
            handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise Refusal(f"{self.folder}: there is no such folder", advice=NO_FOLDER) from None
        except OSError as error:
            raise Refusal(f"{self.folder}: cannot be read: {error.strerror}", advice=AS_SERVICE) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        except OSError as error:  # no right, a read-only or a full disk
            raise Refusal(f"{self.folder}: cannot be written to: {error.strerror}", advice=AS_SERVICE) from None
        finally:
            os.close(handle)


LOG_IN = "type `xnat-watchd login`"
AS_SERVICE = "It is for the service's own user and for root: put `sudo` in front."
NO_FOLDER = "`xnat-watchd install` makes it, or the first `xnat-watchd run`."


def _key(server: str) -> str:
    """Return a server's address as the file writes it: host names do not depend on case (RFC 3986 6.2.2)."""
    parts = urlsplit(server)
    return f"{parts.scheme.lower()}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def _entry(credential: Credential) -> Entry:
    entry: dict[str, Any] = {"user": credential.user, "password": credential.password.reveal()}
    if credential.lease is None:
        return entry
    lease = credential.lease
    expires = lease.expires.isoformat() if lease.expires else None
    return {**entry, "token": {"owner": lease.owner, "issued": lease.issued.isoformat(), "expires": expires}}


def _lease(written: Mapping[str, Any]) -> Lease:
    expires = written["expires"]
    return Lease(str(written["owner"]), _moment(written["issued"]), None if expires is None else _moment(expires))


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError
    return moment


def _same(one: Credential, other: Credential) -> bool:
    return (one.user, one.password) == (other.user, other.password)
