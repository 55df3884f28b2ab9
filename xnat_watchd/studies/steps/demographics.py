"""archived → complete: write what the settings ask for into the empty fields of the subject, and read it back."""

from __future__ import annotations

from collections.abc import Mapping

from xnat_watchd.adapters.ledger.studies import StepFacts
from xnat_watchd.core.delivery import Item, Session, Subject
from xnat_watchd.core.demographics import header_of, not_stored, plan
from xnat_watchd.core.errors import Conflict, Transient
from xnat_watchd.core.states import DeliveryKind
from xnat_watchd.studies.steps.context import Tools
from xnat_watchd.studies.steps.place_proof import clear_old_places

FROM_THE_ZIP = "XNAT shows no header of these images, so the values are the ZIP's; "
LEFT_ALONE = "demographics: nothing written, since XNAT shows no header of these images"

Header = Mapping[str, str]


def describe(item: Item, tools: Tools) -> StepFacts:
    """Write demographics. The facts that are returned name what was written, never the values."""
    clear_old_places(item, tools)
    rules = tools.rules(item.project).demographics
    subject = _subject(item, tools)
    header, origin = _header(item, tools)
    if header is None:
        return StepFacts(note=LEFT_ALONE)
    writes = plan(header, subject, rules)
    if not writes:
        return StepFacts(note=f"demographics: {origin}nothing to write")
    shown = tools.gateway.write_subject(item.project, subject, fields=writes.fields, demographics=writes.demographics)
    lost = not_stored(writes, _must_exist(shown))
    if lost:
        raise Transient(f"XNAT did not store {', '.join(lost)}")
    return StepFacts(note=f"demographics: {origin}wrote {', '.join(sorted({*writes.fields, *writes.demographics}))}")


def _header(item: Item, tools: Tools) -> tuple[Header | None, str]:
    """Return age, birth date and sex by DICOM keyword, and a remark if they come from the ZIP instead of from XNAT.

    They are as XNAT stores them, so that its anonymisation is honoured. A subject whose demographics a person asked for
    has what was put together of its sessions and shown.
    """
    if tools.rules(item.project).demographics.from_zip or item.kind is DeliveryKind.ARCHIVE:
        return header_of(item.person), ""
    found = _header_dump(item, tools)
    if found is not None:
        return found, ""
    return (header_of(item.person), FROM_THE_ZIP) if _may_use_zip(item, tools) else (None, "")


def _header_dump(item: Item, tools: Tools) -> Header | None:
    """Return what XNAT's header dump says. If the session was moved out of the project, ask where it is now."""
    accession, trouble = item.session or "", None
    try:
        found = tools.gateway.header(item.project, accession, item.server_uid or item.study_uid)
    except Transient as error:
        found, trouble = None, error
    if found is not None:
        return found
    session = _session(item, tools)
    if session.project == item.project:
        if trouble is not None:
            raise trouble
        return None
    return tools.gateway.header(session.project, accession, session.holding.study_uid)


def _may_use_zip(item: Item, tools: Tools) -> bool:
    """Return whether demographics may come from the ZIP: only if XNAT keeps the name or the ID of the patient.

    A site that removes the name from the images does not want the birth date either.
    """
    name, number = tools.gateway.patient(item.session or "")
    ours = item.person
    return item.kind is DeliveryKind.ZIP and bool(
        (name and _plain(name) == _plain(ours.name)) or (number and number == ours.id)
    )


def _plain(name: str) -> str:
    return name.rstrip("^ ")


def _session(item: Item, tools: Tools) -> Session:
    session = tools.gateway.session(item.session or "")
    if session is None:
        raise Conflict("the archived session is gone from XNAT", advice="Ask who removed it in XNAT.")
    return session


def _subject(item: Item, tools: Tools) -> Subject:
    """Return the subject, by accession ID if it is known: then neither its label nor a renaming matters."""
    if item.subject_id:
        if (seen := tools.recent.subject(item.subject_id)) is not None:
            return seen
        return _must_exist(tools.gateway.subject_by_id(item.project, item.subject_id))
    return _must_exist(tools.gateway.subject(item.project, item.subject or ""))


def _must_exist(subject: Subject | None) -> Subject:
    if subject is None:
        raise Conflict("the subject is gone from XNAT", advice="Ask who removed it in XNAT.")
    return subject
