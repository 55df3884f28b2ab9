"""Read what others put into a project: the rows of its prearchive, and the sessions of its subjects."""

from __future__ import annotations

from collections.abc import Mapping

from xnat_watchd.adapters.xnat import records
from xnat_watchd.adapters.xnat.answers import SessionXml, session_xml, table
from xnat_watchd.adapters.xnat.client import XnatClient
from xnat_watchd.adapters.xnat.header_dumps import read_header
from xnat_watchd.adapters.xnat.records import JSON, Cells, path, place_path
from xnat_watchd.adapters.xnat.server import ServerState
from xnat_watchd.adapters.xnat.sessions import by_id
from xnat_watchd.core.delivery import PATIENT, Person, Place, Scan, Series, Study
from xnat_watchd.core.errors import NotYet
from xnat_watchd.core.existing_sessions import ImagingSession, ListedRow, SessionContent

_HEADER = {
    **{attribute.written_tag: attribute.keyword for attribute in PATIENT},
    "(0008,0020)": "StudyDate",
    "(0008,0030)": "StudyTime",
}
_MODALITIES = {
    **{code.lower(): code for code in ("CR", "CT", "DX", "ECG", "EPS", "ES", "GM", "HD", "IO", "MG", "MR", "NM", "OP")},
    **{code.lower(): code for code in ("OPT", "RF", "SEG", "SM", "SR", "US", "XA", "XC")},
    "pet": "PT", "mrs": "MR", "esv": "ES", "gmv": "GM", "xcv": "XC", "xa3D": "XA", "rtImage": "RTIMAGE",
}  # fmt: skip
"""Modality by XNAT's name for a scan's type, `xnat:<name>ScanData` (xnat.xsd). Other names say nothing about it."""

_NO_IMAGES = frozenset({"", "SR", "SEG"})  #: modalities of scans that may hold no image; "" is `otherDicomScanData`


def prearchive_rows(client: XnatClient, project: str) -> list[ListedRow]:
    """Return the rows of a project's prearchive. To admins XNAT also lists those of Unassigned (F170)."""
    rows = table(client.read(path("prearchive", "projects", project), JSON, project=project))
    return [_listed_row(one) for one in rows if one.get("project") == project and one.get("folderName")]


def content(client: XnatClient, server: ServerState, place: Place) -> SessionContent:
    """Return what a built row holds and what its header says. Raise `NotYet` while XNAT has not built it."""
    xml = client.find(place_path(place), {"format": "xml"}, project=place.project)
    resources = client.find(place_path(place, "resources"), JSON, project=place.project)
    if xml is None or resources is None:  # F176
        raise NotYet("XNAT has not built the session yet")
    session = session_xml(xml)
    holding = records.row_holding(session, table(resources))
    files = {uid: n for uid, n in holding.counts.items() if n}
    series = {scan.series_uid: _series(session, scan) for scan in holding.scans if scan.series_uid in files}
    header = read_header(
        client, server, place.path, session.study_uid, _HEADER, lambda: [scan.id for scan in holding.scans]
    )
    study = _study(header or {}, session.study_uid, tuple(series.values()))
    return SessionContent(study=study, files=files)


def imaging_sessions(client: XnatClient, project: str, subject: str) -> list[ImagingSession]:
    """Return the imaging sessions of a subject, by its accession ID, the earliest first.

    It is not known whether 1.6 filters this list by type, and a server may omit a column without notice (F252). A
    session that is listed without its UID is read by itself.
    """
    query = {"columns": "ID,project,label,UID,date", **JSON}
    if not client.dialect.is_old:
        query["xsiType"] = "xnat:imageSessionData"
    answer = client.find(path("projects", project, "subjects", subject, "experiments"), query, project=project)
    rows = table(answer) if answer is not None else []
    found = (_imaging_session(client, one) for one in rows if one.get("ID"))
    return sorted((one for one in found if one.study_uid), key=lambda one: (one.date or "9999", one.id))


def _imaging_session(client: XnatClient, row: Cells) -> ImagingSession:
    session = None if row.get("UID") and row.get("project") else by_id(client, row["ID"])
    return ImagingSession(
        id=row["ID"],
        project=session.project if session else row.get("project", ""),
        label=row.get("label", ""),
        study_uid=session.holding.study_uid if session else row.get("UID", ""),
        date=row.get("date", ""),
    )


def _listed_row(row: Cells) -> ListedRow:
    return ListedRow(
        place=Place(row["project"], row.get("timestamp", ""), row["folderName"]),
        name=row.get("name") or row["folderName"],
        subject=row.get("subject", ""),
        status=row.get("status", ""),
        date=row.get("scan_date", "")[:10],
    )


def _series(session: SessionXml, scan: Scan) -> Series:
    kind = session.types.get(scan.id, "").removeprefix("xnat:").removesuffix("ScanData")
    said = _MODALITIES.get(kind, "")
    return Series(scan.series_uid, scan.id, said or session.modality, image=said not in _NO_IMAGES)


def _study(header: Mapping[str, str], uid: str, series: tuple[Series, ...]) -> Study:
    person = Person.read(lambda attribute: header.get(attribute.keyword, "").rstrip(" \0"))
    date, time = header.get("StudyDate", ""), header.get("StudyTime", "")
    return Study(uid=uid, person=person, date=date, time=time, series=series, instances=())
