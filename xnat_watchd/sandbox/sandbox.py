"""The practice XNAT: start it, fill it with projects and users, and see what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import file_digest
from pathlib import Path
from ssl import SSLContext
from types import TracebackType
from typing import Any, Self

from .application import Application
from .control import Control, View
from .dicom import read_header
from .faults import Faults
from .options import Options
from .server import RecordedRequest, Server
from .site import DIALECTS, NEW, OLD, Site
from .store import UNASSIGNED, Resource, Store, StoredProject

ROLES = ("owner", "member", "collaborator")


@dataclass(frozen=True)
class StoredInstance:
    """One DICOM file that the practice XNAT holds, as it is on its disk."""

    where: str
    project: str
    subject: str
    session: str
    study_uid: str
    series_uid: str
    sop_uid: str
    sha256: str
    path: Path


class Sandbox:
    """A practice XNAT that stores its files below `data` and listens on loopback.

    `users` maps names to passwords; each user is a member of each of `projects`. `clock` returns the server's time with
    its time zone; by default it is the time of this machine. `tls` may be set before each start.
    """

    def __init__(
        self,
        data: Path,
        dialect: str = NEW,
        *,
        users: Mapping[str, str] | None = None,
        projects: Iterable[str] = (),
        port: int = 0,
        clock: Callable[[], datetime] | None = None,
        options: Options | None = None,
    ) -> None:
        if dialect not in DIALECTS:
            raise ValueError(f"no such dialect: {dialect} (there are {' and '.join(DIALECTS)})")
        version = options.version if options else ""
        if version and version.startswith(f"{OLD}.") != (dialect == OLD):
            raise ValueError(f"{version} does not speak as {dialect} does")
        self._site = Site(dialect, options or Options(), Store(data), clock or _local_time)
        self._application = Application(self._site)
        self._port = port
        self._server: Server | None = None
        self._control: Control | None = None
        self._seen: list[RecordedRequest] = []
        self.tls: SSLContext | None = None
        self.faults = Faults()
        for project in projects:
            self.add_project(project)
        for name, password in (users or {}).items():
            self.add_user(name, password)
            for project in projects:
                self.grant(name, project, "member")

    @property
    def url(self) -> str:
        """The URL at which it listens."""
        if self._server is None:
            raise RuntimeError("the sandbox is not running")
        return self._server.url

    @property
    def requests(self) -> list[RecordedRequest]:
        """Every request so far, in order: method, path, query, status; the status is 0 where none was sent."""
        return self._server.requests if self._server else self._seen

    def wait_for_requests(self, count: int, seconds: float = 10.0) -> None:
        """Wait until `count` requests since the start have been answered or broken off, or raise TimeoutError."""
        if self._server is None or not self._server.wait_for_requests(count, seconds):
            raise TimeoutError(f"no {count} requests in {seconds} s")

    def start(self) -> Self:
        """Start to listen, and return the sandbox itself."""
        self._site.stopped.clear()
        self._site.find_left_behind()
        self._server = Server(self._application, self.faults, self._port, self.tls)
        self._server.start()
        return self

    def stop(self) -> None:
        """End every connection and thread, and raise RuntimeError where the sandbox itself has failed."""
        if self._server is None:
            return
        server, self._server = self._server, None
        self._site.stopped.set()
        if self._control:
            self._control.stop()
            self._control = None
        server.stop()
        self._site.finish()
        self._seen = server.requests
        if server.failures:
            raise RuntimeError("the sandbox itself failed") from server.failures[0]

    def listen_for_faults(self, port: int = 0) -> str:
        """Open the control address, where faults can be planned over HTTP, and return its URL."""
        views: dict[str, View] = {"/instances": self._described_instances, "/requests": lambda: self.requests}
        self._control = Control(self.faults, views, port)
        return self._control.url

    def wait_for_jobs(self) -> None:
        """Wait until the jobs in the background are done."""
        self._site.finish()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; raise AssertionError where a planned fault did not happen, unless another error is on its way."""
        self.stop()
        if error is None:
            self.faults.check()

    def add_user(self, name: str, password: str, *, admin: bool = False) -> None:
        """Create an account, or change its password; `admin` makes it a site admin."""
        with self._site.lock:
            self._application.logins.change_password(name, password)
            if name not in self._site.user_names:
                self._site.user_names.append(name)
            if admin:
                self._site.admins.add(name)

    @property
    def login_tries(self) -> int:
        """How often a name and a password or token were sent, right or wrong."""
        with self._site.lock:
            return self._application.logins.tries

    def forget_logins(self) -> None:
        """End every login session, as a restart of the server does."""
        with self._site.lock:
            self._application.logins.sessions.clear()

    def expire(self, name: str, what: str = "password") -> None:
        """Let a user's `password` expire, or the `account`, as XNAT does after a long idle time."""
        if what not in {"password", "account"}:
            raise ValueError(f"neither password nor account: {what}")
        with self._site.lock:
            self._application.logins.accounts[name].expired = what

    def add_project(
        self,
        project: str,
        prearchive_code: int = 0,
        accessibility: str = "protected",
        *,
        name: str = "",
        description: str = "",
        made_by: str = "admin",
    ) -> None:
        """Create a project. The code is 0 for manual, 4 for auto-archive, 5 for auto-archive with overwriting."""
        with self._site.lock:
            self._site.store.projects[project] = StoredProject(
                project, name or project, self._site.now(), prearchive_code, accessibility, description, made_by
            )

    def grant(self, user: str, project: str, role: str | None) -> None:
        """Set the role of a user in a project; None removes the user from it."""
        if role is not None and role not in ROLES:
            raise ValueError(f"no such role: {role}")
        with self._site.lock:
            roles = self._site.store.projects[project].roles
            roles.pop(user, None)
            if role:
                roles[user] = role

    def instances(self) -> list[StoredInstance]:
        """Return every file that it holds, each once, with the UIDs and the digest read from disk now."""
        with self._site.lock:
            return [*self._archived(), *self._prearchived()]

    def subject(self, project: str, label: str) -> dict[str, Any] | None:
        """Return a subject's ID, label, demographics and fields as stored; None where there is no such subject."""
        with self._site.lock:
            found = self._site.store.subject(project, label)
            if found is None:
                return None
            return {
                "id": found.id, "label": found.label, "demographics": dict(found.demographics),
                "fields": dict(found.fields), **found.values,
            }  # fmt: skip

    def sessions(self, project: str) -> list[dict[str, Any]]:
        """Return the archived sessions of a project with label, UID, subject, and scans with their file counts."""
        with self._site.lock:
            return [
                {
                    "id": one.id, "label": label, "uid": one.session.uid, "kind": one.session.kind,
                    "subject": self._site.store.subjects[one.subject_id].label,
                    "prearchive_path": one.prearchive_path,
                    "scans": {
                        scan.id: {"uid": scan.uid, "files": _counts(scan.resources)}
                        for scan in one.session.scans.values()
                    },
                }
                for label, one in self._site.store.experiments_in(project)
            ]  # fmt: skip

    def rows(self, project: str) -> list[dict[str, Any]]:
        """Return the prearchive rows of a project with timestamp, folder, name, subject, status and tag."""
        with self._site.lock:
            return [
                {
                    "timestamp": row.timestamp, "folder": row.folder, "name": row.name, "subject": row.subject,
                    "status": row.status, "tag": row.tag, "files": len(row.received),
                }
                for row in self._site.store.rows_of(project)
            ]  # fmt: skip

    def _described_instances(self) -> list[dict[str, Any]]:
        """Return the instances as the control address lists them."""
        return [{**asdict(one), "path": str(one.path)} for one in self.instances()]

    def _archived(self) -> Iterable[StoredInstance]:
        store = self._site.store
        for one in store.experiments.values():
            subject = store.subjects[one.subject_id].label
            for path in _files(store.session_folder(one)):
                yield _instance("archive", one.project, subject, one.label, path)

    def _prearchived(self) -> Iterable[StoredInstance]:
        store = self._site.store
        for row in store.rows.values():
            where = "unassigned" if row.project == UNASSIGNED else "prearchive"
            for path in _files(store.row_folder(row)):
                yield _instance(where, row.project, row.subject, row.folder, path)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _instance(where: str, project: str, subject: str, session: str, path: Path) -> StoredInstance:
    header = read_header(path)
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    return StoredInstance(
        where, project, subject, session, header.study_uid, header.series_uid, header.sop_uid, digest, path
    )


def _counts(resources: dict[str, Resource]) -> dict[str, int]:
    return {label: len(resource.files) for label, resource in resources.items()}


def _local_time() -> datetime:
    return datetime.now().astimezone()
