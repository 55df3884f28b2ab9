"""An XNAT in memory behind the gateway's Protocol, whose effects may appear late.

`FakeXnat` is the server's memory and survives every crash of its clients; `FakeGateway` is one client of it.
What it does is what servers were seen to do (docs/xnat-facts.md), as far as the pipeline can tell the difference.
"""

from __future__ import annotations

import io
import re
import threading
import zipfile
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Literal

import pydicom
from pydicom.errors import InvalidDicomError

from xnat_watchd.core.delivery import Holding, Place, PrearchiveRow, Scan, Session, Subject
from xnat_watchd.core.errors import (
    AlreadyImported,
    Conflict,
    InDoubt,
    Misplaced,
    NotYet,
    Permanent,
    RepeatOnce,
    WatchdError,
)
from xnat_watchd.core.ports import Clock, Progressed

Dialect = Literal["1.6", "1.8"]
Stored = tuple[str, str, str, str]  #: where, project, session label or prearchive folder, SOPInstanceUID

AT_WORK = ("RECEIVING", "BUILDING", "QUEUED_", "_", "ARCHIVING")
GENDERS = frozenset({"male", "female", "other", "unknown", "m", "f"})


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One stored instance."""

    name: str
    study_uid: str
    series_uid: str
    sop_uid: str
    scan: str
    modality: str
    person: str
    header: Mapping[str, str]
    patient: tuple[str, str]  #: PatientName and PatientID as they stand


@dataclass(slots=True, kw_only=True)
class FakeRow:
    """One prearchive row. Until `visible_at` its import goes on."""

    place: Place
    files: list[File]
    visible_at: datetime
    status: str = "READY"


@dataclass(slots=True, kw_only=True)
class FakeSession:
    """One archived session. Files that an archive request brings are seen from their time on."""

    id: str
    project: str
    subject: str
    label: str
    origin: str
    study_uid: str
    batches: list[tuple[datetime, list[File]]]

    def files(self, now: datetime) -> list[File]:
        """Return the files that are visible now."""
        return [one for since, files in self.batches if since <= now for one in files]


@dataclass(slots=True)
class FakeSubject:
    """One subject and what is written about it."""

    id: str
    label: str
    fields: dict[str, str] = field(default_factory=dict)
    demographics: dict[str, str] = field(default_factory=dict)


class FakeXnat:
    """The server's memory. Tests may read and bend every attribute.

    `before[method]` holds errors that are raised instead of an effect, `after[method]` errors that are raised
    although the effect stands (a lost answer). `meanwhile` is the status of a row whose import goes on, None
    when such a row is not listed at all (as on 1.6). `leaves_out` names modalities that are dropped (F64),
    `remap` changes every UID and `rename` every file's name, as a site's anonymisation may.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        delay: timedelta = timedelta(0),
        meanwhile: str | None = None,
        dialect: Dialect = "1.8",
        projects: Sequence[str] = ("P1",),
    ) -> None:
        self.clock = clock
        self.delay = delay
        self.meanwhile = meanwhile
        self.dialect = dialect
        self.projects = dict.fromkeys(projects, True)  #: writable for us
        self.rows: dict[Place, FakeRow] = {}
        self.sessions: dict[str, FakeSession] = {}
        self.subjects: dict[str, list[FakeSubject]] = defaultdict(list)
        self.requests: list[str] = []
        self.before: dict[str, list[WatchdError]] = defaultdict(list)
        self.after: dict[str, list[WatchdError]] = defaultdict(list)
        self.leaves_out: set[str] = set()
        self.remap: Callable[[str], str] = str
        self.rename: Callable[[str], str] = str
        self.lock = threading.RLock()
        self._number = 0  # no iterator: the whole of it is copied, which newer Pythons refuse for one

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def instances(self) -> list[Stored]:
        """Return every instance once for each place, even where the effect is not visible yet."""
        with self.lock:
            rows = [
                ("prearchive", row.place.project, row.place.folder, one.sop_uid)
                for row in self.rows.values()
                if row.status != "ARCHIVING"
                for one in row.files
            ]
            archived = [
                ("archive", session.project, session.label, one.sop_uid)
                for session in self.sessions.values()
                for _, files in session.batches
                for one in files
            ]
            return sorted(rows + archived)

    def settle(self) -> None:
        """Take away the rows whose archiving has come to its end."""
        now = self.clock.now()
        gone = [p for p, row in self.rows.items() if row.status == "ARCHIVING" and row.visible_at <= now]
        for place in gone:
            del self.rows[place]

    def row(self, place: Place) -> FakeRow | None:
        """Return the row if it is listed."""
        row = self.rows.get(place)
        late = row is not None and row.visible_at > self.clock.now() and row.status != "ARCHIVING"
        return None if late and self.meanwhile is None else row

    def status(self, row: FakeRow) -> str:
        """Return the status that is listed now."""
        late = row.visible_at > self.clock.now() and row.status != "ARCHIVING"
        return self.meanwhile if late and self.meanwhile else row.status

    def store(self, place: Place, files: Sequence[File]) -> None:
        """Add files to a place, as one import does."""
        seen_from = self.clock.now() + self.delay
        row = self.rows.setdefault(place, FakeRow(place=place, files=[], visible_at=seen_from))
        row.visible_at = seen_from
        known = {(one.scan, one.sop_uid) for one in row.files}
        row.files += [one for one in files if (one.scan, one.sop_uid) not in known]

    def subject_of(self, project: str, label: str) -> FakeSubject:
        """Return the subject with this label, and create it if there is none; archiving ignores case (F199)."""
        known = self.subjects[project]
        found = next((one for one in known if one.label.casefold() == label.casefold()), None)
        if found is None:
            found = FakeSubject(f"XNAT_S{self._next_number():05}", label)
            known.append(found)
        return found

    def take_over(self, row: FakeRow, subject: FakeSubject, label: str) -> None:
        """Move a row's files into the archive, seen after the delay."""
        seen_from = self.clock.now() + self.delay
        session = self.session_named(row.place.project, label)
        if session is None:
            session = FakeSession(
                id=f"XNAT_E{self._next_number():05}",
                project=row.place.project,
                subject=subject.label,
                label=label,
                origin=f"/data/xnat/prearchive{row.place.tail}",
                study_uid=row.files[0].study_uid,
                batches=[],
            )
            self.sessions[session.id] = session
        session.batches.append((seen_from, _renumbered(row.files, session)))
        row.status, row.visible_at = "ARCHIVING", seen_from
        self.settle()

    def session_named(self, project: str, label: str) -> FakeSession | None:
        """Return the archived session with this label, even where it is not visible yet."""
        mine = (one for one in self.sessions.values() if one.project == project)
        return next((one for one in mine if one.label == label), None)


