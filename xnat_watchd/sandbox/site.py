"""One practice site: its dialect, settings, clock, users and store, behind one lock."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event, RLock, Thread
from time import monotonic

from .answers import Refused
from .options import Options
from .store import UNASSIGNED, Store, StoredProject, StoredRow, UploadCache
from .tracked_request import TrackedRequest

OLD, NEW = "1.6", "1.8"
DIALECTS = (NEW, OLD)
READERS = frozenset({"owner", "member", "collaborator"})
POLL_SECONDS, LONGEST_WAIT_SECONDS = 0.02, 600.0
EDITORS = frozenset({"owner", "member"})


@dataclass
class Site:
    """The state of one site, which every handler gets."""

    dialect: str
    options: Options
    store: Store
    now: Callable[[], datetime]
    lock: RLock = field(default_factory=RLock)
    stopped: Event = field(default_factory=Event)
    user_names: list[str] = field(default_factory=lambda: ["admin", "guest"])  # as every XNAT has them
    admins: set[str] = field(default_factory=set)
    caches: dict[str, UploadCache] = field(default_factory=dict)  #: by user, the last one
    importing: list[str] = field(default_factory=list)  #: login sessions with an import under way
    creating: set[tuple[str, str]] = field(default_factory=set)  #: project and label of new subjects
    tracked_requests: dict[tuple[str, str], TrackedRequest] = field(default_factory=dict)  #: by user and listener
    left_behind: list[StoredRow] = field(
        default_factory=list
    )  #: rows that appear at the next start of the server (F87)
    _jobs: list[Thread] = field(default_factory=list)
    _last_stamp: datetime = datetime(1, 1, 1, tzinfo=UTC)

    @property
    def is_old(self) -> bool:
        """Whether it acts as 1.6 does."""
        return self.dialect == OLD

    @property
    def version(self) -> str:
        """The version that it reports."""
        return self.options.version or ("1.6.5" if self.is_old else "1.8.10")

    @property
    def is_1_6_4(self) -> bool:
        """Whether it acts as 1.6.4 does where that differs from 1.6.5 (F64, F287)."""
        return self.is_old and self.version == "1.6.4"

    def stamp(self) -> str:
        """Return a timestamp for a new place, `yyyyMMdd_HHmmssSSS`, never the same twice (F10; F61 is a fault)."""
        now = self.now()
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        self._last_stamp = max(now, self._last_stamp + timedelta(milliseconds=1))
        moment = self._last_stamp.astimezone(now.tzinfo)
        return f"{moment:%Y%m%d_%H%M%S}{moment.microsecond // 1000:03d}"

    def wait(self, event: Event | None, seconds: float = 0.0) -> None:
        """Wait for an event, or for so many seconds, but at most until the site stops."""
        if event is None:
            self.stopped.wait(seconds)
            return
        end = monotonic() + (seconds or LONGEST_WAIT_SECONDS)
        while not (event.wait(POLL_SECONDS) or self.stopped.is_set() or monotonic() > end):
            pass

    def find_left_behind(self) -> None:
        """Add rows for folders in the prearchive that have none, as a server does when it starts (F87)."""
        with self.lock:
            for row in self.left_behind:
                touch(self, row)
                self.store.rows[row.key] = row
            self.left_behind.clear()

    def in_background(self, job: Thread) -> None:
        """Start a job that goes on after the answer."""
        self._jobs.append(job)
        job.start()

    def finish(self) -> None:
        """Wait for the jobs in the background, which end soon after `stopped` is set."""
        while self._jobs:
            self._jobs.pop().join()

    def project(self, name: str, user: str) -> StoredProject:
        """Return a project that the user may see, or refuse with 404 (F51)."""
        project = self.store.projects.get(name)
        if project is None or not self.may_see(user, name):
            raise Refused(404)
        return project

    def role(self, user: str, project: str) -> str:
        """Return the user's role in a project, empty where there is none; site admins are owners everywhere."""
        if user in self.admins:
            return "owner"
        known = self.store.projects.get(project)
        return known.roles.get(user, "") if known else ""

    def may_see(self, user: str, project: str) -> bool:
        """Return whether the user may see the project itself: every project that is not private (F51)."""
        known = self.store.projects.get(project)
        return known is not None and (known.accessibility != "private" or bool(self.role(user, project)))

    def may_read(self, user: str, project: str) -> bool:
        """Return whether the user may read the project's data."""
        known = self.store.projects.get(project)
        return known is not None and (known.accessibility == "public" or self.role(user, project) in READERS)

    def may_edit(self, user: str, project: str) -> bool:
        """Return whether the user may create and edit data there; in Unassigned only admins may (F50, F170)."""
        if project == UNASSIGNED:
            return user in self.admins
        return self.role(user, project) in EDITORS

    def may_delete(self, user: str, project: str) -> bool:
        """Return whether the user may delete archived data there: only owners may (F50)."""
        return self.role(user, project) == "owner"


def sql_time(moment: datetime | None) -> str:
    """Return a moment as the database prints it: trailing zeros of the fraction cut, one digit kept (F21)."""
    if moment is None:
        return ""
    fraction = f"{moment.microsecond // 1000:03d}".rstrip("0") or "0"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{fraction}"


def touch(site: Site, row: StoredRow) -> None:
    """Set the time of a row's last change to now."""
    row.lastmod = site.now()


def clean_label(label: str) -> str:
    """Return a label as the archive stores it (F37, F70, F144).

    ASCII blanks and punctuation become `_`; letters of every script stay.
    """
    return re.sub(r"[\x00-\x7f]", lambda match: match[0] if match[0].isalnum() or match[0] in "_-" else "_", label)


def from_path(site: Site, segment: str) -> str:
    """Return a segment of a path as the archive looks it up: 1.6 escapes it first, also beyond ASCII (F80)."""
    return escaped(segment, letters_too=True) if site.is_old else segment


def folder_name(label: str) -> str:
    """Return a label as a folder name: every character except `[A-Za-z0-9_-]` becomes `_` (F12)."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", label)


def escaped(value: str, *, letters_too: bool) -> str:
    """Return a parameter as XNAT escapes it on receipt (F122); 1.6.5 also escapes letters beyond ASCII (F37, F41)."""
    table = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&apos;", '"': "&quot;"}
    return "".join(table.get(one) or (f"&#{ord(one)};" if letters_too and not one.isascii() else one) for one in value)
