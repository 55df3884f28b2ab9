"""The outside world as the services see it: XNAT, the clock and the log."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from xnat_watchd.core.delivery import Holding, Place, PrearchiveRow, Session, Subject
from xnat_watchd.core.existing_sessions import ImagingSession, ListedRow, SessionContent
from xnat_watchd.core.sharing.plan import Action, SeenProject

UPLOAD_PIECE = 1 << 20  #: bytes of a ZIP that are sent at most between two calls of `Progressed`

Progressed = Callable[[int, int], None]
"""Gets bytes sent and bytes in all before each further piece; (0, 0) while it is not our turn.

Nothing more is sent until it returns. An error that it raises breaks the upload off.
"""


class CheckObserver(Protocol):
    """Is told, while a ZIP is checked from its beginning to its end, what its members have shown so far."""

    def sound(self, end: int, study_uid: str) -> None:
        """Note that the ZIP could go as it is, if it ended after this offset: it holds sound images of one study."""
        ...

    def unsound(self) -> None:
        """Note that the ZIP will not go as it is, whatever follows."""
        ...


class Clock(Protocol):
    """What time it is."""

    def now(self) -> datetime:
        """Return the time of day, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never jump, from an unnamed beginning."""
        ...


class Log(Protocol):
    """Events with stable names, and facts about items and projects. Never a label, a name or a server's word."""

    def info(self, event: str, **facts: object) -> None:
        """Tell what happened."""

    def warning(self, event: str, **facts: object) -> None:
        """Tell what somebody may want to look at."""

    def error(self, event: str, **facts: object) -> None:
        """Tell what is broken; `exc_info` may carry the exception."""


class Gateway(Protocol):
    """What we need of XNAT. It raises only `errors.WatchdError`, and waits no longer than its own time-outs.

    One gateway belongs to one thread and has a login session of its own (F62). The gateways themselves pace the
    requests that must not overlap (imports, header dumps, logins).
    """

    def probe(self) -> None:
        """Ask something cheap that only a working server and a valid login answer."""
        ...

    def lateness(self) -> timedelta:
        """Return how long after a lost answer an effect may still appear: absence counts only afterwards (F67)."""
        ...

    def writable(self, project: str, *, afresh: bool = False) -> bool:
        """Return whether XNAT lists the project as writable for us. False: no such project, or no right.

        A yes may be some minutes old, unless it is asked for `afresh`.
        """
        ...

    def listed(self) -> Sequence[str]:
        """Return the IDs of the projects that XNAT lists for us, writable or not. One request."""
        ...

    def look(self, place: Place) -> PrearchiveRow | None:
        """Return the prearchive row at our place, or None. One request."""
        ...

    def holding(self, place: Place, *, counted: bool = True) -> Holding:
        """Return what the built row at our place holds. `NotYet` while XNAT has no session XML for it.

        If it need not be `counted`, its files may not be: that saves a request.
        """
        ...

    def upload(self, place: Place, zip_path: str, progressed: Progressed, *, alone: bool) -> None:
        """Send one ZIP to our place, once. `alone`: no other import of ours at the same time.

        Returns when XNAT says that it is at that very place. `Misplaced` when it is in Unassigned
        or at another place.
        """
        ...

    def discard(self, place: Place) -> None:
        """Delete our own row and check that it is gone. `NotYet` while it is still there (F179)."""
        ...

    def build(self, place: Place) -> None:
        """Have XNAT build the row's session XML again, for a row in ERROR."""
        ...

    def stored(self, label: str) -> str:
        """Return what this server makes of a label that it is sent: 1.6 spoils letters beyond ASCII (F278)."""
        ...

    def archive(self, place: Place, subject: str | None, label: str, *, join: bool, pipelines: bool) -> None:
        """Archive our row under these labels. `join`: add to our own session that has this label already.

        `subject` None: as XNAT derives it from the header, where it would spoil the label that we send.

        The answer is not returned: it cannot carry every label (F74). Look for the session afterwards.
        """
        ...

    def sessions(self, project: str, uids: Sequence[str]) -> Sequence[Session]:
        """Return the project's archived sessions with one of these StudyInstanceUIDs, with what they hold."""
        ...

    def listed_sessions(self, project: str, uids: Sequence[str]) -> Sequence[Session]:
        """Return what one list shows of such sessions: where they came from, their subjects and what they hold.

        One request. Empty where the list does not show all of that: then only `sessions` tells. A newer server lists
        sessions that are shared into the project too.
        """
        ...

    def session_named(self, project: str, label: str) -> Session | None:
        """Return the project's archived session of this label, whatever its subject and UID."""
        ...

    def session(self, accession: str) -> Session | None:
        """Return one archived session by its accession ID: the proof itself."""
        ...

    def refuses_second_import(self) -> bool:
        """Return whether a second import of the same files to one place is refused, also while the first is under way.

        It raises `AlreadyImported` then. Seen on XNAT 1.6.4: after a lost answer the files may be sent again there.
        """
        ...

    def rows_with(self, project: str, timestamps: Collection[str]) -> Sequence[Place]:
        """Return the places of a project's prearchive rows with one of these timestamps. One request."""
        ...

    def archives_by_itself(self, project: str) -> bool:
        """Return whether XNAT may archive what arrives in the project's prearchive without being told to. One request.

        True too if XNAT does not tell.
        """
        ...

    def collides(self) -> bool:
        """Return whether another import of our account may put its files into our place (F96)."""
        ...

    def images(
        self, place: Place, holding: Holding, ours: Collection[str], *, reads: bool
    ) -> Mapping[str, frozenset[str]]:
        """Return SOPInstanceUIDs by SeriesInstanceUID of a built row. A request for each scan.

        A file that one of `ours` names is believed to be that image. Any other is read, one request each, for its own
        UID; or where it must not be `reads`, its name stands for it.
        """
        ...

    def names(self, session: Session) -> frozenset[str]:
        """Return the names of all files that an archived session lists. A request for each scan."""
        ...

    def relabel(self, session: Session, label: str) -> Session | None:
        """Relabel an archived session; return it as XNAT shows it afterwards."""
        ...

    def sop_uids(self, session: Session, series_uid: str | None = None, named: Collection[str] = ()) -> frozenset[str]:
        """Return the SOPInstanceUIDs of an archived session or of one series of it. Each file is asked for: exact.

        `named`: UIDs of ours by which files are known by their names, where the site has given them others.
        """
        ...

    def header(self, project: str, accession: str, study_uid: str) -> Mapping[str, str] | None:
        """Return PatientAge, PatientBirthDate and PatientSex of an archived session of this project, by accession ID.

        They are as XNAT stores them. None where XNAT shows no header of it, nor of any of its scans. `NotYet` when the
        dump was another study's (F210).
        """
        ...

    def patient(self, accession: str) -> tuple[str, str]:
        """Return PatientName and PatientID as XNAT read them from the images that it keeps; empty where it has none."""
        ...

    def subject(self, project: str, label: str) -> Subject | None:
        """Return a subject with its fields and demographics, unescaped (F41)."""
        ...

    def subject_by_id(self, project: str, accession: str) -> Subject | None:
        """Return the same by its accession ID, which no renaming changes; its label is the one in the project."""
        ...

    def write_subject(
        self, project: str, subject: Subject, *, fields: Mapping[str, str], demographics: Mapping[str, str]
    ) -> Subject | None:
        """Write values of an existing subject; return it as XNAT shows it afterwards (F59)."""
        ...


