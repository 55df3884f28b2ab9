"""Read archived sessions, each by its own path. Lists only serve to find them (F203, F258)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from xnat_watchd.adapters.xnat import records
from xnat_watchd.adapters.xnat.answer_meanings import Purpose
from xnat_watchd.adapters.xnat.answers import Node, item, table
from xnat_watchd.adapters.xnat.client import XnatClient
from xnat_watchd.adapters.xnat.records import JSON, path
from xnat_watchd.adapters.xnat.transport import XnatRequest
from xnat_watchd.core.delivery import Holding, Session
from xnat_watchd.core.escapes import unescaped


def with_uids(client: XnatClient, project: str, uids: Sequence[str]) -> list[Session]:
    """Return a project's sessions with one of these StudyInstanceUIDs."""
    rows = _all_of(client, project) if client.dialect.is_old else _filtered(client, project, uids)
    ids = dict.fromkeys(one["ID"] for one in rows if one.get("ID") and one.get("UID") in uids)
    found = (by_id(client, one) for one in ids)
    return [one for one in found if one and one.project == project and one.holding.study_uid in uids]


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


def _all_of(client: XnatClient, project: str) -> Iterable[Mapping[str, str]]:
    """List all sessions of a project, without a filter by UID.

    It is not known whether 1.6 can filter by UID, and a wrongly empty list would double a study. 1.6 does have these
    columns (F257).
    """
    query = {"columns": "ID,label,UID", **JSON}
    return table(client.read(path("projects", project, "experiments"), query, project=project), ("ID", "label", "UID"))


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
