"""archived → complete: what the settings ask about the subject is written where it was empty, and read back."""

from __future__ import annotations

from collections.abc import Mapping

from xnat_watchd.adapters.ledger import Facts
from xnat_watchd.core.delivery import Item, Subject
from xnat_watchd.core.demographics import header_of, plan, settled
from xnat_watchd.core.errors import Conflict, Transient
from xnat_watchd.core.states import Kind
from xnat_watchd.steps.tools import Tools, clear_old_places


def describe(item: Item, tools: Tools) -> Facts:
    """Write demographics; the facts name what was written, never the values."""
    clear_old_places(tools, item.key, item.since)
    rules = tools.rules(item.project).demographics
    subject = _subject(item, tools)
    writes = plan(_header(item, tools), subject, rules)
    if not writes:
        return Facts(note="demographics: nothing to write")
    shown = tools.gateway.write_subject(
        item.project, subject.label, fields=writes.fields, demographics=writes.demographics
    )
    lost = settled(writes, _there(shown))
    if lost:
        raise Transient(f"XNAT did not store {', '.join(lost)}")
    return Facts(note=f"demographics: wrote {', '.join(sorted({*writes.fields, *writes.demographics}))}")


def _header(item: Item, tools: Tools) -> Mapping[str, str]:
    """Give age, birth date and sex by DICOM keyword: as XNAT stores them, so that its anonymisation is honoured.

    A subject whose demographics a person asked for has what was put together of its sessions and shown.
    """
    if tools.rules(item.project).demographics.from_zip or item.kind is Kind.ARCHIVE:
        return header_of(item.person)
    try:
        return tools.gateway.header(item.project, item.label or "", item.server_uid or item.study_uid)
    except Transient:
        session = tools.gateway.session(item.session or "")
        if session is None:
            raise Conflict("the archived session is gone from XNAT", advice="Ask who removed it in XNAT.") from None
        if session.label == item.label:
            raise
    return tools.gateway.header(session.project, session.label, session.holding.study_uid)  # somebody renamed it


def _subject(item: Item, tools: Tools) -> Subject:
    return _there(tools.gateway.subject(item.project, item.subject or ""))


def _there(subject: Subject | None) -> Subject:
    if subject is None:
        raise Conflict("the subject is gone from XNAT", advice="Ask who removed or renamed it in XNAT.")
    return subject
