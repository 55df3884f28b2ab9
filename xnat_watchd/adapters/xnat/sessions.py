"""Read archived sessions, each by its own path. Lists serve to find them (F203, F258), and to prove what is new."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from xnat_watchd.adapters.xnat import records
from xnat_watchd.adapters.xnat.answer_meanings import Purpose
from xnat_watchd.adapters.xnat.answers import Node, item, table
from xnat_watchd.adapters.xnat.client import XnatClient
from xnat_watchd.adapters.xnat.records import JSON, path
from xnat_watchd.adapters.xnat.transport import XnatRequest
from xnat_watchd.core.delivery import Holding, Scan, Session
from xnat_watchd.core.escapes import unescaped

_SCAN = "xnat:imageSessionData/scans/scan"
_COLUMNS = (
    "ID", "project", "label", "UID", "subject_ID", "subject_label", "xnat:imageSessionData/prearchivePath",
    f"{_SCAN}/ID", f"{_SCAN}/UID", f"{_SCAN}/file/file_count", f"{_SCAN}/file/label",
)  # fmt: skip
_KEYS = frozenset(one.lower() if "/" in one else one for one in _COLUMNS)  #: of their cells (F252)
_PLACE, _SCAN_ID, _SCAN_UID, _FILES, _RESOURCE = (one.lower() for one in _COLUMNS[-5:])


def with_uids(client: XnatClient, project: str, uids: Sequence[str]) -> list[Session]:
    """Return a project's sessions with one of these StudyInstanceUIDs."""
    rows = _filtered(client, project, uids)
    ids = dict.fromkeys(one["ID"] for one in rows if one.get("ID") and one.get("UID") in uids)
    found = (by_id(client, one) for one in ids)
    return [one for one in found if one and one.project == project and one.holding.study_uid in uids]


def listed(client: XnatClient, project: str, uids: Sequence[str]) -> list[Session]:
    """Return these sessions as one list shows them, with a row for each resource of a scan (F91).

    Return nothing if a column is missing or a number of files is unknown: a newer server is known from its source only
    (F252), and any server may not have counted the files (F259).
    """
    query = {"project": project, "xsiType": "xnat:imageSessionData", "columns": ",".join(_COLUMNS), **JSON}
    answer = client.read("/data/experiments", {**query, "UID": ",".join(uids)}, project=project)
    rows = [one for one in table(answer, _KEYS) if one.get("project") == project and one.get("UID") in uids]
    by_id: dict[str, list[Mapping[str, str]]] = {}
    for one in rows:
        if not one.keys() >= _KEYS or not records.is_counted(one[_FILES], one[_RESOURCE]):
            return []
        by_id.setdefault(one["ID"], []).append(one)
    return [_listed_session(one) for one in by_id.values()]


def _listed_session(rows: Sequence[Mapping[str, str]]) -> Session:
    first, scans = rows[0], dict[tuple[str, str], int]()
    for one in rows:
        files = int(one[_FILES]) if records.is_dicom(one[_RESOURCE]) else 0
        scans[one[_SCAN_ID], one[_SCAN_UID]] = scans.get((one[_SCAN_ID], one[_SCAN_UID]), 0) + files
    return Session(
        id=first["ID"],
        project=first["project"],
        subject=first["subject_label"],
        subject_id=first["subject_ID"],
        label=first["label"],
        prearchive_path=first[_PLACE],
        holding=Holding(first["UID"], tuple(Scan(one, uid, files) for (one, uid), files in scans.items())),
    )


def _filtered(client: XnatClient, project: str, uids: Sequence[str]) -> Iterable[Mapping[str, str]]:
    query = {
        "project": project,
        "xsiType": "xnat:imageSessionData",  # without it there are no columns of imaging sessions (F253)
        "columns": "ID,project,label,UID",
        "UID": ",".join(uids),
        **JSON,
    }
    rows = table(client.read("/data/experiments", query, project=project), ("ID", "project", "label", "UID"))
    return ({**one, "UID": one.get("UID") or uids[0]} for one in rows)  # a session listed without UID is read by itself


def named(client: XnatClient, project: str, label: str) -> Session | None:
    """Return a project's session of this label."""
    answer = client.find(path("projects", project, "experiments", label), JSON, project=project)
    node = item(answer) if answer is not None else None
    return _session(client, node) if node and records.is_known_as(node, project, label) else None


def by_id(client: XnatClient, accession: str) -> Session | None:
    """Return a session by its accession ID."""
    answer = client.find(path("experiments", accession), JSON)
    return _session(client, item(answer)) if answer is not None else None


def relabel(client: XnatClient, session: Session, label: str) -> Session | None:
    """Set another label for a session by the path below its subject (F227). Return it as XNAT then shows it.

    Known from XNAT's source only: `label` renames a session as it renames a subject (F44, F216).
    """
    where = path("projects", session.project, "subjects", session.subject_id, "experiments", session.id)
    query = {"label": label, "event_reason": "xnat-watchd"}
    client.act(XnatRequest(method="PUT", path=where, purpose=Purpose.WRITE, query=query), session.project)
    return by_id(client, session.id)


def patient(client: XnatClient, accession: str) -> tuple[str, str]:
    """Return PatientName and PatientID as XNAT read them from the images of a session."""
    answer = client.find(path("experiments", accession), JSON)
    fields = item(answer).fields if answer is not None else {}
    return unescaped(fields.get("dcmPatientName", "")), unescaped(fields.get("dcmPatientId", ""))


def _session(client: XnatClient, node: Node) -> Session:
    accession = node.fields.get("ID", "")
    holding = records.session_holding(node, None)
    if holding is None:
        rows = table(client.read(path("experiments", accession, "resources"), {"all": "true", **JSON}))
        holding = records.session_holding(node, rows)
    return Session(
        id=accession,
        project=node.fields.get("project", ""),
        subject=_subject_label(client, node),
        subject_id=node.fields.get("subject_ID", ""),
        label=node.fields.get("label", ""),
        prearchive_path=node.fields.get("prearchivePath", ""),
        holding=holding or Holding("", ()),
    )


def _subject_label(client: XnatClient, session: Node) -> str:
    """Return the label of a session's subject. The item has only the subject's accession ID (F125)."""
    if not (accession := session.fields.get("subject_ID", "")):
        return session.fields.get("subject_label", "")
    answer = client.find(path("subjects", accession), JSON)
    return item(answer).fields.get("label", "") if answer is not None else ""
