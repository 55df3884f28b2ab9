"""Plan demographics for subjects that XNAT has already. They are then written as in the last step of a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from xnat_watchd.core import demographics
from xnat_watchd.core.delivery import Person, Study, Subject
from xnat_watchd.core.demographics import MergedHeader, merge_headers
from xnat_watchd.core.errors import AuthRefused, NotYet, Stopped, Unavailable, WatchdError
from xnat_watchd.core.existing_sessions import ExistingSession, ImagingSession
from xnat_watchd.core.ports import ExistingSessionsGateway
from xnat_watchd.core.project_rules import DemographicRules

ASKS = 3  #: times that a header dump is asked for: XNAT may answer with another one (F210)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectLine:
    """One subject in the plan that a person is shown: names of values, never the values."""

    subject: str  #: its label
    fills: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()  #: what somebody entered, if the settings say `overwrite`
    keeps: tuple[str, ...] = ()  #: what somebody entered, although the images differ
    has: tuple[str, ...] = ()  #: what is there already
    disagrees: tuple[str, ...] = ()  #: what differs between its sessions
    why: str = ""  #: why there is no plan for it
    existing: ExistingSession | None = None  #: the session to write demographics from


def plan(
    project: str,
    labels: Sequence[str],
    gateway: ExistingSessionsGateway,
    rules: DemographicRules,
    told: Callable[[SubjectLine], None] = lambda _: None,
) -> list[SubjectLine]:
    """Return what would be written to each of these subjects. Call `told` with each as soon as it is known."""
    lines = []
    for label in dict.fromkeys(labels):
        lines.append(_line(project, label, gateway, rules))
        told(lines[-1])
    return lines


def _line(project: str, label: str, gateway: ExistingSessionsGateway, rules: DemographicRules) -> SubjectLine:
    try:
        subject = gateway.subject(project, label)
        if subject is None:
            return SubjectLine(subject=label, why="XNAT has no such subject in the project")
        sessions = [one for one in gateway.imaging_sessions(project, subject.id) if one.project == project]
        if not sessions:
            return SubjectLine(subject=label, why="it has no imaging session of this project")
        said = merge_headers([_header(gateway, one) for one in sessions])
    except (Unavailable, AuthRefused, Stopped):
        raise
    except WatchdError as error:
        return SubjectLine(subject=label, why=f"cannot be read now: {error}")
    line = SubjectLine(subject=label, disagrees=tuple(attribute.words for attribute in said.disagreeing))
    return _compared(line, subject, sessions[said.first], said, rules)


def _header(gateway: ExistingSessionsGateway, session: ImagingSession) -> Mapping[str, str]:
    asked = session.project, session.id, session.study_uid
    for _ in range(ASKS - 1):
        try:
            return gateway.header(*asked) or {}
        except NotYet:
            continue
    return gateway.header(*asked) or {}


def _compared(
    line: SubjectLine, subject: Subject, session: ImagingSession, said: MergedHeader, rules: DemographicRules
) -> SubjectLine:
    writes = demographics.plan(said.header, subject, rules)
    ours, theirs = {*writes.fields, *writes.demographics}, {*writes.disagreeing}
    return replace(
        line,
        fills=tuple(sorted(ours - theirs)),
        replaces=tuple(sorted(ours & theirs)),
        keeps=tuple(sorted({*writes.kept} & theirs)),
        has=tuple(sorted({*writes.kept} - theirs)),
        existing=_existing(line.subject, subject.id, session, said) if ours else None,
    )


def _existing(subject: str, accession: str, session: ImagingSession, said: MergedHeader) -> ExistingSession:
    person = Person.read(lambda attribute: said.header.get(attribute.keyword, ""))
    study = Study(uid=session.study_uid, person=person, date="", time="", series=(), instances=())
    return ExistingSession(
        project=session.project, name=subject, identity=f"/archive/projects/{session.project}/subjects/{accession}",
        study=study, files={}, subject=subject, label=session.label, session=session.id,
    )  # fmt: skip
