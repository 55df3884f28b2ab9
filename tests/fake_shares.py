"""An XNAT in memory behind the sharing gateway's Protocol: what it says and what it does are two things (F46, F47).

`FakeArchive` is the server's memory and survives its clients; `FakeSharing` is one client of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from xnat_watchd.core.errors import Conflict, RepeatOnce, WatchdError
from xnat_watchd.core.ports import Clock
from xnat_watchd.core.sharing.plan import Action, SeenProject, SeenSession, ShareSubject

Shared = tuple[str, str]  #: destination, accession ID


@dataclass(slots=True)
class Thing:
    """A subject, or a session of one: its labels by project, its own project first."""

    id: str
    project: str
    labels: dict[str, str]
    subject: str = ""
    date: str = "2024-02-29"
    since: dict[str, datetime] = field(default_factory=dict)

    def shown(self, project: str, now: datetime) -> bool:
        return project in self.labels and self.since.get(project, now) <= now


class FakeArchive:
    """The server's memory. Tests may read and bend every attribute.

    `before[method]` holds errors that are raised instead of an effect, `after[method]` errors that are raised
    although the effect stands; None lets one request pass. An effect is seen after `delay`.
    """

    def __init__(self, clock: Clock, *, delay: timedelta = timedelta(0)) -> None:
        self.clock, self.delay = clock, delay
        self.projects: dict[str, bool] = {}  #: writable for us
        self.subjects: dict[str, Thing] = {}
        self.sessions: dict[str, Thing] = {}
        self.before: dict[str, list[WatchdError | None]] = defaultdict(list)
        self.after: dict[str, list[WatchdError | None]] = defaultdict(list)
        self.requests: list[str] = []
        self.made: Counter[Shared] = Counter()  #: how often each share was made where there was none
        self.relabelled: list[Shared] = []
        self.orphans: list[Shared] = []  #: sessions that were shared before their subject
        self.short: set[str] = set()  #: projects whose listing is empty although they are not
        self.idle = False  #: says yes and does nothing
        self.blind: set[str] = set()  #: projects that are listed and may not be looked into

    def subject(self, project: str, label: str, sessions: Collection[str] = ()) -> Thing:
        """Make a subject with sessions of these labels."""
        self.projects.setdefault(project, True)
        one = Thing(f"X_S{len(self.subjects) + 1}", project, {project: label})
        self.subjects[one.id] = one
        for name in sessions:
            self.session(one, name)
        return one

    def session(self, subject: Thing, label: str) -> Thing:
        one = Thing(f"X_E{len(self.sessions) + 1}", subject.project, {subject.project: label}, subject.id)
        self.sessions[one.id] = one
        return one

    def labels(self, project: str) -> list[str]:
        """Return every label in a project, of subjects and sessions."""
        return sorted(one.labels[project] for one in self.all() if project in one.labels)

    def take_back(self, thing: Thing, project: str) -> None:
        """Unshare as a person does: a subject's sessions go with it (F236)."""
        for one in [thing, *(one for one in self.sessions.values() if one.subject == thing.id)]:
            one.labels.pop(project, None)

    def all(self) -> list[Thing]:
        return [*self.subjects.values(), *self.sessions.values()]

    def put(self, action: Action) -> None:
        """Share, relabel or refuse, as XNAT does (F230, F234)."""
        shelf = self.subjects if isinstance(action, ShareSubject) else self.sessions
        found = [one for one in shelf.values() if one.labels.get(action.source) == action.name]
        if not found or action.destination not in self.projects:
            raise RepeatOnce("XNAT answered 403 to sharing")
        thing, into = found[0], action.destination
        if into in thing.labels:
            if thing.labels[into] != action.label:
                self.relabelled.append((into, thing.id))
            thing.labels[into] = action.label
            raise Conflict("XNAT answered 409 to sharing")
        if any(one.labels.get(into) == action.label for one in shelf.values()):
            raise Conflict("XNAT answered 409 to sharing")
        if not self.projects[into]:
            raise RepeatOnce("XNAT answered 403 to sharing")
        if thing.subject and into not in self.subjects[thing.subject].labels:
            self.orphans.append((into, thing.id))
        thing.labels[into] = action.label
        thing.since[into] = self.clock.now() + self.delay
        self.made[into, thing.id] += 1


class FakeSharing:
    """`core.ports.SharingGateway` upon a `FakeArchive`."""

    def __init__(self, archive: FakeArchive) -> None:
        self.archive = archive

    def probe(self) -> None:
        with self._request("probe"):
            pass

    def listed(self) -> Sequence[str]:
        with self._request("listed"):
            return [*self.archive.projects]

    def reachable(self, projects: Collection[str]) -> Mapping[str, bool]:
        with self._request("reachable"):
            return {name: self.archive.projects[name] for name in projects if name in self.archive.projects}

    def seen(self, project: str, *, writable: bool) -> SeenProject | None:
        with self._request("seen"):
            if project in self.archive.blind:
                return None
            now = self.archive.clock.now()
            short = project in self.archive.short
            subjects = [one for one in self.archive.subjects.values() if one.shown(project, now) and not short]
            sessions = [one for one in self.archive.sessions.values() if one.shown(project, now) and not short]
            return SeenProject(
                writable=writable,
                subjects={one.labels[project]: one.id for one in subjects},
                sessions=[
                    SeenSession(id=one.id, label=one.labels[project], subject=one.subject, date=one.date)
                    for one in sessions
                ],
            )

    def share(self, action: Action) -> None:
        with self._request(f"share {action.name} into {action.destination} as {action.label}"):
            if not self.archive.idle:
                self.archive.put(action)

    def is_shared(self, action: Action) -> bool:
        with self._request("is_shared"):
            shelf = self.archive.subjects if isinstance(action, ShareSubject) else self.archive.sessions
            return action.id in shelf and shelf[action.id].shown(action.destination, self.archive.clock.now())

    @contextmanager
    def _request(self, what: str) -> Iterator[None]:
        name = what.split(maxsplit=1)[0]
        self.archive.requests.append(what)
        _raise_next(self.archive.before[name])
        yield
        _raise_next(self.archive.after[name])


def _raise_next(errors: list[WatchdError | None]) -> None:
    error = errors.pop(0) if errors else None
    if error is not None:
        raise error
