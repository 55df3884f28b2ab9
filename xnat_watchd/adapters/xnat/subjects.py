"""Read and write what XNAT knows about a subject (F40 to F44, F59)."""

from __future__ import annotations

from collections.abc import Mapping

from xnat_watchd.adapters.xnat import records
from xnat_watchd.adapters.xnat.answer_meanings import ANOTHER_ID, Purpose
from xnat_watchd.adapters.xnat.answers import item, table
from xnat_watchd.adapters.xnat.client import QUESTION_TIMEOUT, XnatClient
from xnat_watchd.adapters.xnat.records import JSON, path
from xnat_watchd.adapters.xnat.transport import XnatRequest
from xnat_watchd.core.delivery import Subject
from xnat_watchd.core.errors import Conflict
from xnat_watchd.core.escapes import unescaped

Values = Mapping[str, str]

_DEMOGRAPHICS = ("gender", "dob", "yob", "age")  #: of which we write three
_FIELDS = "xnat:subjectData/fields/field"
_COLUMNS = ("ID", "label", *_DEMOGRAPHICS, f"{_FIELDS}/name", f"{_FIELDS}/field")
_NAME, _VALUE = f"{_FIELDS}/name".lower(), f"{_FIELDS}/field".lower()
_KEYS = frozenset(("ID", "label", *_DEMOGRAPHICS, _NAME, _VALUE))
_CREATED = 201


def read(client: XnatClient, project: str, label: str) -> Subject | None:
    """Return a subject by its label in this project, or None if there is none."""
    if not _is_for_a_path(client, label):
        found = _ids(client, project, label)
        return by_id(client, project, found[0]) if len(found) == 1 else None
    answer = client.find(path("projects", project, "subjects", label), JSON, project=project)
    node = item(answer) if answer is not None else None
    return records.subject(node, project) if node and records.is_known_as(node, project, label) else None


def by_id(client: XnatClient, project: str, accession: str) -> Subject | None:
    """Return a subject by its accession ID, which no renaming changes, or None if there is none.

    1.6 is asked by its list first: a tenth of the time, and an answer that does not grow with the subject's sessions.
    """
    if client.dialect.is_old and (found := _listed(client, project, accession)) is not None:
        return found
    answer = client.find(path("subjects", accession), JSON, project=project)
    node = item(answer) if answer is not None else None
    return records.subject(node, project) if node and node.fields.get("ID") == accession else None


def _listed(client: XnatClient, project: str, accession: str) -> Subject | None:
    """Return a subject of this project as a list shows it, with a row for each custom variable (F92).

    None if the list does not show it, as it does not one that is shared into the project.
    """
    query = {"project": project, "ID": accession, "columns": ",".join(_COLUMNS), **JSON}
    rows = [
        one for one in table(client.read("/data/subjects", query, project=project), _KEYS) if one.get("ID") == accession
    ]
    if not rows or not all(one.keys() >= _KEYS for one in rows):
        return None
    return Subject(
        id=accession,
        label=rows[0]["label"],
        fields={one[_NAME].lower(): unescaped(one[_VALUE]) for one in rows if one[_NAME]},
        demographics={name: unescaped(rows[0][name]) for name in _DEMOGRAPHICS},
    )


def write(client: XnatClient, project: str, subject: Subject, fields: Values, demographics: Values) -> Subject | None:
    """Write values of a subject. Return it as XNAT then shows it, because an answer does not tell what was stored.

    A URL is kept in the server's access logs, so newer servers get the values in a form. 1.6 ignores forms, and newer
    servers ignore some of them (F59). If a value is missing afterwards, all are sent in the query.

    A PUT looks for a label before an accession ID (F221), and an attacker could choose such a PatientName. So the ID
    stands among the values: XNAT refuses all of them if they would go to a subject of another ID (F218).
    """
    values = records.values_to_write(fields, demographics)
    if not values:
        return by_id(client, project, subject.id)
    values = {"ID": subject.id, **values}
    if not client.dialect.is_old:
        _put(client, project, subject, {"req_format": "form"}, values)
        shown = by_id(client, project, subject.id)
        if _has(shown, fields, demographics):
            return shown
    _put(client, project, subject, values, None)
    return by_id(client, project, subject.id)


def _put(client: XnatClient, project: str, subject: Subject, query: Values, form: Values | None) -> None:
    """Write to a subject by its accession ID: its label may be another subject's by now, or nobody's.

    Raise `Conflict` if another subject has that ID as its label, or if XNAT had to create the subject (F215).
    """
    where = path("projects", project, "subjects", subject.id)
    # A site may require a reason for every change (F222).
    named = {"xsiType": "xnat:subjectData", "event_reason": "xnat-watchd", **query}
    request = XnatRequest(
        method="PUT", path=where, purpose=Purpose.WRITE, query=named, form=form, timeout=QUESTION_TIMEOUT
    )
    try:
        answer = client.act(request, project)
    except Conflict as error:
        if ANOTHER_ID not in error.detail.lower():
            raise
        raise Conflict(
            "another subject has the accession ID of this one as its label",
            detail=subject.id,
            advice="Rename the other subject in XNAT. Then `xnat-watchd retry ITEM`.",
        ) from None
    if answer.status == _CREATED:
        raise Conflict(
            "the subject was gone from XNAT, which made an empty one for its values",
            detail=subject.id,
            advice="Ask who removed it in XNAT. Delete the new subject, whose label is the accession ID.",
        )


def _is_for_a_path(client: XnatClient, label: str) -> bool:
    """Return whether XNAT finds a label in a path. 1.6 escapes letters beyond ASCII there (seen on 1.6.4)."""
    return label.isascii() or not client.dialect.is_old


def _ids(client: XnatClient, project: str, label: str) -> list[str]:
    """Return the accession IDs of the subjects that a project lists under a label."""
    listed = client.find(path("projects", project, "subjects"), {"columns": "ID,label", **JSON}, project=project)
    rows = table(listed) if listed is not None else []
    return [one["ID"] for one in rows if one.get("label") == label and one.get("ID")]


def _has(subject: Subject | None, fields: Values, demographics: Values) -> bool:
    if subject is None:
        return False
    there = {("field", name): value for name, value in subject.fields.items()}
    there |= {("demographic", name): value for name, value in subject.demographics.items()}
    wanted = {("field", name.lower()): value for name, value in fields.items() if value}
    wanted |= {("demographic", name): value for name, value in demographics.items() if value}
    return wanted.items() <= there.items()
