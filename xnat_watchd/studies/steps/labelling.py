"""Labels under which a row is archived, in the form that can be sent: XNAT 1.6 spoils non-ASCII parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace

from xnat_watchd.core.delivery import Item, PrearchiveRow, Session, Subject
from xnat_watchd.core.errors import Conflict, Undecided
from xnat_watchd.core.labels import clean, session_label
from xnat_watchd.core.plain_labels import plain
from xnat_watchd.studies.steps.context import Tools


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a session and of its subject."""

    subject: str
    session: str


def labels_of(item: Item, tools: Tools) -> Labels:
    """Return the labels as this server will store them; a plain session label if it would spoil the letters."""
    if item.subject is None:
        raise Undecided("the subject is not known", advice="`xnat-watchd retry ITEM --subject SUBJECT`")
    rules, facts = tools.rules(item.project).labels, replace(tools.facts(item), subject=item.subject)
    label = item.label or session_label(rules.session, facts)
    stored = tools.gateway.stored(label)
    return Labels(
        item.subject, label if stored == label else plain(label, stored, rules, None if item.label else facts)
    )


def sent_subject(item: Item, row: PrearchiveRow, there: Subject | None, tools: Tools) -> str | None:
    """Return the subject as a parameter; None if XNAT would spoil it, but derives the same by itself (F70).

    One that is `there` already is named by its accession ID (F27), unless that is another one's label, which XNAT
    looks for first. Nobody but XNAT itself can make a new one of such letters.
    """
    subject = item.subject or ""
    if tools.gateway.stored(subject) == subject:
        return subject
    if clean(row.subject.strip()) == subject:
        return None
    if there is not None and tools.gateway.subject(item.project, there.id) is None:
        return there.id
    raise Undecided(
        "this XNAT would spoil the letters of this label for a new subject",
        advice="Choose a label of A to Z, digits, - and _, or the label of a subject that XNAT has. Then type "
        "`xnat-watchd retry ITEM --subject SUBJECT`.",
    )


def joining_labels(session: Session, tools: Tools) -> Labels:
    """Return the labels for merging a row into this session: under others XNAT would make a second session."""
    if tools.gateway.stored(session.label) != session.label:
        raise Conflict(
            "XNAT has a session of this study, and would spoil the letters of its label",
            detail=session.label,
            advice="Rename that session in XNAT: A to Z, digits, - and _ only. Then type `xnat-watchd retry ITEM`.",
        )
    is_sent = tools.gateway.stored(session.subject) == session.subject
    return Labels(session.subject if is_sent else session.subject_id, session.label)
