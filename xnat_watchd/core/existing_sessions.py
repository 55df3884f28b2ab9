"""Sessions that others put into XNAT: as a person sees them, and as the ledger takes them to carry them on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xnat_watchd.core.delivery import Place, Study
from xnat_watchd.core.states import DeliveryKind, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRow:
    """One row of a project's prearchive, whoever put it there."""

    place: Place
    name: str  #: XNAT's name for it; its folder may have another name
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
    """A session that the service is to carry on, as it was shown to the person who decided that."""

    project: str
    name: str  #: what people call it
    identity: str  #: its path in XNAT, by which the ledger knows whether it is under way already
    study: Study
    files: Mapping[str, int]
    subject: str
    label: str
    place: Place | None = None  #: in the prearchive; None: it is archived as `session`
    session: str | None = None

    @property
    def kind(self) -> DeliveryKind:
        """The kind of delivery that it becomes."""
        return DeliveryKind.PREARCHIVE if self.place else DeliveryKind.ARCHIVE

    @property
    def progress(self) -> Progress:
        """The progress that it has in XNAT already."""
        return Progress.UPLOADED if self.place else Progress.ARCHIVED


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagingSession:
    """One archived imaging session of a subject."""

    id: str
    project: str  #: the project that owns it; it may be shared into others
    label: str
    study_uid: str
    date: str  #: YYYY-MM-DD, or empty
