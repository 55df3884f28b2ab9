"""Plan to archive what others put into a project's prearchive. A row is archived only as the plan showed it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from shlex import quote

from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.core.delivery import Person, Place
from xnat_watchd.core.dicom_values import study_date
from xnat_watchd.core.errors import AuthRefused, NotYet, Permanent, Stopped, Unavailable, Undecided, WatchdError
from xnat_watchd.core.existing_sessions import ExistingSession, ListedRow, SessionContent
from xnat_watchd.core.labels import LabelFacts, session_label, subject_label
from xnat_watchd.core.persons import is_one
from xnat_watchd.core.place_names import is_place_name
from xnat_watchd.core.plain_labels import plain
from xnat_watchd.core.ports import ExistingSessionsGateway
from xnat_watchd.core.project_rules import ProjectRules
from xnat_watchd.core.projects import if_meant
from xnat_watchd.core.states import Standing

READY = "READY"
LABEL_IT = "give it one: --session NAME --label LABEL"
ASKS = 3  #: times that a header dump is asked for: XNAT may answer with another one (F210)


class RowOutcome(StrEnum):
    """What the plan does with a row."""

    ARCHIVE = "archive"
    CONFLICT = "needs a person"  #: a person must decide something first
    NOT_READY = "not ready"
    OURS = "on its way"  #: it is a study of this ledger already
    GOES_ON = "go on"  #: likewise, and it waits only because no more was asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLine:
    """One row in the plan that a person is shown. Its names and labels must not enter a log."""

    row: ListedRow
    outcome: RowOutcome
    why: str = ""  #: why it is not archived, or which study it is
    advice: str = ""  #: what a person can do about it here
    date: str = ""  #: YYYYMMDD
    subject: str = ""
    label: str = ""
    images: int = 0
    existing: ExistingSession | None = None  #: the session to archive
    study: int | None = None  #: the key of the study that goes on

    @property
    def is_to_do(self) -> bool:
        """Whether there is something to do about it."""
        return self.existing is not None or self.study is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrearchiveContext:
    """What making a plan needs."""

    gateway: ExistingSessionsGateway
    ledger: Ledger
    rules: Callable[[str], ProjectRules]
    is_served: bool = False  #: a service carries the studies of this ledger, by its own settings
    sent_from: Callable[[Place], Path | None] = lambda _: None  #: the folder of ZIPs that this user sent it from


def must_be_writable(project: str, gateway: ExistingSessionsGateway) -> None:
    """Raise `Permanent` unless XNAT lets us change this project."""
    if not gateway.writable(project):
        raise Permanent(
            f"XNAT lists no project {project} that this account may write to",
            advice=f"{if_meant(project, gateway.listed())}Check the project's ID, upper and lower case too, and that "
            "the account is a member or owner of it.",
        )


def plan(project: str, names: Collection[str], context: PrearchiveContext, label: str | None = None) -> list[RowLine]:
    """Return the plan for each session of a project's prearchive, or for those with these names.

    `label`: the label that a person wants, if there is only one session.
    """
    must_be_writable(project, context.gateway)
    rows = sorted(context.gateway.prearchive_rows(project), key=lambda one: (one.place.timestamp, one.name))
    chosen = [one for one in rows if not names or {one.name, one.place.folder} & set(names)]
    return _without_clashes(
        [_line(one, context, label if len(chosen) == 1 else None, named=bool(names)) for one in chosen]
    )


def _line(row: ListedRow, context: PrearchiveContext, label: str | None, *, named: bool) -> RowLine:
    if ours := _of_ours(row, context):
        return ours
    if row.status != READY:
        return RowLine(row=row, outcome=RowOutcome.NOT_READY, why=f"XNAT says {row.status or 'nothing'} of it")
    if is_place_name(row.place.folder) and not named:
        return _of_another(row, context.sent_from(row.place))
    try:
        return _described(row, _content(row, context), context, label)
    except (Unavailable, AuthRefused, Stopped):
        raise
    except WatchdError as error:
        return RowLine(row=row, outcome=RowOutcome.CONFLICT, why=str(error))


def _of_ours(row: ListedRow, context: PrearchiveContext) -> RowLine | None:
    """Return the line for a row of this ledger, on which the service is at work; None if it is none."""
    known = context.ledger.existing_sessions.on_its_way(row.place.path)
    ours = known or context.ledger.existing_sessions.at(row.place)
    if ours and not (known and known.standing is Standing.HELD):
        file = context.ledger.deliveries.file_name(int(ours.item.partition(".")[0]))
        of_file = f" of {file}" if known is None and file else ""
        if ours.is_parked and not context.is_served:
            return RowLine(row=row, outcome=RowOutcome.GOES_ON, why=f"it is study {ours.item}{of_file}", study=ours.key)
        return RowLine(row=row, outcome=RowOutcome.OURS, why=f"it is study {ours.item}{of_file}, of this service")
    if delivery := context.ledger.early_places.delivery_at(row.place):
        why = f"it is a part of delivery {delivery}, of this service, which removes it"
        return RowLine(row=row, outcome=RowOutcome.OURS, why=why)
    return None


def _of_another(row: ListedRow, folder: Path | None) -> RowLine:
    """Return the line for a row of another ledger, perhaps that of a folder that this user sent ZIPs from."""
    if folder is None:
        why, advice = "another xnat-watchd sent it; name it if that one is gone", ""
    else:
        why = f"you sent it from {folder}"
        advice = f"`xnat-watchd --drop {quote(str(folder))} archive --project {row.place.project}` carries it on"
    return RowLine(row=row, outcome=RowOutcome.CONFLICT, why=why, advice=advice)


def _content(row: ListedRow, context: PrearchiveContext) -> SessionContent:
    for _ in range(ASKS - 1):
        try:
            return context.gateway.content(row.place)
        except NotYet:
            continue
    return context.gateway.content(row.place)


def _described(row: ListedRow, content: SessionContent, context: PrearchiveContext, wanted: str | None) -> RowLine:
    project, study, rules = row.place.project, content.study, context.rules(row.place.project).labels
    line = RowLine(
        row=row, outcome=RowOutcome.CONFLICT, date=study_date(study.date) or "", images=sum(content.files.values()),
        subject=row.subject,
    )  # fmt: skip
    modalities = tuple(one.modality for one in study.series)
    facts = LabelFacts(
        person=study.person, date=study.date, time=study.time, modalities=modalities, study_uid=study.uid,
        project=project, zip_name="",
    )  # fmt: skip
    advice = ""
    try:
        line = replace(line, subject=subject_label(rules.subject, facts, row.subject))
        advice = LABEL_IT
        facts = replace(facts, subject=line.subject)
        label = wanted or session_label(rules.session, facts)
        if (stored := context.gateway.stored(label)) != label:
            label = plain(label, stored, rules, None if wanted else facts)
    except Undecided as error:
        return replace(line, why=str(error), advice=advice)
    line = replace(line, label=label)
    why = _conflict(project, study.uid, line, study.person, context)
    if why:
        return replace(line, why=why)
    existing = ExistingSession(
        project=project, name=row.name, identity=row.place.path, study=study, files=content.files,
        subject=line.subject, label=label, place=row.place,
    )  # fmt: skip
    return replace(line, outcome=RowOutcome.ARCHIVE, existing=existing)


def _conflict(project: str, uid: str, line: RowLine, person: Person, context: PrearchiveContext) -> str:
    """Return why a row cannot be archived; empty if neither XNAT nor the ledger shows a reason now."""
    if not line.images or not uid:
        return "it holds no images of one study"
    there = context.gateway.sessions(project, [uid])
    if there:
        return f"the archive has this study already, as {there[0].label}"
    if context.gateway.session_named(project, line.label) is not None:
        return "the archive has another session of this label"
    known = context.ledger.existing_sessions.person_of(project, line.subject)
    if known is not None and not is_one(known, person):
        return "this subject is known to be another person"
    return ""


def _without_clashes(lines: Iterable[RowLine]) -> list[RowLine]:
    """Return the plan without rows that have the same label or study as another row: they become conflicts."""
    lines = list(lines)
    to_do = [line for line in lines if line.existing]
    labels = Counter(line.label.casefold() for line in to_do)
    uids = Counter(line.existing.study.uid for line in to_do if line.existing)
    return [_clashing(line, labels, uids) for line in lines]


def _clashing(line: RowLine, labels: Counter[str], uids: Counter[str]) -> RowLine:
    if line.existing is None:
        return line
    if uids[line.existing.study.uid] > 1:
        return replace(
            line, outcome=RowOutcome.CONFLICT, existing=None, why="this study lies in the prearchive more than once"
        )
    if labels[line.label.casefold()] > 1:
        return replace(
            line, outcome=RowOutcome.CONFLICT, existing=None, why="another session here would get the same label"
        )
    return line
