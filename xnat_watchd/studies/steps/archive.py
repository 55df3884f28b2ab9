"""uploaded → archived: XNAT's archive holds every instance, under a label made of subject, date, time and modality."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from xnat_watchd.adapters.ledger.studies import StepFacts
from xnat_watchd.core.comparison import Mixed
from xnat_watchd.core.delivery import Item, Place, PrearchiveRow, Session, Subject
from xnat_watchd.core.errors import (
    AuthRefused,
    Conflict,
    InDoubt,
    NotListedYet,
    NotSeenYet,
    NotYet,
    Stopped,
    Transient,
    Unavailable,
)
from xnat_watchd.core.findings import must_not_hold
from xnat_watchd.core.states import DeliveryKind
from xnat_watchd.studies.steps.archive_proof import (
    NO_FILES,
    EarlierCounts,
    foreign,
    is_whole,
    must_be_its_patients,
    proved,
    sent_to_place,
    shown,
    wanted,
)
from xnat_watchd.studies.steps.context import BUILD_AFTER, Tools, finished_row
from xnat_watchd.studies.steps.labelling import joining_labels, labels_of, sent_subject
from xnat_watchd.studies.steps.place_proof import clear_old_places, judged, remove

DIED = (
    "If it stays so, XNAT died while it archived. Ask its administrator to set the row's status back to READY in the "
    "database (table xdat_search.prearchive), or to remove the row. Then it goes on by itself. To send the study to a "
    "new place instead, type `xnat-watchd resend ITEM`."
)
ARCHIVED_BY_OTHERS = "somebody else has put this study into XNAT's archive meanwhile"


def archive(item: Item, tools: Tools) -> StepFacts:
    """Archive our row, or find that it is archived already. Return the facts of the session that proves it."""
    clear_old_places(item, tools)
    row = tools.recent.row(item)
    if row is not None and not tools.gateway.sessions(item.project, item.uids):
        return _archive_anew(item, row, tools)
    return _as_it_is_now(item, tools)


def _as_it_is_now(item: Item, tools: Tools) -> StepFacts:
    """Find out where the study is now, and do what is missing: since its upload much may have happened."""
    sessions = tools.gateway.sessions(item.project, item.uids)
    if (ours := _from_our_place(item, sessions)) is not None:
        return _done_already(item, ours, tools)
    joined = next((one for one in sessions if one.id == item.merge_into), None)
    if item.place and joined is not None and tools.gateway.look(item.place) is None:
        return _proof(item, joined, _before(item), tools, asked=True)
    if len(sessions) > 1:
        raise Conflict(f"XNAT has this study {len(sessions)} times in the project")
    if item.place is None:
        return _existing_session(item, sessions[0] if sessions else None, tools)
    row = tools.gateway.look(item.place)
    if row is None:
        return _row_gone(item, item.place, tools)
    _may_have_died(item, row, tools)
    row = finished_row(tools, row, item.since)
    if item.kind is DeliveryKind.PREARCHIVE:
        _must_be_as_shown(item, row, sessions, tools)
    else:
        _must_still_be_ours(item, row.place, tools)
    if sessions:
        return _join(item, row, sessions[0], tools)
    return _archive_anew(item, row, tools)


def _done_already(item: Item, session: Session, tools: Tools) -> StepFacts:
    adds = item.merge_into is not None
    facts = _proof(item, session, _before(item) if adds else NO_FILES, tools, asked=adds)
    if item.place and (row := tools.gateway.look(item.place)) is not None:
        _remove_unless_locked(item, row, tools)
    return _relabelled(item, session, facts, tools)


def _may_have_died(item: Item, row: PrearchiveRow, tools: Tools) -> None:
    """Record a row that XNAT still archives after the answer was lost: a server that died meanwhile never ends it.

    Neither removing nor building such a row has any effect, even after a restart (seen on XNAT 1.6.4).
    """
    if row.is_locked_for_archiving and item.in_doubt and item.before is not None:
        tools.ledger.places.mark_locked(row.place, tools.clock.now())
        raise NotYet("XNAT has been archiving it since the answer was lost, and may have died meanwhile", advice=DIED)
    if item.locked is not None:
        tools.ledger.places.clear_locked(row.place)


def _remove_unless_locked(item: Item, row: PrearchiveRow, tools: Tools) -> None:
    """Remove a row whose session is proved. A row that stays locked is left, and reported until it is gone."""
    waited = item.since is not None and tools.clock.now() - item.since >= BUILD_AFTER
    if row.is_locked_for_archiving and waited:
        tools.ledger.places.mark_locked(row.place, tools.clock.now())
    else:
        remove(item, row, tools)


def _before(item: Item) -> EarlierCounts | None:
    """Return what the session held before our row was merged into it; None if an older version merged it."""
    return None if item.before is None else EarlierCounts(item.before)


def _relabelled(item: Item, session: Session, facts: StepFacts, tools: Tools) -> StepFacts:
    """Rename a session that the site archived by itself, under the name of our place (F99)."""
    if item.place is None or session.label != item.place.folder:
        return facts
    label = labels_of(replace(item, subject=session.subject), tools).session
    if tools.gateway.session_named(item.project, label) is None:
        renamed = tools.gateway.relabel(session, label)
        if renamed is not None and renamed.label == label:
            return _facts(renamed)
    raise Conflict(
        "XNAT archived the study by itself, under the name of our place, and does not rename it",
        detail=f"{session.label}, which should be {label}",
        advice="Rename the session in XNAT as `xnat-watchd show ITEM` says; then `xnat-watchd retry ITEM`.",
    )


def _must_be_as_shown(item: Item, row: PrearchiveRow, sessions: Collection[Session], tools: Tools) -> None:
    """Raise `Conflict` if what others put there is no longer what the person saw who asked us to archive it."""
    if sessions:
        raise Conflict(
            "XNAT's archive has this study already", advice="Compare the two in XNAT. Merge them there, or delete one."
        )
    shown = {series: one.count for series, one in tools.ledger.contents.series(item).items()}
    if {series: n for series, n in tools.gateway.holding(row.place).counts.items() if n} != shown:
        raise Conflict(
            "the session in the prearchive is not what it was when it was shown",
            advice="`xnat-watchd archive` shows what it is now.",
        )


def _must_still_be_ours(item: Item, place: Place, tools: Tools) -> None:
    """Raise `Conflict` if others have added to the row since its images were proved, which may be days ago."""
    if isinstance(judged(item, place, tools), Mixed):
        tools.ledger.places.give_up(item, tools.clock.now(), mixed=True)
        raise Conflict(
            "files of another import lie among ours in the prearchive",
            detail=place.path,
            advice="Ask the XNAT administrator to look at the prearchive row that `xnat-watchd show ITEM` names. "
            "To send the study to a new place: `xnat-watchd resend ITEM`.",
        )


def _archive_anew(item: Item, row: PrearchiveRow, tools: Tools) -> StepFacts:
    rules, labels = tools.rules(item.project), labels_of(item, tools)
    _must_be_our_study(item, row, tools)
    asked, there = tools.recent.now(), tools.gateway.subject(item.project, labels.subject)
    subject = sent_subject(item, row, there, tools)
    named = tools.gateway.session_named(item.project, labels.session)
    facts = StepFacts(subject=labels.subject, label=labels.session, creates_subject=there is None)
    if named is None:
        with tools.ledger.together():
            tools.ledger.studies.note(item, facts, tools.clock.now(), claims=labels.subject)
            tools.ledger.places.begin_archiving(item, None, {})
    else:
        tools.ledger.studies.claim_subject(item, labels.subject)
    if named is not None and named.holding.study_uid in item.uids:
        raise NotYet(ARCHIVED_BY_OTHERS)
    if named is not None:
        raise Conflict(
            "XNAT has another study under the label that this one would get",
            detail=labels.session,
            advice="Compare the two; then `xnat-watchd retry ITEM --label ANOTHER`.",
        )
    try:
        tools.gateway.archive(row.place, subject, labels.session, join=False, pipelines=rules.trigger_pipelines)
    except Conflict:
        if not tools.gateway.sessions(item.project, item.uids):
            raise
        raise NotYet(ARCHIVED_BY_OTHERS) from None
    except (Transient, Unavailable, AuthRefused, Stopped) as error:
        if error.spoke:
            tools.ledger.studies.record_person(item, labels.subject)
        raise
    with _person_recorded(item, labels.subject, tools):
        sent = sent_to_place(item, tools)
        session = _archived(item, sent, tools)
        if session.subject.casefold() != labels.subject.casefold():
            raise Conflict("XNAT filed the study under another subject than it was sent for", detail=session.subject)
        _remember_subject(there or _new_subject(session, labels.subject), session, asked, tools)
        return _whole(item, session, NO_FILES, sent, tools)


@contextmanager
def _person_recorded(item: Item, subject: str, tools: Tools) -> Iterator[None]:
    """Record for good whose subject it is, now that XNAT has archived the study.

    That is written with the progress if the session is proved within the block. Whatever else comes of the block, it is
    written at once: the study may then wait, or be held, and a person may choose another subject for it.
    """
    is_proved = False
    try:
        yield
        is_proved = True
    finally:
        if not is_proved:
            tools.ledger.studies.record_person(item, subject)


def _archived(item: Item, sent: Mapping[str, int], tools: Tools) -> Session:
    """Return the session that XNAT has made of our row. Raise `NotListedYet` if it does not show it yet.

    One list tells all of a session as it should be. Whatever else it shows, each session is read by itself.
    """
    if (session := _listed_whole(item, sent, tools)) is not None:
        return session
    sessions = tools.gateway.sessions(item.project, item.uids)
    session = _from_our_place(item, sessions)
    if session is None:
        raise NotListedYet("XNAT said that it archived the study, and does not list it yet")
    if len(sessions) > 1:  # another client has archived it at the same time, under another label
        raise Conflict(f"XNAT has this study {len(sessions)} times in the project")
    return session


def _listed_whole(item: Item, sent: Mapping[str, int], tools: Tools) -> Session | None:
    """Return the only session of this study if it came from our place and holds exactly what was sent there."""
    listed = tools.gateway.listed_sessions(item.project, item.uids)
    is_whole = len(listed) == 1 and listed[0].holding.counts == sent
    return _from_our_place(item, listed) if is_whole else None


def _new_subject(session: Session, label: str) -> Subject | None:
    """Return the subject that XNAT has created with our session, of which it knows nothing yet.

    None if it has found one under a label of other capitals instead.
    """
    return Subject(id=session.subject_id, label=label) if session.subject == label else None


def _remember_subject(subject: Subject | None, session: Session, asked: float, tools: Tools) -> None:
    if subject is not None and subject.id and subject.id == session.subject_id:
        tools.recent.remember_subject(subject, asked)


def _must_be_our_study(item: Item, row: PrearchiveRow, tools: Tools) -> None:
    """Raise `Conflict` if another study lies at our place: an older version may have taken it for ours (F96)."""
    if tools.gateway.collides() and row.study_uid not in {"", item.study_uid}:
        tools.ledger.places.flag(row.place)
        raise Conflict(
            "what lies at our place in the prearchive is another study",
            detail=row.place.path,
            advice="Ask the XNAT administrator whose it is. `xnat-watchd resend ITEM` sends ours again.",
        )


def _join(item: Item, row: PrearchiveRow, session: Session, tools: Tools) -> StepFacts:
    """Merge our row into the session that XNAT has of this study, under the labels that it has there."""
    rules = tools.rules(item.project)
    if not rules.append:
        raise Conflict("XNAT has part of this study, and `on_existing` says hold")
    labels = joining_labels(session, tools)
    must_be_its_patients(item, session, tools)
    sent = frozenset[str]().union(*tools.ledger.contents.at_place(item).values())
    if sent & proved(item, session, tools):  # XNAT would add them a second time if the file names differ
        return _there_already(item, row, session.id, Conflict(ARCHIVED_BY_OTHERS), tools)
    tools.ledger.studies.record_person(item, session.subject)
    tools.ledger.places.begin_archiving(item, session.id, session.holding.counts)
    try:
        tools.gateway.archive(row.place, labels.subject, labels.session, join=True, pipelines=rules.trigger_pipelines)
    except Conflict as conflict:
        return _there_already(item, row, session.id, conflict, tools)
    if tools.gateway.look(row.place) is not None:
        raise InDoubt("XNAT said that it merged the row, but the row is still in the prearchive")
    joined = tools.gateway.session(session.id)
    if joined is None:
        raise InDoubt("XNAT does not show the session that it merged the row into")
    return _proof(item, joined, EarlierCounts(session.holding.counts), tools)


def _there_already(item: Item, row: PrearchiveRow, accession: str, conflict: Conflict, tools: Tools) -> StepFacts:
    """Return the facts if the session has every image already: another station has sent the same study (F97).

    XNAT refuses a row as soon as one of its files is there by name, so it is asked for every image. Raises `Conflict`
    where it has a part of them, and the given one where it has none.
    """
    session, ours = tools.gateway.session(accession), wanted(item, tools)
    there = shown(item, session, tools.gateway, ours) if session else frozenset[str]()
    missing = {one.sop_uid for one in ours} - there
    if session is None or len(missing) == len(ours):
        raise conflict
    if missing:
        raise Conflict(
            f"XNAT's archive has {len(ours) - len(missing)} of these {len(ours)} images already, and adds none of the "
            "others beside them",
            detail=conflict.detail,
            advice="`xnat-watchd resend ITEM` sends what is missing.",
        )
    remove(item, row, tools)
    return _facts(session)


def _existing_session(item: Item, session: Session | None, tools: Tools) -> StepFacts:
    if session is None:
        raise Conflict(
            "XNAT's archive no longer has the study that was found there",
            advice="Ask who removed it. `xnat-watchd retry ITEM` looks again, `xnat-watchd resend ITEM` sends it.",
        )
    return _proof(item, session, None, tools)


def _row_gone(item: Item, place: Place, tools: Tools) -> StepFacts:
    """Look in the archive once more: XNAT may have archived the row between our two questions.

    A session into which another row was merged since may name the place of that row instead of ours.
    """
    sessions = tools.gateway.sessions(item.project, item.uids)
    ours = _from_our_place(item, sessions)
    if ours is None and len(sessions) == 1 and _shows_all(item, sessions[0], tools):
        ours = sessions[0]
    if ours is not None:
        return _done_already(item, ours, tools)
    now, lateness = tools.clock.now(), tools.gateway.lateness()
    if item.in_doubt and (item.since is None or now - item.since < lateness):
        raise NotSeenYet("the answer was lost, and XNAT may still be archiving it", (item.since or now) + lateness)
    raise Conflict(
        "the study is gone from XNAT's prearchive, and the archive does not have it",
        detail=place.path,
        advice="Somebody removed or moved it in XNAT: ask who. `xnat-watchd resend ITEM` sends it again.",
    )


def _shows_all(item: Item, session: Session, tools: Tools) -> bool:
    ours = wanted(item, tools)
    return {one.sop_uid for one in ours} <= shown(item, session, tools.gateway, ours)


def _from_our_place(item: Item, sessions: Collection[Session]) -> Session | None:
    """Return the session that came from our place, or None. An answer cannot carry every label (F71, F74)."""
    return next((one for one in sessions if item.place and one.came_from(item.place)), None)


def _proof(
    item: Item, session: Session, before: EarlierCounts | None, tools: Tools, *, asked: bool = False
) -> StepFacts:
    """Return the facts of a session that is proved to hold all of this study. Raise `NotYet` while its counts lag.

    `asked`: each image is asked for. After a lost answer a sum may be right by what others have added.
    """
    tools.ledger.studies.record_person(item, session.subject)
    return _whole(item, session, before, sent_to_place(item, tools), tools, asked=asked)


def _whole(
    item: Item,
    session: Session,
    before: EarlierCounts | None,
    sent: Mapping[str, int],
    tools: Tools,
    *,
    asked: bool = False,
) -> StepFacts:
    """Do what `_proof` does for a subject whose person is recorded otherwise. `sent`: by `sent_to_place`."""
    if not _holds(item, session, None if asked else before, sent, tools):
        raise NotYet("XNAT's archive does not show every image yet")
    found = foreign(item, session, before, sent, tools) if before and item.kind is DeliveryKind.ZIP else None
    if found is not None:
        tools.ledger.findings.add(item, found, tools.clock.now())
        must_not_hold(tools.ledger.findings.open(item.key))
    return _facts(session)


def _facts(session: Session) -> StepFacts:
    return StepFacts(
        session=session.id, subject=session.subject, subject_id=session.subject_id or None, label=session.label,
        note=f"{session.subject} / {session.label}",
    )  # fmt: skip


def _holds(item: Item, session: Session, before: EarlierCounts | None, sent: Mapping[str, int], tools: Tools) -> bool:
    if item.kind is DeliveryKind.PREARCHIVE:  # only its counts are known
        shown = tools.ledger.contents.series(item)
        return all(session.holding.counts.get(series, 0) >= one.count for series, one in shown.items())
    if item.place is None:  # nothing of it was sent: XNAT had it
        return {one.sop_uid for one in wanted(item, tools)} <= proved(item, session, tools)
    return is_whole(item, session, before, sent, tools)
