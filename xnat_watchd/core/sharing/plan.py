"""What is missing on the server to make share tables true. A pure comparison of rows with the server's listings.

Only listings count, since XNAT's answers to a share mislead (F46 to F48, F234): 409 means two things; a share under
another label relabels and may answer 409 all the same; a missing subject is 403. What the listings show is never
shared again and never relabelled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from xnat_watchd.core.labels import fill, is_label
from xnat_watchd.core.sharing.row_state import RowState
from xnat_watchd.core.sharing.table import ShareRow

NO_MATCH = "no session of the subject has a label that fits the pattern; capitals count"
EMPTY: Mapping[str, Collection[str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSession:
    """A session as a project's listing shows it."""

    id: str  #: accession ID
    label: str  #: in that project
    subject: str  #: accession ID of its subject
    date: str = ""  #: YYYY-MM-DD, as the listing has it


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenProject:
    """All that a project's listings show: its own subjects and sessions and those shared into it.

    The listing of sessions must be complete: `/data/projects/P/experiments` leaves out some types
    (F258), and a session that is missing there would seem removed.
    """

    writable: bool
    subjects: Mapping[str, str]  #: accession IDs by label in this project
    sessions: Sequence[SeenSession]


@dataclass(frozen=True, slots=True)
class MadeShare:
    """A share that we made for a row and saw on the server afterwards."""

    row: str  #: `ShareRow.key`
    destination: str
    id: str  #: accession ID of the subject or session


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareSubject:
    """One subject to be shared. `name` is its label in the source, `label` the one in the destination."""

    source: str
    destination: str
    id: str
    name: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareSession:
    """One session to be shared after its subject. `subject` is the subject's label in the source."""

    source: str
    destination: str
    id: str
    name: str
    label: str
    subject: str
    subject_id: str


Action = ShareSubject | ShareSession


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPlan:
    """The state of a row and its actions, in order. A failed row may have actions: the part that can be done.

    Two rows may ask for the same action; it is one action.
    """

    row: ShareRow
    state: RowState
    reason: str = ""  #: one sentence with the next step, for the report
    actions: tuple[Action, ...] = ()
    sessions: int = 0  #: how many of its sessions are in the destination already, under whatever label
    absent: str = ""  #: what the row names and is not there: "subject", or which of the two projects


def plan(
    rows: Sequence[ShareRow],
    seen: Mapping[str, SeenProject],
    made: Collection[MadeShare],
    standing_shares: Mapping[str, Collection[str]] = EMPTY,
) -> tuple[RowPlan, ...]:
    """Return the state of each row, and the shares to make for it, in the order of the rows.

    `seen` holds each project that a row names and that XNAT lists for us. `made` holds the shares that we made. If one
    of them is gone, a person has removed it. Then no row makes it again while the row that it was made for is
    unchanged. `standing_shares`: accession IDs of what we shared for a row, by the row's key; by them a subject is
    found again that was renamed in the source.
    """
    standing = {row.key for row in rows}
    ours: dict[str, set[str]] = {}
    for one in made:
        if one.row in standing:
            ours.setdefault(one.destination, set()).add(one.id)
    projects = {name: _ProjectIndex.of(project, ours.get(name, set())) for name, project in seen.items()}
    return tuple(_planned(row, projects, standing_shares.get(row.key, ())) for row in rows)


# -- one thing, one destination ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The result for one subject or session: its label in the destination, or why it has none."""

    state: RowState
    label: str = ""
    reason: str = ""


@dataclass(slots=True)
class _Labels:
    """The labels of a project's subjects, or of its sessions, with those that this plan adds."""

    writable: bool
    labels: Mapping[str, str]  #: by accession ID
    ours: Collection[str]  #: accession IDs that we shared into it
    taken: dict[str, str] = field(default_factory=dict)  #: accession IDs by case-folded label
    promised: dict[str, str] = field(default_factory=dict)  #: labels by accession ID, given by this plan

    def place(self, id_: str, label: str, *, explicit: bool) -> _Outcome:
        """Return the result of sharing it here under this label. `explicit`: the table names the label."""
        there = self.labels.get(id_)
        if there is not None:
            return self._found(there, label, explicit=explicit)
        if id_ in self.ours:
            return _Outcome(RowState.REMOVED, reason="it is not shared again unless its row is changed")
        why = self._objection(id_, label)
        if why:
            return _Outcome(RowState.FAILED, reason=why)
        self.taken[label.casefold()] = id_
        self.promised[id_] = label
        return _Outcome(RowState.SHARED, label)

    def _found(self, there: str, label: str, *, explicit: bool) -> _Outcome:
        if explicit and there != label:
            return _Outcome(
                RowState.FAILED,
                reason="it is there under another label: correct the table, or rename it in XNAT",
            )
        return _Outcome(RowState.THERE, there)

    def _objection(self, id_: str, label: str) -> str:
        if not self.writable:
            return "we may not share into the destination: ask its owner for the role of a member"
        if not is_label(label):
            return "the label would have a character that XNAT refuses: give another"
        if self.promised.get(id_, label) != label:
            return "another row shares it under another label: keep one of the two"
        # Case-folded, since archiving finds subjects without regard to case (F199).
        if self.taken.get(label.casefold(), id_) != id_:
            return "the label is taken in the destination: give another"
        return ""


