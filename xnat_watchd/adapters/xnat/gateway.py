"""The gateway to XNAT. Only this package speaks to a server.

It knows two dialects: 1.6 as observed on a 1.6.5, and everything newer by the source of 1.8 (docs/xnat-facts.md).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import Protocol

from xnat_watchd.adapters.credentials import Credential, Secret
from xnat_watchd.adapters.xnat import (
    archiving,
    existing_sessions,
    header_dumps,
    images,
    projects,
    records,
    sessions,
    sharing,
    subjects,
    uploading,
    users,
)
from xnat_watchd.adapters.xnat.answer_meanings import Purpose
from xnat_watchd.adapters.xnat.answers import session_xml, table
from xnat_watchd.adapters.xnat.client import XnatClient
from xnat_watchd.adapters.xnat.images import Images
from xnat_watchd.adapters.xnat.login import NumberedCredential
from xnat_watchd.adapters.xnat.projects import ProjectRow, SubjectRow
from xnat_watchd.adapters.xnat.records import JSON, place_path
from xnat_watchd.adapters.xnat.server import ServerState
from xnat_watchd.adapters.xnat.transport import Access, XnatRequest
from xnat_watchd.adapters.xnat.zip_body import ZipBody, ZipUnreadable
from xnat_watchd.core.delivery import Holding, Place, PrearchiveRow, Session, Subject
from xnat_watchd.core.errors import Misplaced, NotYet, Transient
from xnat_watchd.core.existing_sessions import ImagingSession, ListedRow, SessionContent
from xnat_watchd.core.lease import StationLease
from xnat_watchd.core.ports import Clock, Progressed
from xnat_watchd.core.sharing.plan import Action, SeenProject

__all__ = ["ProjectRow", "SubjectRow", "XnatGateway", "XnatServer"]

BUFFERED = timedelta(minutes=5)  #: how long a proxy may hold back a body that it has received completely


class ServerSettings(Protocol):
    """The settings of the server that the gateway needs."""

    @property
    def server(self) -> str:
        """The URL of the server."""

    @property
    def ca_file(self) -> Path | None:
        """The file of the site's own certificate authority."""

    @property
    def strict_certificates(self) -> bool:
        """Whether certificates must obey RFC 5280 strictly."""

    @property
    def proxy(self) -> str:
        """The address of the proxy before the server, or an empty string."""

    @property
    def connect_timeout(self) -> timedelta:
        """How long a connection may take."""

    @property
    def read_timeout(self) -> timedelta:
        """How long XNAT may work on an import or on archiving."""


class XnatServer(ServerState):
    """A server, shared by all gateways of a process: import turns, dialect, and the protection of the login.

    Time-outs are in seconds. Proxies are by scheme; the environment's proxies are not used.
    """

    def __init__(  # noqa: PLR0913 - each is given by name
        self,
        address: str,
        *,
        user: str,
        password: Secret,
        clock: Clock,
        stop: Event,
        lease: StationLease | None = None,
        ca_file: Path | None = None,
        strict_certificates: bool = False,
        connect_timeout: float = 10.0,
        read_timeout: float = 3600.0,
        proxies: Mapping[str, str] | None = None,
    ) -> None:
        access = Access(
            address=address.rstrip("/"),
            ca_file=ca_file,
            strict_certificates=strict_certificates,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            proxies=proxies or {},
        )
        super().__init__(access, NumberedCredential(user, password), clock=clock, stop=stop, lease=lease)
        self._gateways: list[XnatGateway] = []

    @classmethod
    def from_settings(
        cls,
        settings: ServerSettings,
        credential: Credential,
        clock: Clock,
        stop: Event,
        lease: StationLease | None = None,
    ) -> XnatServer:
        """Return the server of these settings, with this credential. `lease`: without it nothing is begun there."""
        return cls(
            settings.server,
            user=credential.user,
            password=credential.password,
            clock=clock,
            stop=stop,
            lease=lease,
            ca_file=settings.ca_file,
            strict_certificates=settings.strict_certificates,
            connect_timeout=settings.connect_timeout.total_seconds(),
            read_timeout=settings.read_timeout.total_seconds(),
            proxies=dict.fromkeys(("http", "https"), settings.proxy) if settings.proxy else None,
        )

    def gateway(self) -> XnatGateway:
        """Return a gateway with a login session of its own (F62). It logs in at its first request."""
        self._gateways.append(XnatGateway(self))
        return self._gateways[-1]

    def close(self) -> None:
        """Log all gateways out, after their threads have ended. Never fails."""
        while self._gateways:
            self._gateways.pop().close()