class ExistingSessionsGateway(Protocol):
    """What we need of XNAT to carry on what others put there. As `Gateway`: our own errors only."""

    def writable(self, project: str) -> bool:
        """Return whether XNAT lists the project as writable for us."""
        ...

    def listed(self) -> Sequence[str]:
        """Return the IDs of the projects that XNAT lists for us, writable or not. One request."""
        ...

    def prearchive_rows(self, project: str) -> Sequence[ListedRow]:
        """Return the rows of a project's prearchive, whoever put them there. One request."""
        ...

    def content(self, place: Place) -> SessionContent:
        """Return what a built row holds and what its header says. `NotYet` while XNAT has not built it."""
        ...

    def stored(self, label: str) -> str:
        """Return what this server makes of a label that it is sent."""
        ...

    def sessions(self, project: str, uids: Sequence[str]) -> Sequence[Session]:
        """Return the project's archived sessions with one of these StudyInstanceUIDs, with what they hold."""
        ...

    def session_named(self, project: str, label: str) -> Session | None:
        """Return the project's archived session of this label."""
        ...

    def subject(self, project: str, label: str) -> Subject | None:
        """Return a subject with its fields and demographics."""
        ...

    def imaging_sessions(self, project: str, subject: str) -> Sequence[ImagingSession]:
        """Return the archived imaging sessions of a subject, by its accession ID, the earliest first."""
        ...

    def header(self, project: str, accession: str, study_uid: str) -> Mapping[str, str] | None:
        """Return PatientAge, PatientBirthDate and PatientSex of a project's archived session, by accession ID."""
        ...


class SharingGateway(Protocol):
    """What we need of XNAT to make share tables true. As `Gateway`: one for each thread, only our own errors."""

    def probe(self) -> None:
        """Ask something cheap that only a working server and a valid login answer."""
        ...

    def listed(self) -> Sequence[str]:
        """Return the IDs of the projects that XNAT lists for us, writable or not. One request."""
        ...

    def reachable(self, projects: Collection[str]) -> Mapping[str, bool]:
        """Return the projects whose data we may read, each with whether we may add to it. At most two requests."""
        ...

    def seen(self, project: str, *, writable: bool) -> SeenProject | None:
        """Return all that a project's listings show. Two requests. None when it may not be read now."""
        ...

    def share(self, action: Action) -> None:
        """Ask for one share, once. What the server says is no proof (F46, F47): look at its listings afterwards.

        `Conflict`: it is there already, or its label is taken. `RepeatOnce`: refused.
        """
        ...

    def is_shared(self, action: Action) -> bool:
        """Return whether this very thing is shown in the destination, by asking for it alone. One request."""
        ...
