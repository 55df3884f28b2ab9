"""The situations of the table, and the practice XNAT 1.8 in which they are brought about."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from pydicom.dataset import Dataset

from tests.sandbox.contract.places import MOVED, OTHER_ROW, ROW, STAMP, filled
from tests.sandbox.contract.rows import Row
from tests.sandbox.kit import (
    CT,
    OTHER_STUDY,
    STUDY,
    Clock,
    Visitor,
    dicom,
    series_of,
    zipped,
)  # fmt: skip
from xnat_watchd.sandbox import Options, Sandbox

PASSWORD = "secret"


@dataclass
class World:
    """A practice XNAT with projects P1 to P3 and PRIV, and one person of each kind."""

    xnat: Sandbox
    clock: Clock
    stack: ExitStack
    alias: str = ""
    secret: str = ""
    csrf: str = ""
    cookie: str = ""
    listener: Visitor | None = None

    def visitor(self, who: str) -> Visitor:
        """Return a client of it.

        `nobody` has no name, `cookie` only a login session of tech's, `token` an alias token, `mistaken` a wrong
        password; `listener` is tech, always in the same login session.
        """
        if who == "listener" and self.listener:
            return self.listener
        visitor = self.stack.enter_context(Visitor(self.xnat, "tech" if who == "listener" else who, PASSWORD))
        visitor.http.trust_env = False
        if who in {"nobody", "cookie"}:
            visitor.http.auth = None
        if who == "cookie":
            visitor.http.headers["Cookie"] = f"JSESSIONID={self.cookie}"
        if who == "listener":
            self.listener = visitor
        others = {"token": (self.alias, self.secret), "mistaken": ("tech", "wrong")}
        visitor.http.auth = others.get(who, visitor.http.auth)
        return visitor

    def ask(self, row: Row) -> requests.Response:
        """Send the request of a row."""
        method, path = row.request.split(" ", 1)
        headers = {"User-Agent": row.agent} if row.agent else {}
        body: dict[str, Any] = {"data": {name: filled(value) for name, value in row.form.items()}} if row.form else {}
        if row.zip:
            headers["Content-Type"] = row.media
            body = {"data": upload(row.zip)}
        if row.xml:
            headers["Content-Type"] = "text/xml"
            body = {"data": row.xml.encode()}
        path = filled(path, alias=self.alias, secret=self.secret, csrf=self.csrf)
        return self.visitor(row.who).ask(method, path, headers=headers, **body)

    def state(self) -> str:
        """Return what the XNAT holds, a line for each row, session, subject and share."""
        store = self.xnat._site.store
        rows = (
            f"row {one.project}/{one.folder} {one.status} name={one.name} subject={one.subject} files={len(one.files)}"
            for one in store.rows.values()
        )
        sessions = (
            f"session {one.project}/{one.label} of {store.subjects[one.subject_id].label}: "
            + " ".join(f"{scan.id}:{len(scan.files)}" for scan in one.session.scans.values())
            for one in store.experiments.values()
        )
        subjects = (
            f"subject {one.project}/{one.label} {one.demographics} {one.fields}" for one in store.subjects.values()
        )
        shares = (
            f"share {kind} {one.label} in {project} as {label}"
            for kind, things in (("subject", store.subjects), ("session", store.experiments))
            for one in things.values()
            for project, label in one.shares.items()
        )
        return "\n".join([*rows, *sessions, *subjects, *shares])


@contextmanager
def world(folder: Path, options: Options) -> Iterator[World]:
    """Yield the situation in which every row begins."""
    clock = Clock()
    with ExitStack() as stack:
        xnat = stack.enter_context(Sandbox(folder, "1.8", clock=clock, options=options))
        for name in ("tech", "owner", "collab", "outsider", "root"):
            xnat.add_user(name, PASSWORD, admin=name == "root")
        for project, access in (("P1", "protected"), ("P2", "protected"), ("P3", "protected"), ("PRIV", "private")):
            xnat.add_project(project, accessibility=access)
            xnat.grant("owner", project, "owner")
        for name, project, role in (
            ("tech", "P1", "member"),
            ("tech", "P3", "member"),
            ("collab", "P1", "collaborator"),
        ):
            xnat.grant(name, project, role)
        yield World(xnat, clock, stack)


def upload(name: str) -> bytes:
    """Return the ZIP that a row calls by this name."""
    content = UPLOADS[name]()
    return content if isinstance(content, bytes) else zipped(content)


def _stored_with_descriptor() -> bytes:
    whole = bytearray(zipped({"a.dcm": dicom()}, zipfile.ZIP_STORED))
    whole[6] |= 0x8
    return bytes(whole)


def _encrypted() -> bytes:
    whole = bytearray(zipped({"a.dcm": dicom()}))
    whole[6] |= 0x1
    return bytes(whole)


def _cut(share: int) -> bytes:
    whole = zipped(series_of(3), zipfile.ZIP_STORED)
    return whole[: len(whole) * share // 100]


def _without_directory() -> bytes:
    whole = zipped(series_of(2))
    return whole[: whole.index(b"PK\x01\x02")]


def _with_sequence() -> dict[str, bytes]:
    reference = Dataset()
    reference.ReferencedSOPInstanceUID = "1.2.3"
    return series_of(1, ReferencedImageSequence=[reference])


UPLOADS: dict[str, Callable[[], dict[str, bytes] | bytes]] = {
    "two files": lambda: series_of(2),
    "another series": lambda: series_of(1, series=2),
    "another study": lambda: series_of(1, study=OTHER_STUDY),
    "a CT of that UID": lambda: {"c.dcm": dicom(series=9, kind=CT)},
    "another series of that number": lambda: {"n.dcm": dicom(7, SeriesInstanceUID=f"{STUDY}.77")},
    "that series under another number": lambda: {"n.dcm": dicom(7, SeriesNumber=5)},
    "two studies": lambda: {"a.dcm": dicom(), "b.dcm": dicom(study=OTHER_STUDY, PatientID="CAN02")},
    "two studies of one patient": lambda: {"a.dcm": dicom(), "b.dcm": dicom(study=OTHER_STUDY)},
    "not a ZIP": lambda: b"x" * 3000,
    "nothing": lambda: b"",
    "an empty ZIP": dict,
    "folders": lambda: {"a/": b"", "b/": b""},
    "cut in a file": lambda: _cut(50),
    "without directory": _without_directory,
    "clutter last": lambda: {**series_of(2), "notes.txt": b"no image"},
    "clutter only": lambda: {"notes.txt": b"no image", ".DS_Store": b"x"},
    "no SOP instance": lambda: {"a.dcm": dicom(SOPInstanceUID=None)},
    "encrypted": _encrypted,
    "stored with descriptor": _stored_with_descriptor,
    "scouts only": lambda: series_of(2, SeriesDescription="scout"),
    "scout and scan": lambda: {"a.dcm": dicom(SeriesDescription="scout"), "b.dcm": dicom(series=2)},
    "routed by comment": lambda: series_of(1, PatientComments="Project:P3 Subject:S2 Session:E2"),
    "routed by study comment": lambda: series_of(1, StudyComments="Project:P3"),
    "routed by history": lambda: series_of(1, AdditionalPatientHistory="Project:P3"),
    "routed by description": lambda: series_of(1, StudyDescription="P3"),
    "routed by accession": lambda: series_of(1, AccessionNumber="P3"),
    "told to archive": lambda: series_of(1, PatientComments="Project:P1 AA:true"),
    "odd labels": lambda: series_of(1, PatientID="A.B C", PatientName="Ä^b c"),
    "no patient id": lambda: series_of(1, PatientID=None),
    "no series number": lambda: {"a.dcm": dicom(SeriesNumber=None)},
    "one name twice": lambda: {"a/x.dcm": dicom(1), "b/x.dcm": dicom(2)},
    "nested": lambda: {"inner.zip": zipped(series_of(2)), "b.dcm": dicom(3)},
    "a hostile comment": lambda: series_of(1, PatientComments="a <b> & " + 300 * "c"),
    "a sequence": _with_sequence,
}


def _imported(world: World, name: str = "two files", place: str = ROW, who: str = "tech", **params: str) -> None:
    labels = {"subject": "S1", "session": place.rsplit("/", 1)[-1]}
    world.visitor(who).sent(upload(name), **{"dest": place, **labels, **params})


def _import(name: str, place: str = ROW, who: str = "tech", **params: str) -> Callable[[World], None]:
    return lambda world: _imported(world, name, place, who, **params)


def _receiving(**params: str) -> Callable[[World], None]:
    return _import("two files", dest="", project="P1", PREARC_TIMESTAMP=STAMP, PREARC_SESSION_FOLDER="E1", **params)


def _in(status: str) -> Callable[[World], None]:
    def bring_about(world: World) -> None:
        _imported(world)
        (row,) = world.xnat._site.store.rows_of("P1")
        row.status = status

    return bring_about


def _archived(world: World, label: str = "E1", name: str = "two files", pipelines: str = "false") -> None:
    _imported(world, name)
    world.visitor("tech").archived(ROW, subject="S1", session=label, triggerPipelines=pipelines)


def _copied(world: World) -> None:
    _archived(world, "E1_COPY", "another study")
    world.visitor("tech").put("/data/projects/P1/subjects/S1/experiments/E1_COPY/projects/P3", {"label": "L"})


def _emptied(world: World) -> None:
    _imported(world)
    (row,) = world.xnat._site.store.rows_of("P1")
    row.received.clear()


def _entry_lost(world: World) -> None:
    world.xnat._site.store.rows.clear()


def _shared(label: str | None) -> Callable[[World], None]:
    def bring_about(world: World) -> None:
        _archived(world)
        owner = world.visitor("owner")
        for path in ("{subject}", "{session}"):
            answer = owner.put(filled(f"{path}/projects/P2"), {"label": label} if label else None)
            assert answer.status_code == 200

    return bring_about


def _share(name: str, label: str) -> Callable[[World], None]:
    path = f"/data/projects/P1/subjects/{name}"

    def bring_about(world: World) -> None:
        world.visitor("owner").put(path)
        world.visitor("owner").put(f"{path}/projects/P2", {"label": label})

    return bring_about


def _asked(method: str, path: str, who: str = "tech", **params: str) -> Callable[[World], None]:
    def bring_about(world: World) -> None:
        world.visitor(who).ask(method, filled(path, alias=world.alias), params=params)

    return bring_about


def _two_subjects(world: World) -> None:
    for name in ("S1", "S2"):
        world.visitor("tech").put(f"/data/projects/P1/subjects/{name}")


def _token(world: World) -> None:
    found = world.visitor("tech").get("/data/services/tokens/issue").json()
    world.alias, world.secret = found["alias"], found["secret"]


def _logged_in(world: World) -> None:
    found = world.visitor("tech").ask("POST", "/data/JSESSION", params={"CSRF": "true"}).text
    world.cookie, _, world.csrf = found.partition(";XNAT_CSRF=")


def _later(**by: float) -> Callable[[World], None]:
    return lambda world: world.clock.move(**by)


def _policy(code: int) -> Callable[[World], None]:
    def bring_about(world: World) -> None:
        world.xnat._site.store.projects["P1"].prearchive_code = code

    return bring_about


def _heard(**params: str) -> Callable[[World], None]:
    def bring_about(world: World) -> None:
        listener = {"project": "P1", "session": "E1", "http-session-listener": "H", **params}
        assert world.visitor("listener").send(upload("two files"), **listener).status_code == 200

    return bring_about


def _twenty_logins(who: str) -> Callable[[World], None]:
    def bring_about(world: World) -> None:
        for _ in range(20):
            world.visitor(who).get("/data/auth")

    return bring_about


FIELD = {"xnat:subjectData/fields/field[name=Visit]/field": "3"}
SITUATIONS: dict[str, Callable[[World], None]] = {
    "": lambda _: None,
    "a row": _import("two files"),
    "another row": _import("another study", OTHER_ROW),
    "another row of that label": _import("two files"),
    "that place taken in P3": _import("two files", MOVED),
    "an unassigned row": _import("two files", filled("{unassigned}"), "root"),
    "a row with a hostile comment": _import("a hostile comment"),
    "a row with a sequence": _import("a sequence"),
    "told to archive itself": _import("told to archive", dest="", project="P1"),
    "a receiving row": _receiving(),
    "a receiving row not to be committed": _receiving(prevent_auto_commit="true"),
    "a receiving row of an uploader": _receiving(SOURCE="uploader"),
    "another series on top": _import("another series", dest="", project="P1"),
    "more by import": _import("another series", dest="", project="P1"),
    "a row of no files": _emptied,
    "built": _asked("POST", "/data{row}", action="build"),
    "its entry lost": _entry_lost,
    "a locked row": _in("_ARCHIVING"),
    "a row in ERROR": _in("ERROR"),
    "a row in CONFLICT": _in("CONFLICT"),
    "a row in BUILDING": _in("BUILDING"),
    "a row queued": _in("QUEUED_ARCHIVING"),
    "a row being deleted": _in("DELETING"),
    "an archived session": _archived,
    "an archived session in the making": lambda world: _archived(world, pipelines="true"),
    "the same again": _import("two files", OTHER_ROW),
    "another series": _import("another series", OTHER_ROW),
    "another series called E1": _import("another series", OTHER_ROW, session="E1", handler="SI"),
    "another study": _import("another study", OTHER_ROW),
    "a CT of that UID": _import("a CT of that UID", OTHER_ROW),
    "another series of that number": _import("another series of that number", OTHER_ROW),
    "that series under another number": _import("that series under another number", OTHER_ROW),
    "archived and heard as H": _asked("POST", "/data/services/archive?http-session-listener=H", src=ROW),
    "an import heard as H": _heard(),
    "a committed import heard as H": _heard(action="commit"),
    "a subject": _asked("PUT", "{subject}", gender="female", dob="1980-01-31"),
    "a subject with a field": _asked("PUT", "{subject}", **FIELD),
    "two subjects": _two_subjects,
    "shared subject": _share("S1", "S1_P2"),
    "S2 in P2": _share("S2", "S2"),
    "shared as L": _shared("L"),
    "shared without label": _shared(None),
    "E1_COPY in P3 as L": _copied,
    "policy 4": _policy(4),
    "policy 5": _policy(5),
    "four minutes": _later(minutes=4),
    "six minutes": _later(minutes=6),
    "twenty minutes": _later(minutes=20),
    "three days": _later(days=3),
    "a token": _token,
    "that token invalidated": _asked("GET", "/data/services/tokens/invalidate/{alias}"),
    "another password": lambda world: world.xnat.add_user("tech", "another"),
    "an expired password": lambda world: world.xnat.expire("tech", "password"),
    "an inactive account": lambda world: world.xnat.expire("tech", "account"),
    "logged in": _logged_in,
    "a killed login": _asked("DELETE", "/data/JSESSION", "cookie"),
    "twenty mistakes": _twenty_logins("mistaken"),
    "twenty logins": _twenty_logins("tech"),
}