class XnatGateway:
    """Implement `core.ports.Gateway` for a server. Belongs to one thread; `close` logs out."""

    def __init__(self, server: XnatServer) -> None:
        self._server = server
        self._client = XnatClient(server)

    def close(self) -> None:
        """End the login session. Never fails."""
        self._client.log_out()

    def probe(self) -> None:
        """Ask who we are. This and `whoami` alone try a refused credential again."""
        self._client.whoami(probing=True)

    def lateness(self) -> timedelta:
        """Return how long after a lost answer its effect may still appear.

        1.6 lists an import when it is complete (F20, F67), newer servers at its first file (F168).
        """
        dialect, whole = self._server.dialect, timedelta(seconds=self._server.access.read_timeout)
        return whole if dialect is None or dialect.is_old else min(whole, BUFFERED)

    def writable(self, project: str, *, afresh: bool = False) -> bool:
        """Return whether XNAT lists the project as writable for us. A yes is remembered for minutes (`afresh`: not)."""
        known = self._server.writable
        if not afresh and known.has(project):
            return True
        known.forget(project)
        if is_writable := projects.writable(self._client, project):
            known.add(project)
        return is_writable

    def archives_by_itself(self, project: str) -> bool:
        """Return whether XNAT may archive what arrives in the project without being told to (F160, F251)."""
        return projects.prearchive_code(self._client, project) != 0

    def listed(self) -> list[str]:
        """Return the IDs of the projects that XNAT lists for us."""
        return [one.id for one in self.projects()]

    def look(self, place: Place) -> PrearchiveRow | None:
        """Return the prearchive row at our place, or None: for a missing row XNAT lists nothing (F22, F176)."""
        answer = self._client.read(place_path(place), JSON, project=place.project)
        return records.row_at(place, table(answer))

    def holding(self, place: Place, *, counted: bool = True) -> Holding:
        """Return what the built row holds: UIDs from its XML, counts from its resources, if it is to be `counted`."""
        xml = self._client.find(place_path(place), {"format": "xml"}, project=place.project)
        if xml is None:  # F176
            raise NotYet("XNAT has not built the session yet")
        session = session_xml(xml)
        if not counted and (outline := records.row_outline(session)) is not None:
            return outline
        counts = self._client.find(place_path(place, "resources"), JSON, project=place.project)
        if counts is None:
            raise NotYet("XNAT has not built the session yet")
        return records.row_holding(session, table(counts))

    def upload(self, place: Place, zip_path: str, progressed: Progressed, *, alone: bool) -> None:
        """Send one ZIP to our place, once, when it is our turn. `progressed` is called during that wait too."""
        try:
            with ZipBody(zip_path, progressed) as body:
                uploading.send(self._client, self._server.turns, place, body, alone=alone)
        except Misplaced:
            self._server.writable.forget(place.project)
            raise
        except ZipUnreadable as error:  # the ZIP is gone or the disk fails; nothing was sent yet
            raise Transient("the ZIP to send cannot be opened", detail=str(error)) from None

    def discard(self, place: Place) -> None:
        """Delete our own row and check that it is gone: XNAT answers 200 even if it did nothing (F25, F179)."""
        request = XnatRequest(method="DELETE", path=place_path(place), purpose=Purpose.DISCARD)
        self._client.act(request, place.project, expected=frozenset({404}))
        if self.look(place) is not None:
            raise NotYet("XNAT has not removed our prearchive row yet")

    def build(self, place: Place) -> None:
        """Make XNAT build the row's session XML again."""
        request = XnatRequest(method="POST", path=place_path(place), purpose=Purpose.BUILD, query={"action": "build"})
        self._client.act(request, place.project)

    def stored(self, label: str) -> str:
        """Return a cleaned label as this server stores it."""
        return archiving.stored(self._client, label)

    def archive(self, place: Place, subject: str | None, label: str, *, join: bool, pipelines: bool) -> None:
        """Archive our row under these labels. If `subject` is None, XNAT derives it."""
        options = {name for name, wanted in (("join", join), ("pipelines", pipelines)) if wanted}
        archiving.archive(self._client, self.look, place, (subject, label), options)

    def sessions(self, project: str, uids: Sequence[str]) -> Sequence[Session]:
        """Return the project's archived sessions with one of these StudyInstanceUIDs, with what they hold."""
        return sessions.with_uids(self._client, project, uids) if uids else []

    def listed_sessions(self, project: str, uids: Sequence[str]) -> Sequence[Session]:
        """Return what one list shows of the project's sessions with these UIDs; nothing if it does not show all."""
        return sessions.listed(self._client, project, uids)

    def session_named(self, project: str, label: str) -> Session | None:
        """Return the project's archived session with this label."""
        return sessions.named(self._client, project, label)

    def session(self, accession: str) -> Session | None:
        """Return one archived session by its accession ID."""
        return sessions.by_id(self._client, accession)

    def refuses_second_import(self) -> bool:
        """Return whether a second import to a place is refused, even during the first: 1.6 does so (F82, F83)."""
        return self._client.dialect.is_old

    def rows_with(self, project: str, timestamps: Collection[str]) -> Sequence[Place]:
        """Return the places of a project's prearchive rows with one of these timestamps."""
        return [
            one.place
            for one in existing_sessions.prearchive_rows(self._client, project)
            if one.place.timestamp in timestamps
        ]

    def collides(self) -> bool:
        """Return whether imports of one account may get into each other's places, as on 1.6 (F61, F96)."""
        return self._client.dialect.is_old

    def images(self, place: Place, holding: Holding, ours: Collection[str], *, reads: bool) -> Images:
        """Return the images of a built row by series. Files without a name of ours are read, or stay known by name."""
        return images.in_place(self._client, place, holding, ours, reads=reads)

    def relabel(self, session: Session, label: str) -> Session | None:
        """Set another label for an archived session. Return it as XNAT then shows it."""
        return sessions.relabel(self._client, session, label)

    def names(self, session: Session) -> frozenset[str]:
        """Return the names of all DICOM files that an archived session lists."""
        return images.names(self._client, session)

    def sop_uids(self, session: Session, series_uid: str | None = None, named: Collection[str] = ()) -> frozenset[str]:
        """Return the SOPInstanceUIDs of an archived session or of one series of it. Each file is requested."""
        return images.in_session(self._client, session, series_uid, named)

    def header(self, project: str, accession: str, study_uid: str) -> Mapping[str, str] | None:
        """Return age, birth date and sex from the header dump, or None if there is none. Its UID is checked (F210).

        Below the project XNAT accepts an accession ID, unless a session there has it as its label (F288).
        """
        src = f"/archive/projects/{project}/experiments/{accession}"
        scans = partial(header_dumps.scans_of, self._client, accession)
        return header_dumps.read_header(self._client, self._server, src, study_uid, records.DEMOGRAPHIC_TAGS, scans)

    def patient(self, accession: str) -> tuple[str, str]:
        """Return PatientName and PatientID as XNAT read them from the images."""
        return sessions.patient(self._client, accession)

    def subject(self, project: str, label: str) -> Subject | None:
        """Return a subject with its fields and demographics, unescaped."""
        return subjects.read(self._client, project, label)

    def subject_by_id(self, project: str, accession: str) -> Subject | None:
        """Return a subject by its accession ID, with its fields and demographics, unescaped."""
        return subjects.by_id(self._client, project, accession)

    def write_subject(
        self, project: str, subject: Subject, *, fields: Mapping[str, str], demographics: Mapping[str, str]
    ) -> Subject | None:
        """Write values of an existing subject. Return it as XNAT then shows it (F59)."""
        return subjects.write(self._client, project, subject, fields, demographics)

    # -- sharing -----------------------------------------------------------------------------------------------

    def reachable(self, projects: Collection[str]) -> Mapping[str, bool]:
        """Return those of these projects whose data we may read, and whether we may add to it."""
        return sharing.reachable(self._client, projects)

    def seen(self, project: str, *, writable: bool) -> SeenProject | None:
        """Return all that a project's listings show, or None if we cannot read it now."""
        return sharing.seen(self._client, project, writable=writable)

    def share(self, action: Action) -> None:
        """Ask for one share, once. XNAT's answer proves nothing: read its listings afterwards."""
        sharing.share(self._client, action)

    def is_shared(self, action: Action) -> bool:
        """Return whether this item is shown in the destination."""
        return sharing.is_shared(self._client, action)

    def roles(self, project: str) -> Mapping[str, str] | None:
        """Return the role of every user of a project by login, or None if we may not read it."""
        return users.roles(self._client, project)

    def logins(self) -> frozenset[str] | None:
        """Return the login of every user of the site, or None if we may not read them."""
        return users.logins(self._client)

    def grant(self, project: str, login: str, role: str) -> None:
        """Grant a role in a project to a user who has none there. Read the roles afterwards to check."""
        users.grant(self._client, project, login, role)

    # -- what others uploaded -----------------------------------------------------------------------------------

    def prearchive_rows(self, project: str) -> Sequence[ListedRow]:
        """Return the rows of a project's prearchive, whoever put them there."""
        return existing_sessions.prearchive_rows(self._client, project)

    def content(self, place: Place) -> SessionContent:
        """Return what a built row of the prearchive holds and what its header says."""
        return existing_sessions.content(self._client, self._server, place)

    def imaging_sessions(self, project: str, subject: str) -> Sequence[ImagingSession]:
        """Return the archived imaging sessions of a subject, the earliest first."""
        return existing_sessions.imaging_sessions(self._client, project, subject)

    # -- for people at the command line ------------------------------------------------------------------------

    def whoami(self) -> str:
        """Return our user name as XNAT tells it."""
        return self._client.whoami(probing=True)

    def version(self) -> str:
        """Return the version that the server tells."""
        return self._client.dialect.version or "newer than 1.6"

    def projects(self) -> list[ProjectRow]:
        """Return the projects that XNAT lists for us."""
        return projects.listed(self._client)

    def subjects(self, project: str) -> list[SubjectRow]:
        """Return a project's subjects. Raise `Permanent` if it is missing or may not be read (F44, F256)."""
        return projects.subjects(self._client, project)
