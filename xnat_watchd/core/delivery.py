"""The values that the program works with: the content of a ZIP, a study in the ledger, what XNAT holds of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Self

from xnat_watchd.core.findings import Finding, reason_of
from xnat_watchd.core.states import DeliveryKind, Progress

CHANGED = "its ZIP was written to after it was opened, and is looked at anew"  #: why a study ends without being sent


@dataclass(frozen=True, slots=True)
class Instance:
    """One DICOM object of a ZIP. `size` in bytes and `crc` (CRC-32) are those of the inflated member."""

    sop_uid: str
    series_uid: str
    size: int
    crc: int
    member: int  #: position in the ZIP's directory, counted from 0: names are never trusted
    digest: bytes = b""  #: SHA-256 of the inflated member; empty where an older version recorded it

    def is_same_as(self, other: Instance) -> bool:
        """Return whether both have the same bytes. Compare the digests; if one is missing, the size and CRC-32."""
        if self.digest and other.digest:
            return self.digest == other.digest
        return (self.size, self.crc) == (other.size, other.crc)


def file_name(sop_uid: str) -> str:
    """Return the name that we give an image's file. Where XNAT keeps file names, it identifies the image (F73)."""
    return f"{sop_uid}.dcm"


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a study, as the ZIP shows it."""

    uid: str
    number: str
    modality: str
    image: bool  #: False for SR, KO, PR, RAW and the like, which a server may leave out (F64)


@dataclass(frozen=True, slots=True)
class PatientAttribute:
    """A DICOM attribute of a patient that is kept, as a field of `Person`."""

    keyword: str
    tag: int
    column: str  #: of the ledger's table `studies`
    name: str = ""  #: of the field in `Person`

    @property
    def written_tag(self) -> str:
        """The tag in the form of XNAT's header dump: (0010,0030)."""
        return f"({self.tag >> 16:04X},{self.tag & 0xFFFF:04X})"

    @property
    def words(self) -> str:
        """What it is called on the screen."""
        return self.name.replace("_", " ")


