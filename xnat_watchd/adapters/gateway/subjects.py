"""Reading and writing what is known about a subject (F40 to F44, F59, C8 7)."""

from __future__ import annotations

from collections.abc import Mapping

from xnat_watchd.adapters.gateway import records
from xnat_watchd.adapters.gateway.answers import item
from xnat_watchd.adapters.gateway.conversation import PATIENCE, Conversation
from xnat_watchd.adapters.gateway.records import JSON, path
from xnat_watchd.adapters.gateway.verdicts import Deed
from xnat_watchd.adapters.gateway.wire import Call
from xnat_watchd.core.delivery import Subject

Values = Mapping[str, str]


def read(talk: Conversation, project: str, label: str) -> Subject | None:
    """Give a subject by its label in this project."""
    answer = talk.find(path("projects", project, "subjects", label), JSON, project=project)
    node = item(answer) if answer is not None else None
    return records.subject(node) if node and records.is_known_as(node, project, label) else None


def write(talk: Conversation, project: str, label: str, fields: Values, demographics: Values) -> Subject | None:
    """Write values of a subject, and give it as it is shown afterwards: an answer says nothing of what was stored.

    What stands in a URL stands in the server's access logs, so newer servers get a form. 1.6 ignores forms,
    and so do newer ones at places (F59, C8 17.12): what is not there afterwards goes in the query.
    """
    values = records.values_to_write(fields, demographics)
    if values and not talk.dialect.is_old:
        _put(talk, project, label, {"req_format": "form"}, values)
        shown = read(talk, project, label)
        if _has(shown, fields, demographics):
            return shown
    if values:
        _put(talk, project, label, values, None)
    return read(talk, project, label)


def _put(talk: Conversation, project: str, label: str, query: Values, form: Values | None) -> None:
    where = path("projects", project, "subjects", label)
    # A site may demand a reason for every change (C8 7.2).
    named = {"xsiType": "xnat:subjectData", "event_reason": "xnat-watchd", **query}
    call = Call(method="PUT", path=where, deed=Deed.WRITE, query=named, form=form, patience=PATIENCE)
    talk.act(call, project)


def _has(subject: Subject | None, fields: Values, demographics: Values) -> bool:
    if subject is None:
        return False
    there = {("field", name): value for name, value in subject.fields.items()}
    there |= {("demographic", name): value for name, value in subject.demographics.items()}
    wanted = {("field", name.lower()): value for name, value in fields.items() if value}
    wanted |= {("demographic", name): value for name, value in demographics.items() if value}
    return wanted.items() <= there.items()
