"""Sessions that others put into XNAT: as a person is shown them, and as the ledger takes them to carry them on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xnat_watchd.core import demographics
from xnat_watchd.core.delivery import Place, Study
from xnat_watchd.core.states import DeliveryKind, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRow:
    """One row of a project's prearchive, whoever put it there."""

    place: Place
    name: str  #: as XNAT calls it; its folder may have another name
    subject: str
    status: str
    date: str  #: as XNAT lists it, YYYY-MM-DD; empty where it lists none


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionContent:
    """What a built row of the prearchive holds."""

    study: Study  #: without instances: XNAT is asked for counts only
    files: Mapping[str, int]  #: by SeriesInstanceUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingSession:
    """What is to go the rest of the route, as it was shown."""

    project: str
    name: str  #: what people call it
    identity: str  #: where it lies in XNAT, which tells whether it is on its way already
    study: Study
    files: Mapping[str, int]
    subject: str
    label: str
    place: Place | None = None  #: in the prearchive; none: it is archived, as `session`
    session: str | None = None

    @property
    def kind(self) -> DeliveryKind:
        """What kind of delivery it becomes."""
        return DeliveryKind.PREARCHIVE if self.place else DeliveryKind.ARCHIVE

    @property
    def progress(self) -> Progress:
        """What XNAT has of it already."""
        return Progress.UPLOADED if self.place else Progress.ARCHIVED


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagingSession:
    """One archived imaging session of a subject."""

    id: str
    project: str  #: to which it belongs; it may be shared with others
    label: str
    study_uid: str
    date: str  #: YYYY-MM-DD, or empty


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedHeader:
    """What the sessions of one subject say about the person. Never in a log."""

    header: Mapping[str, str]  #: by DICOM keyword, without what they disagree about
    first: int  #: index of the session that the age is of
    disagreeing: tuple[str, ...]  #: DICOM keywords


_AGE = "PatientAge"
_LASTING = {"PatientBirthDate": demographics.birth_date, "PatientSex": demographics.sex}


def merge_headers(headers: Sequence[Mapping[str, str]]) -> MergedHeader:
    """Put together what the sessions of a subject say, the earliest first.

    Birth date and sex must be the same in all that know them, else nothing is believed. An age is that of the
    earliest session that has one: it grows from visit to visit.
    """
    header: dict[str, str] = {}
    disagreeing: list[str] = []
    for keyword, read in _LASTING.items():
        known = {value: one[keyword] for one in headers if (value := read(one.get(keyword)))}
        if len(known) > 1:
            disagreeing.append(keyword)
        elif known:
            header[keyword] = next(iter(known.values()))
    aged = [n for n, one in enumerate(headers) if demographics.age_years(one.get(_AGE)) is not None]
    if aged:
        header[_AGE] = headers[aged[0]][_AGE]
    return MergedHeader(header=header, first=aged[0] if aged else 0, disagreeing=tuple(disagreeing))