def _kept(keyword: str, tag: int, column: str) -> Any:
    return field(default="", metadata={"attribute": PatientAttribute(keyword, tag, column)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """The patient of a study, by the attributes of its first instance as they stand there. Never in a log.

    This is the table of the patient's attributes that are kept: they are read from each instance and from XNAT's header
    dump, and the ledger has a column for each. `core.demographics` says which of them are written to XNAT.
    """

    name: str = _kept("PatientName", 0x00100010, "patient_name")
    id: str = _kept("PatientID", 0x00100020, "patient_id")
    age: str = _kept("PatientAge", 0x00101010, "age")
    birth_date: str = _kept("PatientBirthDate", 0x00100030, "birth_date")
    sex: str = _kept("PatientSex", 0x00100040, "sex")

    @classmethod
    def read(cls, value: Callable[[PatientAttribute], str]) -> Self:
        """Return the person whose attributes have the values that `value` returns."""
        return cls(**{attribute.name: value(attribute) for attribute in PATIENT})

    def value(self, attribute: PatientAttribute) -> str:
        """Return the value of an attribute, empty if the header has none."""
        return str(getattr(self, attribute.name))


PATIENT: tuple[PatientAttribute, ...] = tuple(
    replace(one.metadata["attribute"], name=one.name) for one in fields(Person)
)
"""The attributes of a patient that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One DICOM study inside a ZIP."""

    uid: str  #: empty for members that belong to no study: they are held, and this has no instances
    person: Person
    date: str  #: StudyDate as it stands
    time: str  #: StudyTime as it stands
    series: tuple[Series, ...]
    instances: Sequence[Instance]
    findings: tuple[Finding, ...] = ()  #: what a person must know or decide about it

    @property
    def trouble(self) -> str:
        """Why it must not be sent as it is, without names; empty if no finding holds it."""
        return reason_of(self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipContents:
    """What a ZIP holds, known after every member was inflated, checked and read to its end once."""

    sha256: str
    size: int
    studies: tuple[Study, ...]
    clutter_kinds: Mapping[str, int]  #: members that are certainly no images, counted by what they are
    as_it_is: bool  #: it holds one study and nothing that XNAT would fail on: it may be sent unchanged
    first_image_ends: int = 0  #: bytes of the ZIP up to the end of its first whole image; 0: not known

    @property
    def clutter(self) -> int:
        """The number of members that are certainly no images."""
        return sum(self.clutter_kinds.values())


@dataclass(frozen=True, slots=True)
class Place:
    """A timestamp and folder in the prearchive that we chose for one upload: our idempotency key (F66)."""

    project: str
    timestamp: str  #: yyyyMMdd_HHmmssSSS
    folder: str

    @classmethod
    def at(cls, path: str) -> Place | None:
        """Return the place that a path of XNAT's names, with or without `/data` in front; None if it names none."""
        found = re.fullmatch(r"(?:/data)?/prearchive/projects/([^/]+)/([^/]+)/([^/]+)", path)
        return cls(*found.groups()) if found and not {".", ".."} & {*found.groups()} else None

    @property
    def path(self) -> str:
        """The path as XNAT writes it, without `/data` in front."""
        return f"/prearchive/projects/{self.project}/{self.timestamp}/{self.folder}"

    @property
    def tail(self) -> str:
        """The end of the `prearchivePath` of a session that was archived from here (F71)."""
        return f"/{self.project}/{self.timestamp}/{self.folder}"


@dataclass(frozen=True, slots=True)
class MisplacedUpload:
    """An upload that XNAT put elsewhere than into our place, by its own answer."""

    path: str  #: as XNAT wrote it
    folder: str  #: of the place that we had asked for: nobody else uses that name


#: how the statuses of a row begin that XNAT is at work on; an underscore is a lock (F178)
AT_WORK = ("_", "RECEIVING", "BUILDING", "QUEUED", "ARCHIVING", "MOVING", "DELETING", "SEPARATING")


@dataclass(frozen=True, slots=True)
class PrearchiveRow:
    """One row of the prearchive."""

    place: Place
    status: str
    subject: str
    study_uid: str

    @property
    def is_at_work(self) -> bool:
        """Whether XNAT works on the row or has locked it: what such a row holds may still change (F178)."""
        return self.status.startswith(AT_WORK)

    @property
    def is_receiving(self) -> bool:
        """Whether XNAT waits for more files."""
        return self.status.startswith("RECEIVING")

    @property
    def is_locked_for_archiving(self) -> bool:
        """Whether an archiving has locked the row. It stays so where the server died meanwhile."""
        return self.status == "_ARCHIVING"


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan that XNAT holds, with the number of its DICOM files (resources DICOM and secondary)."""

    id: str
    series_uid: str
    count: int
    labels: tuple[str, ...] = ()  #: of those resources, where they were asked for


@dataclass(frozen=True, slots=True)
class Holding:
    """What XNAT holds of one session, in the prearchive or in the archive."""

    study_uid: str
    scans: tuple[Scan, ...]
    subject: str = ""  #: of a prearchive row, as XNAT derived it from the images

    @property
    def counts(self) -> Mapping[str, int]:
        """Files by SeriesInstanceUID; `n-MR1` renames and `secondary` are added to their series."""
        total: Counter[str] = Counter()
        for scan in self.scans:
            total[scan.series_uid] += scan.count
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An archived imaging session."""

    id: str  #: accession ID, as in XNAT_E00001
    project: str
    subject: str  #: the subject's label
    label: str
    prearchive_path: str
    holding: Holding
    subject_id: str = ""  #: the subject's accession ID

    @property
    def uri(self) -> str:
        """Its address on the server, without `/data` in front."""
        return f"/archive/experiments/{self.id}"

    def came_from(self, place: Place) -> bool:
        """Return whether it was archived from our place (F71)."""
        return self.prearchive_path.endswith(place.tail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A subject and the values that XNAT stores for it. Never in a log."""

    id: str
    label: str
    fields: Mapping[str, str] = field(default_factory=dict)  #: custom variables, names in lower case
    demographics: Mapping[str, str] = field(default_factory=dict)  #: dob, gender, age, ... as XNAT names them


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One study that is under way, as the ledger shows it to the step that acts on it."""

    key: int  #: the ledger's row
    fence: int = 0  #: grows each time it is taken: who was given it under an older one writes nothing about it any more
    delivery: int
    number: int
    project: str
    study_uid: str
    server_uid: str | None  #: the UID that the site gave it instead, once seen
    person: Person
    date: str
    time: str
    modalities: tuple[str, ...]
    progress: Progress
    attempts: int  #: attempts at the present step that count, this one included
    in_doubt: bool
    since: datetime | None  #: since when XNAT has said "not yet" at this step
    place: Place | None
    import_began: datetime | None  #: when the import to `place` began
    missing_before: frozenset[str]  #: series that XNAT left out at the previous place
    subject: str | None  #: subject label, chosen by a person or fixed at archive time
    label: str | None  #: session label, chosen by a person or fixed at archive time
    session: str | None  #: accession ID of the archived session
    subject_id: str | None = None  #: accession ID of its subject
    findings: tuple[Finding, ...] = ()  #: only those that nobody has settled
    kind: DeliveryKind = DeliveryKind.ZIP  #: how it came
    generation: int = 1  #: counts how often a person had it sent from its beginning
    skip_reason: str | None = None  #: why it is to be skipped; None: it is not
    named: bool = False  #: each file that was sent to `place` is named by its SOPInstanceUID
    merge_into: str | None = None  #: accession ID of the session that the row at `place` is to be added to
    taken: bool = False  #: XNAT has refused a second import to `place`, since it has the files
    locked: datetime | None = None  #: since when XNAT archives the row at `place`, although that answer was lost
    doubted: bool = False  #: an answer about one of its places was lost, or a refusal left something on XNAT's disk
    before: Mapping[str, int] | None = None  #: files by series in the session when XNAT was asked to add the row
    why: str = ""  #: why it did not go on the last time
    misplaced: tuple[MisplacedUpload, ...] = ()  #: uploads of it that may still be in the wrong place
    uploads: int = 0  #: how often all of it was sent since the last decision of a person
    trials: int = 0  #: how often it met what may be its project's trouble, since the same moment
    refusal: str | None = None  #: what XNAT refused last, if the request is repeated once before that is believed
    delayed: datetime | None = None  #: since when it has met trouble
    file_name: str = ""  #: of the ZIP as it was dropped, without folders
    images: int = 0  #: that XNAT is to have: all that no person has left behind
    has_given_up: bool = False  #: it had another place before, where something may still appear

    @property
    def name(self) -> str:
        """The item as people type it: 12.1."""
        return f"{self.delivery}.{self.number}"

    @property
    def uids(self) -> tuple[str, ...]:
        """The study UIDs under which XNAT may hold it."""
        return tuple(dict.fromkeys(uid for uid in (self.server_uid, self.study_uid) if uid))
