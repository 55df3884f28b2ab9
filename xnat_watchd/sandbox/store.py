"""What an XNAT stores: projects, subjects, experiments, prearchive rows, and their files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from .dicom import ObjectHeader

UNASSIGNED = "Unassigned"
LOCKED = "_"


@dataclass(slots=True)
class StoredFile:
    """One file on disk: its name in its scan, its path, its header as it was received, and its size in bytes."""

    name: str
    path: Path
    header: ObjectHeader
    size: int


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A received file that is not yet in a row: its name in the upload, its path, and its header."""

    name: str
    path: Path
    header: ObjectHeader


@dataclass(slots=True)
class Resource:
    """The files of a scan below one label, by name."""

    label: str
    number: int = 0
    files: dict[str, StoredFile] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The size of all its files in bytes."""
        return sum(file.size for file in self.files.values())


@dataclass(slots=True)
class StoredScan:
    """One series in XNAT; its ID is the series number, with a suffix where the number was taken."""

    id: str
    uid: str
    kind: str
    header: ObjectHeader
    number: int = 0
    resources: dict[str, Resource] = field(default_factory=dict)

    @property
    def files(self) -> list[StoredFile]:
        """All files of all its resources."""
        return [file for resource in self.resources.values() for file in resource.files.values()]

    @property
    def frames(self) -> int:
        """The number of its images (F53)."""
        return sum(file.header.image_count for file in self.files)

    def add(self, file: StoredFile) -> None:
        """Add a file to the resource to which it belongs."""
        label = file.header.resource
        self.resources.setdefault(label, Resource(label)).files[file.name] = file


@dataclass(slots=True)
class StoredSession:
    """The session that a build forms from the files of one study."""

    label: str
    subject: str
    uid: str
    kind: str
    modality: str
    header: ObjectHeader
    scans: dict[str, StoredScan] = field(default_factory=dict)

    @property
    def files(self) -> list[StoredFile]:
        """All files of all its scans."""
        return [file for scan in self.scans.values() for file in scan.files]


@dataclass(frozen=True, slots=True)
class QueuedAction:
    """An action on a row that a batch service has queued, and when it is due (F183)."""

    verb: str
    project: str
    due: datetime


@dataclass(slots=True)
class StoredRow:
    """One session in the prearchive, identified by project, timestamp and folder (F175); `tag` is its study UID."""

    project: str
    timestamp: str
    folder: str
    name: str
    subject: str
    tag: str
    status: str
    lastmod: datetime
    autoarchive: str = "Manual"
    uploaded: datetime | None = None
    scan_date: str = ""
    scan_time: str = ""
    prevent_anon: bool = False
    prevent_auto_commit: bool = False
    source: str = ""
    visit: str = ""
    timezone: str = ""
    received: dict[tuple[str, str], StoredFile] = field(default_factory=dict)  #: by scan number and name
    session: StoredSession | None = None
    log: list[str] = field(default_factory=list)
    queued: QueuedAction | None = None
    is_direct: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """Project, timestamp and folder."""
        return self.project, self.timestamp, self.folder

    @property
    def files(self) -> list[StoredFile]:
        """All its files, in the order in which they came."""
        return list(self.received.values())

    @property
    def uri(self) -> str:
        """Its URI without the leading `/data`, as listed (F21); a direct upload to the archive has its own form."""
        if self.is_direct:
            return f"/xapi/direct-archive/{self.project}/{self.tag}/{self.name}"
        return f"/prearchive/projects/{self.project}/{self.timestamp}/{self.folder}"

    @property
    def archives_itself(self) -> bool:
        """Whether the site archives it without a request; an empty value means no, as `Manual` does."""
        return self.autoarchive in {"AutoArchive", "AutoArchiveOverwrite"}

    @property
    def is_locked(self) -> bool:
        """Whether the row is locked: only a status that begins with an underscore is a lock (F178)."""
        return self.status.startswith(LOCKED)


@dataclass(slots=True)
class StoredSubject:
    """A subject: its demographics and custom fields as stored, escaped (F41)."""

    id: str
    label: str
    project: str
    insert_user: str
    insert_date: datetime
    demographics: dict[str, Any] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
    shares: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Experiment:
    """An archived session."""

    id: str
    label: str
    project: str
    subject_id: str
    session: StoredSession
    prearchive_path: str
    insert_user: str
    insert_date: datetime
    values: dict[str, str] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
    shares: dict[str, str] = field(default_factory=dict)
    workflow_ends: datetime | None = None

    def is_in_the_making(self, now: datetime) -> bool:
        """Return whether its AutoRun workflow is still open (F29)."""
        return self.workflow_ends is not None and self.workflow_ends > now


@dataclass(slots=True)
class StoredProject:
    """A project: its policy for new uploads, its accessibility, and the roles of its users."""

    id: str
    name: str
    insert_date: datetime
    prearchive_code: int = 0
    accessibility: str = "protected"
    description: str = ""
    made_by: str = "admin"
    roles: dict[str, str] = field(default_factory=dict)

    @property
    def autoarchive(self) -> str:
        """The policy, in the form of a prearchive row."""
        return {4: "AutoArchive", 5: "AutoArchiveOverwrite"}.get(self.prearchive_code, "Manual")

    @property
    def archives_itself(self) -> bool:
        """Whether the site archives new sessions without a request."""
        return self.autoarchive != "Manual"


@dataclass(slots=True)
class UploadCache:
    """The cache folder of one upload, and the files of other uploads that came into it (F61)."""

    started: float
    folder: Path
    foreign_files: list[ReceivedFile] = field(default_factory=list)
    row: StoredRow | None = None


class Store:
    """Everything that the site stores. It is not thread-safe; hold the site's lock."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cache = root / "cache"
        self.cache.mkdir(parents=True, exist_ok=True)
        self.projects: dict[str, StoredProject] = {}
        self.subjects: dict[str, StoredSubject] = {}
        self.experiments: dict[str, Experiment] = {}
        self.rows: dict[tuple[str, str, str], StoredRow] = {}
        self.direct: dict[tuple[str, str, str], StoredRow] = {}
        self._numbers = {kind: count(1) for kind in ("S", "E", "scan", "resource", "spool", "file")}

    def number(self, kind: str) -> int:
        """Return the next number of a kind."""
        return next(self._numbers[kind])

    def accession(self, letter: str) -> str:
        """Return the next accession ID: `letter` is S for a subject, E for an experiment."""
        return f"XNAT_{letter}{self.number(letter):05d}"

    def spool(self) -> Path:
        """Return a new path in the cache, where nothing exists yet."""
        return self.cache / f"{self.number('spool'):08d}"

    def row_folder(self, row: StoredRow) -> Path:
        """Return the folder of a prearchive row, which no name from a client can lead outside the prearchive."""
        return self.row_folder_at(row.key)

    def row_folder_at(self, key: tuple[str, str, str]) -> Path:
        """Return the folder of a prearchive row by its project, timestamp and folder."""
        parts = (re.sub(r"[^\w. -]|^\.+", "_", part) for part in key)
        return self.root.joinpath("prearchive", *parts)

    def session_folder(self, experiment: Experiment) -> Path:
        """Return the folder of an archived session."""
        return self.root / "archive" / experiment.project / "arc001" / experiment.id

    def rows_of(self, project: str) -> list[StoredRow]:
        """Return the prearchive rows of one project, oldest first."""
        return [row for row in self.rows.values() if row.project == project]

    def subjects_in(self, project: str) -> Iterator[tuple[str, StoredSubject]]:
        """Yield the subjects of a project, including shared ones, each with its label there."""
        for subject in self.subjects.values():
            if subject.project == project:
                yield subject.label, subject
            elif project in subject.shares:
                yield subject.shares[project] or subject.id, subject

    def experiments_in(self, project: str) -> Iterator[tuple[str, Experiment]]:
        """Yield the experiments of a project, including shared ones, each with its label there."""
        for experiment in self.experiments.values():
            if experiment.project == project:
                yield experiment.label, experiment
            elif project in experiment.shares:
                yield experiment.shares[project] or experiment.id, experiment

    def subject(self, project: str, name: str) -> StoredSubject | None:
        """Return a subject of a project by its label there, else by its accession ID (F221)."""
        found = list(self.subjects_in(project))
        by_label = (subject for label, subject in found if label == name)
        return next(by_label, next((subject for _, subject in found if subject.id == name), None))

    def experiment(self, project: str, name: str) -> Experiment | None:
        """Return an experiment of a project by its label there, else by its accession ID."""
        found = list(self.experiments_in(project))
        by_label = (experiment for label, experiment in found if label == name)
        return next(by_label, next((one for _, one in found if one.id == name), None))