class FakeGateway:
    """`core.ports.Gateway` upon a `FakeXnat`."""

    def __init__(self, xnat: FakeXnat, clock: Clock) -> None:
        self.xnat = xnat
        self.clock = clock

    def probe(self) -> None:
        with self._request("probe"):
            pass

    def lateness(self) -> timedelta:
        return self.xnat.delay + timedelta(seconds=1)

    def writable(self, project: str, *, afresh: bool = False) -> bool:
        del afresh  # it asks each time
        with self._request("writable"):
            return self.xnat.projects.get(project, False)

    def listed(self) -> list[str]:
        with self._request("listed"):
            return sorted(self.xnat.projects)

    def archives_by_itself(self, project: str) -> bool:
        with self._request("archives_by_itself"):
            return project not in self.xnat.projects

    def look(self, place: Place) -> PrearchiveRow | None:
        with self._request("look"):
            row = self.xnat.row(place)
            if row is None:
                return None
            first = row.files[0]
            return PrearchiveRow(place, self.xnat.status(row), first.person, first.study_uid)

    def holding(self, place: Place, *, counted: bool = True) -> Holding:
        del counted
        with self._request("holding"):
            row = self.xnat.row(place)
            if row is None or self.xnat.status(row).startswith(AT_WORK):
                raise NotYet("XNAT has not built the session yet")
            return replace(_holding(row.files, row.files[0].study_uid), subject=row.files[0].person)

    def upload(self, place: Place, zip_path: str, progressed: Progressed, *, alone: bool) -> None:
        with self._request("upload alone" if alone else "upload"):
            size = Path(zip_path).stat().st_size
            progressed(0, size)
            files = [one for one in self._read(zip_path) if one.modality not in self.xnat.leaves_out]
            progressed(size, size)
            self._import(place, files)

    def discard(self, place: Place) -> None:
        with self._request("discard"):
            row = self.xnat.row(place)
            if row is None:
                return
            if self.xnat.status(row).startswith(("_", "RECEIVING", "ARCHIVING")):
                raise NotYet("XNAT is still at work on the row")
            del self.xnat.rows[place]

    def build(self, place: Place) -> None:
        with self._request("build"):
            row = self.xnat.row(place)
            if row is None:
                raise InDoubt("the row is gone")
            row.status = "READY"

    def stored(self, label: str) -> str:
        if self.xnat.dialect == "1.8":
            return label
        return re.sub(r"[^\x00-\x7f]", lambda letter: f"__{ord(letter[0])}_", label)  # F278

    def archive(self, place: Place, subject: str | None, label: str, *, join: bool, pipelines: bool) -> None:
        with self._request("archive" if pipelines else "archive without pipelines"):
            row = self.xnat.row(place)
            if row is None or row.status == "ARCHIVING":
                raise InDoubt("the row is not there: it may be archived already (F197)")
            if self.xnat.status(row).startswith(AT_WORK):
                raise NotYet("XNAT is still at work on the row")
            if row.status == "ERROR" or not self.xnat.projects.get(place.project, False):
                raise RepeatOnce("XNAT refused to archive")
            plain = subject is not None and self.stored(subject) == subject
            owner = self.xnat.subject_of(place.project, _clean(subject if plain and subject else row.files[0].person))
            label = _clean(self.stored(label))
            try:
                self._compare(row, owner, label, join=join)
            except Conflict:
                row.status = "CONFLICT"
                raise
            self.xnat.take_over(row, owner, label)

    def sessions(self, project: str, uids: Sequence[str]) -> Sequence[Session]:
        with self._request("sessions"):
            mine = (one for one in self.xnat.sessions.values() if one.project == project)
            return [seen for one in mine if one.study_uid in uids and (seen := self._seen(one))]

    def listed_sessions(self, project: str, uids: Sequence[str]) -> Sequence[Session]:
        return self.sessions(project, uids)

    def session_named(self, project: str, label: str) -> Session | None:
        with self._request("session_named"):
            found = self.xnat.session_named(project, label)
            return self._seen(found) if found else None

    def session(self, accession: str) -> Session | None:
        with self._request("session"):
            found = self.xnat.sessions.get(accession)
            return self._seen(found) if found else None

    def refuses_second_import(self) -> bool:
        return self.xnat.dialect == "1.6"

    def rows_with(self, project: str, timestamps: Collection[str]) -> Sequence[Place]:
        with self._request("rows_with"):
            places = [place for place in self.xnat.rows if self.xnat.row(place) is not None]
            return [one for one in places if one.project == project and one.timestamp in timestamps]

    def collides(self) -> bool:
        return self.xnat.dialect == "1.6"

    def images(
        self, place: Place, holding: Holding, ours: Collection[str], *, reads: bool
    ) -> Mapping[str, frozenset[str]]:
        with self._request("images"):
            assert self.xnat.row(place) is None or holding.scans, (
                "a row is listed by the scans that it was seen to have"
            )
            row = self.xnat.row(place)
            found: dict[str, set[str]] = defaultdict(set)
            for one in row.files if row else ():
                found[one.series_uid].add(_known_by(one, ours, one.sop_uid if reads else one.name))
            return {series: frozenset(uids) for series, uids in found.items()}

    def relabel(self, session: Session, label: str) -> Session | None:
        with self._request("relabel"):
            self.xnat.sessions[session.id].label = label
            return self._seen(self.xnat.sessions[session.id])

    def names(self, session: Session) -> frozenset[str]:
        with self._request("names"):
            return frozenset(one.name for one in self.xnat.sessions[session.id].files(self.clock.now()))

    def sop_uids(self, session: Session, series_uid: str | None = None, named: Collection[str] = ()) -> frozenset[str]:
        with self._request("sop_uids"):
            files = self.xnat.sessions[session.id].files(self.clock.now())
            return frozenset(
                _known_by(one, named, one.sop_uid) for one in files if series_uid in {None, one.series_uid}
            )

    def header(self, project: str, accession: str, study_uid: str) -> Mapping[str, str] | None:
        with self._request("header"):
            for one in self.xnat.sessions.values():
                if (one.project, one.id, one.study_uid) == (project, accession, study_uid):
                    return dict(one.files(self.clock.now())[0].header)
            raise NotYet("the header dump was another session's")

    def patient(self, accession: str) -> tuple[str, str]:
        with self._request("patient"):
            return self.xnat.sessions[accession].files(self.clock.now())[0].patient

    def subject_by_id(self, project: str, accession: str) -> Subject | None:
        with self._request("subject_by_id"):
            found = next((one for one in self.xnat.subjects[project] if one.id == accession), None)
            return _shown(found) if found is not None else None

    def subject(self, project: str, label: str) -> Subject | None:
        with self._request("subject"):
            found = next((one for one in self.xnat.subjects[project] if one.label == label), None)
            return _shown(found) if found is not None else None

    def write_subject(
        self, project: str, subject: Subject, *, fields: Mapping[str, str], demographics: Mapping[str, str]
    ) -> Subject | None:
        with self._request("write_subject"):
            _validate(demographics)
            one = self.xnat.subject_of(project, subject.label)  # a missing subject is created (F215)
            one.fields.update({name.lower(): value for name, value in fields.items() if value})  # F42
            one.demographics.update({name: value for name, value in demographics.items() if value})
            return _shown(one)

    @contextmanager
    def _request(self, what: str) -> Iterator[None]:
        name = what.split(maxsplit=1)[0]
        with self.xnat.lock:
            self.xnat.requests.append(what)
            self.xnat.settle()
            if self.xnat.before[name]:
                raise self.xnat.before[name].pop(0)
            yield
            if self.xnat.after[name]:
                raise self.xnat.after[name].pop(0)

    def _read(self, zip_path: str) -> Iterator[File]:
        with zipfile.ZipFile(zip_path) as archive:
            for member in archive.infolist():
                try:
                    dataset = pydicom.dcmread(io.BytesIO(archive.read(member)), stop_before_pixels=True)
                except InvalidDicomError:
                    continue
                yield self._file(self.xnat.rename(PurePosixPath(member.filename).name), dataset)

    def _file(self, name: str, dataset: pydicom.Dataset) -> File:
        uids = (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
        study, series, sop = (self.xnat.remap(str(uid)) for uid in uids)
        wanted = ("PatientAge", "PatientBirthDate", "PatientSex")
        person = str(dataset.get("PatientName", "")).rstrip("^")
        return File(
            name=name,
            study_uid=study,
            series_uid=series,
            sop_uid=sop,
            scan=str(dataset.get("SeriesNumber", "") or series),
            modality=str(dataset.get("Modality", "")),
            person=re.sub(r"[^A-Za-z0-9_-]", "_", person) if self.xnat.dialect == "1.8" else person,
            header={key: str(dataset[key].value or "") for key in wanted if key in dataset},
            patient=(person, str(dataset.get("PatientID", ""))),
        )

    def _import(self, place: Place, files: Sequence[File]) -> None:
        if not files:
            raise RepeatOnce("nothing that XNAT makes a session of")  # F69, F139
        if not self.xnat.projects.get(place.project, False):
            self._import_elsewhere(place, files)
        held = self.xnat.rows.get(place)
        if held is not None and self.xnat.dialect == "1.6":
            if {(one.scan, one.name) for one in files} & {(one.scan, one.name) for one in held.files}:
                raise AlreadyImported("it has these files already")  # F66, F82
            raise InDoubt("something lies at our place already")
        if held is not None and held.files[0].study_uid != files[0].study_uid:
            raise RepeatOnce("XNAT refused the import")  # F150
        first = [one for one in files if one.study_uid == files[0].study_uid]
        self.xnat.store(place, first)
        if len(first) < len(files):  # 409 for another study at the place (F66), or 400 (F150)
            raise InDoubt("something else is there") if self.xnat.dialect == "1.6" else RepeatOnce("XNAT refused it")

    def _import_elsewhere(self, place: Place, files: Sequence[File]) -> None:
        if self.xnat.dialect == "1.8":
            elsewhere = Place("Unassigned", place.timestamp, place.folder)
            self.xnat.store(elsewhere, files)
            raise Misplaced("XNAT put it into Unassigned", [elsewhere.path])  # F141
        if place.project in self.xnat.projects:
            raise RepeatOnce("XNAT says that we may not import into the project")  # F15, F62
        raise Permanent("XNAT has no such project")  # F15

    def _compare(self, row: FakeRow, owner: FakeSubject, label: str, *, join: bool) -> None:
        there = self.xnat.session_named(row.place.project, label)
        if there is None:
            return
        if there.subject != owner.label or there.study_uid != row.files[0].study_uid:
            raise Conflict("another study has this label")  # F30, F32, F198
        if not join and self.xnat.dialect == "1.6":
            raise Conflict("the label is taken")  # F30; a newer server adds without being asked (F196)
        held = {one.name for _, files in there.batches for one in files}
        known = {one.sop_uid for _, files in there.batches for one in files if self.xnat.dialect == "1.8"}
        if any(one.name in held or one.sop_uid in known for one in row.files):
            raise Conflict("matching files")  # F73: 1.6 goes by the file name alone

    def _seen(self, session: FakeSession) -> Session | None:
        files = session.files(self.clock.now())
        if not files:
            return None
        return Session(
            id=session.id,
            project=session.project,
            subject=session.subject,
            label=session.label,
            prearchive_path=session.origin,
            subject_id=self.xnat.subject_of(session.project, session.subject).id,
            holding=_holding(files, session.study_uid),
        )


def _holding(files: Sequence[File], study_uid: str) -> Holding:
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for one in files:
        counts[one.scan, one.series_uid] += 1
    return Holding(study_uid, tuple(Scan(scan, series, n) for (scan, series), n in counts.items()))


def _known_by(file: File, ours: Collection[str], otherwise: str) -> str:
    uid = file.name.removesuffix(".dcm")
    return uid if uid in ours else otherwise


def _renumbered(files: Sequence[File], session: FakeSession) -> list[File]:
    """Rename the scans whose number another series of the session has (F143)."""
    taken = {one.scan: one.series_uid for _, batch in session.batches for one in batch}
    return [
        one
        if taken.get(one.scan, one.series_uid) == one.series_uid
        else replace(one, scan=f"{one.scan}-{one.modality}1")
        for one in files
    ]


def _clean(label: str) -> str:
    """Make a label of a name as archiving does: letters of every script stay (F70)."""
    return re.sub(r"[^\w-]", "_", label)


def _shown(subject: FakeSubject) -> Subject:
    return Subject(
        id=subject.id, label=subject.label, fields=dict(subject.fields), demographics=dict(subject.demographics)
    )


def _validate(demographics: Mapping[str, str]) -> None:
    gender, dob = demographics.get("gender", ""), demographics.get("dob", "")
    if gender and gender.lower() not in GENDERS:
        raise Permanent("XNAT refused a value")  # F43
    if dob and not re.fullmatch(r"\d{4}-\d\d-\d\d", dob):
        raise Permanent("XNAT refused a value")  # F43