@dataclass(frozen=True, slots=True)
class _ProjectIndex:
    """A project's listings, indexed for use as the source or the destination of shares."""

    ids: Mapping[str, str]
    folded: Collection[str]  #: case-folded labels of its subjects
    of_subject: Mapping[str, Sequence[SeenSession]]
    subjects: _Labels
    sessions: _Labels

    @classmethod
    def of(cls, project: SeenProject, ours: Collection[str]) -> _ProjectIndex:
        of_subject: dict[str, list[SeenSession]] = {}
        for session in sorted(project.sessions, key=lambda one: (one.label, one.id)):
            of_subject.setdefault(session.subject, []).append(session)
        subjects = {id_: label for label, id_ in project.subjects.items()}
        sessions = {session.id: session.label for session in project.sessions}
        labels_of = [
            _Labels(project.writable, labels, ours, {label.casefold(): id_ for id_, label in labels.items()})
            for labels in (subjects, sessions)
        ]
        folded = {label.casefold() for label in project.subjects}
        return cls(project.subjects, folded, of_subject, *labels_of)

    def count(self, sessions: Iterable[SeenSession]) -> int:
        """Return how many of these sessions the project shows, under whatever label."""
        return sum(session.id in self.sessions.labels for session in sessions)


# -- one row -------------------------------------------------------------------------------------------------


def _planned(row: ShareRow, projects: Mapping[str, _ProjectIndex], shared: Collection[str]) -> RowPlan:
    if row.fault:
        return RowPlan(row=row, state=RowState.FAILED, reason=row.fault)
    for role, project in (("source", row.source), ("destination", row.destination)):
        if project not in projects:
            reason = f"there is no {role} project of this name yet, or its lists cannot be read now"
            return _waiting(row, f"{role} project", reason)
    source, destination = projects[row.source], projects[row.destination]
    id_ = source.ids.get(row.subject)
    if id_ is None:
        return _renamed(row, source, destination, shared) or _without_subject(row, source)
    outcome = destination.subjects.place(id_, row.label or row.subject, explicit=bool(row.label))
    meant = _meant(row, id_, source)
    if outcome.state in (RowState.FAILED, RowState.REMOVED):
        count = destination.count(meant)
        return RowPlan(row=row, state=outcome.state, reason=outcome.reason, sessions=count)
    placed = [(session, _session(row, session, outcome.label, destination)) for session in meant]
    return _summed(row, id_, outcome, placed, destination.count(meant))


def _meant(row: ShareRow, id_: str, source: _ProjectIndex) -> list[SeenSession]:
    return [session for session in source.of_subject.get(id_, ()) if row.wants(session.label)]


def _renamed(
    row: ShareRow, source: _ProjectIndex, destination: _ProjectIndex, shared: Collection[str]
) -> RowPlan | None:
    """Return the state of a row whose subject we shared, if the source shows it under another label now.

    It is told and not followed: the row says a label, and what comes under the new one was never asked for.
    """
    id_ = next((one for one in shared if one in source.subjects.labels and one in destination.subjects.labels), None)
    if id_ is None:
        return None
    label = source.subjects.labels[id_]
    return RowPlan(
        row=row,
        state=RowState.THERE,
        reason=f"the subject is called {label} in the source now: write that into the row, else no more is shared",
        sessions=destination.count(_meant(row, id_, source)),
    )


def _without_subject(row: ShareRow, source: _ProjectIndex) -> RowPlan:
    other = ", but one in other capitals" if row.subject.casefold() in source.folded else ""
    return _waiting(row, "subject", f"the source has no subject of this label yet{other}")


def _waiting(row: ShareRow, absent: str, reason: str) -> RowPlan:
    return RowPlan(row=row, state=RowState.WAITING, reason=reason, absent=absent)


def _session(row: ShareRow, session: SeenSession, subject: str, destination: _ProjectIndex) -> _Outcome:
    values = {
        "subject": subject,
        "session": session.label,
        "session_id": session.id,
        "study_date": session.date[:10].replace("-", ""),
    }
    if "{study_date}" in row.session_label and not values["study_date"]:
        return _Outcome(RowState.FAILED, reason="it has no date to make a label of")
    label = fill(row.session_label or "{session}", values)
    return destination.sessions.place(session.id, label, explicit=bool(row.session_label))


def _summed(
    row: ShareRow, id_: str, subject: _Outcome, placed: Sequence[tuple[SeenSession, _Outcome]], there: int
) -> RowPlan:
    ends = {"source": row.source, "destination": row.destination}
    actions: list[Action] = []
    if subject.state is RowState.SHARED:
        actions.append(ShareSubject(**ends, id=id_, name=row.subject, label=subject.label))
    actions += [
        ShareSession(
            **ends, id=session.id, name=session.label, label=outcome.label, subject=row.subject, subject_id=id_
        )
        for session, outcome in placed
        if outcome.state is RowState.SHARED
    ]
    outcomes = [outcome for _, outcome in placed]
    return RowPlan(
        row=row,
        state=_gravest([subject, *outcomes]),
        reason=_reasons(outcomes) if outcomes or not row.sessions else NO_MATCH,
        actions=tuple(actions),
        sessions=there,
    )


def _gravest(outcomes: Iterable[_Outcome]) -> RowState:
    return max((outcome.state for outcome in outcomes), key=list(RowState).index)


def _reasons(outcomes: Sequence[_Outcome]) -> str:
    counted = Counter(outcome.reason for outcome in outcomes if outcome.reason)
    return "; ".join(f"{count} of {len(outcomes)} sessions: {reason}" for reason, count in counted.items())
