"""received → uploaded: XNAT holds every instance of the study, in a place of ours or in the archive already."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta

from xnat_watchd.adapters.ledger.studies import StepFacts
from xnat_watchd.core.comparison import AllPresent, Incomplete, LeftOut, Mixed, Unproved, Verdict
from xnat_watchd.core.delivery import Holding, Instance, Item, Place, PrearchiveRow, Session
from xnat_watchd.core.errors import Conflict, NotYet, Permanent, RepeatOnce, Transient, Undecided, WaitUntil
from xnat_watchd.core.findings import Finding, FindingKind, must_not_hold
from xnat_watchd.core.labels import check_parts, subject_label
from xnat_watchd.core.retry import MOST_UPLOADS, NIGHT
from xnat_watchd.studies.steps.archive_proof import must_be_its_patients, proved, wanted
from xnat_watchd.studies.steps.context import Tools, finished_row, must_have_waited
from xnat_watchd.studies.steps.misplaced import clear_misplaced
from xnat_watchd.studies.steps.place_proof import built, clear_appeared, judged, reclaim, remove
from xnat_watchd.studies.steps.projects import refusal
from xnat_watchd.studies.steps.sending import OutgoingZip, new_place, send_zip, zip_of
from xnat_watchd.studies.steps.source import must_not_have_changed, source_zip

SENT_AGAIN_AFTER = timedelta(minutes=1)  #: XNAT 1.6 lists 1,500 images within a second of the last byte
FOREIGN = "files of another import lie at our place in the prearchive; sent again to a new place"
REMAPPED = "XNAT shows other UIDs than were sent; sent again under names that prove which images they are"
UNPROVED = "XNAT gives images UIDs and names of its own, so that nothing proves whose they are"
ANONYMISED = (
    "Ask the XNAT administrator which script renames files in this project. Compare what lies at the place that "
    "`xnat-watchd show ITEM` names with the ZIP, archive it in XNAT, then `xnat-watchd skip ITEM --why TEXT`."
)


def upload(item: Item, tools: Tools) -> StepFacts:
    """Make XNAT hold the whole study, and return the facts that prove it. In doubt, ask before sending again."""
    _must_name_a_study(item)
    _may_be_sent(item, tools)
    if item.misplaced:
        source_zip(item, tools)  # otherwise the only copy might be removed
        clear_misplaced(item, tools)
    if item.place is not None:
        must_not_have_changed(item, item.place, tools.ledger.places.stamp(item.place), tools)
        facts = _at_our_place(item, item.place, tools)
        if facts is not None:
            return facts
    missing, session = _not_in_the_archive(item, tools)
    if not missing:
        _must_have_session(session)
        return StepFacts(subject=session.subject if session else None, note="XNAT's archive holds it already")
    return _send(item, missing, session, tools)


def _must_name_a_study(item: Item) -> None:
    if not item.study_uid:
        raise Undecided(
            "XNAT could not place images that name no study",
            advice="Export them again and drop the new ZIP; then `xnat-watchd skip ITEM --why TEXT`.",
        )


def _may_be_sent(item: Item, tools: Tools) -> None:
    check_parts(tools.rules(item.project).labels, tools.facts(item), item.label)
    if refused := refusal(item.project, tools.gateway):
        raise refused


# In doubt: is it there?


def _at_our_place(item: Item, place: Place, tools: Tools) -> StepFacts | None:
    """Return the facts from our place; None if nothing of ours is there and the study may be sent to another place.

    If XNAT refuses files that a place has already, they are sent to the same place again. Whatever became of the first
    import, and however late it arrives, each file then lies there once. Only names that we gave make files the same.
    """
    row = tools.gateway.look(place)
    if row is not None:
        return _judged(item, finished_row(tools, row, item.since), tools)
    if any(session.came_from(place) for session in tools.gateway.sessions(item.project, item.uids)):
        return StepFacts(note="XNAT archived it by itself")
    if item.import_began is None:
        tools.ledger.places.forget(item)
        return None
    tools.ledger.places.mark_doubted(item, tools.clock.now())
    if item.named and not item.taken and tools.gateway.refuses_second_import():
        must_have_waited(tools, item, item.import_began, SENT_AGAIN_AFTER)
        return _send_again(item, place, tools)
    must_have_waited(tools, item, item.import_began, tools.gateway.lateness())
    tools.ledger.places.give_up(item, tools.clock.now())
    return None


# What is missing in the archive.


def _not_in_the_archive(item: Item, tools: Tools) -> tuple[list[Instance], Session | None]:
    """Return the instances to send and the session that has the others: all and None, unless XNAT has the study."""
    instances = wanted(item, tools)
    _no_other_contents(item, instances, tools)
    sessions = tools.gateway.sessions(item.project, item.uids)
    if not sessions:
        return instances, None
    session = _only_session(sessions)
    there = proved(item, session, tools)
    missing = [i for i in instances if i.sop_uid not in there]
    if missing:
        must_be_its_patients(item, session, tools)
    tools.ledger.studies.record_person(item, session.subject)  # stops before anything of another person is sent
    if missing and not tools.rules(item.project).append:
        raise Conflict("XNAT has part of this study, and `on_existing` says hold")
    return missing, session


def _no_other_contents(item: Item, instances: Collection[Instance], tools: Tools) -> None:
    """Record a finding and raise `Undecided` if instances came before under the same UID with other contents."""
    known = tools.ledger.contents.known(item)
    others = tuple(i.sop_uid for i in instances if i.sop_uid in known and not i.is_same_as(known[i.sop_uid]))
    if others:
        tools.ledger.findings.add(item, Finding(
            kind=FindingKind.TWO_CONTENTS, count=len(others), members=others,
            why=f"{len(others)} of its images came before under the same UID with other contents",
        ), tools.clock.now())  # fmt: skip
        must_not_hold(tools.ledger.findings.open(item.key))


def _only_session(sessions: Collection[Session]) -> Session:
    if len(sessions) > 1:
        raise Conflict(f"XNAT has this study {len(sessions)} times in the project")
    return next(iter(sessions))


# Sending.


def _send(item: Item, missing: Collection[Instance], session: Session | None, tools: Tools) -> StepFacts:
    _must_not_be_sent_too_often(item, tools)
    content = zip_of(item, missing, tools, anew=session is None)
    place = new_place(item.project, f"{item.delivery}-{item.number}", tools)
    sending, merge_into = [i.sop_uid for i in missing], session.id if session else None
    named = content.path == tools.folders.clean_zip(item.name)

    def choose(now: datetime, stamp: str) -> None:
        tools.ledger.places.choose(item, place, sending, now, merge_into, named=named, stamp=stamp)

    return _sent(replace(item, place=place, import_began=None, named=named), place, content, missing, tools, choose)


def _send_again(item: Item, place: Place, tools: Tools) -> StepFacts:
    """Send the same files to the same place. XNAT refuses them if the first import has arrived or still arrives."""
    _must_not_be_sent_too_often(item, tools)
    clear_appeared(item, tools)
    there = frozenset[str]().union(*tools.ledger.contents.at_place(item).values())
    missing = [one for one in tools.ledger.contents.instances(item) if one.sop_uid in there]
    return _sent(item, place, zip_of(item, missing, tools, anew=False), missing, tools)


def _sent(
    item: Item,
    place: Place,
    content: OutgoingZip,
    missing: Collection[Instance],
    tools: Tools,
    choose: Callable[[datetime, str], None] | None = None,
) -> StepFacts:
    """Send a ZIP to our place, which `choose` records if it is new. Compare what lies there with what was sent."""
    try:
        send_zip(item, place, content, tools, choose)
    except RepeatOnce:
        facts = _refused_twice(item, place, missing, tools)
        if facts is None:
            raise
        return facts
    must_not_have_changed(item, place, content.stamp, tools)
    return _confirmed(item, place, tools)


def _confirmed(item: Item, place: Place, tools: Tools) -> StepFacts:
    """Judge what lies at our place now that XNAT has confirmed that it took it.

    A session that has XML is built, and its XML tells what its row would. Only if there is none the row tells why.
    """
    try:
        seen = built(place, tools)
    except NotYet:
        row = tools.gateway.look(place)
        if row is None:
            raise NotYet("XNAT took it and does not list it yet") from None
        return _judged(item, finished_row(tools, row, item.since), tools)
    return _judged(item, PrearchiveRow(place, "READY", seen.subject, seen.study_uid), tools, seen)


def _must_not_be_sent_too_often(item: Item, tools: Tools) -> None:
    """Raise an error if the study was sent without success too often. The last attempt waits for the next day."""
    if item.uploads == MOST_UPLOADS - 1 and (morning := _next_attempt(item, tools)):
        raise WaitUntil(f"it is sent once more after a night: {_failed_uploads(item)}", morning)
    if item.uploads >= MOST_UPLOADS:
        raise Permanent(
            _failed_uploads(item),
            advice="Ask the XNAT administrator why, then `xnat-watchd retry ITEM`.",
        )


def _next_attempt(item: Item, tools: Tools) -> datetime | None:
    """Return when the study may be sent for the last time; None if now.

    What made XNAT lose it twice, such as a full disk, is seldom repaired before people come to work. There are two
    exceptions. If the project was in trouble, a study on trial, or one that came through since, shows that it is over.
    And what the import of another client has spoilt was not lost by XNAT.
    """
    last, now = tools.ledger.places.last_import(item), tools.clock.now()
    if last is None or not last <= now < last + NIGHT:  # later, or the clock was set back
        return None
    is_over = tools.ledger.places.mixed(item.key) or (
        item.trials and (tools.gates.is_on_trial(item.project) or tools.ledger.studies.has_uploaded(item.project, last))
    )
    return None if is_over else last + NIGHT


def _failed_uploads(item: Item) -> str:
    return f"it was sent {item.uploads} times without success{f': {item.why}' if item.why else ''}"


def _must_have_session(session: Session | None) -> None:
    if session is None:
        raise Permanent(
            "no image of it is left to be sent, and XNAT has none of it",
            advice="There is nothing to send. Type `xnat-watchd skip ITEM --why TEXT`.",
        )


def _refused_twice(item: Item, place: Place, missing: Collection[Instance], tools: Tools) -> StepFacts | None:
    """Return the facts if XNAT has all images and has refused only the rest, which are none, twice (F64, F76)."""
    series = tools.ledger.contents.series(item)
    refused = frozenset(i.series_uid for i in missing)
    if (row := tools.gateway.look(place)) is not None:  # the members before the refused one (F151)
        remove(item, row, tools)
    tools.ledger.places.give_up(item, tools.clock.now(), missing=refused)
    sessions = tools.gateway.sessions(item.project, item.uids)
    if not sessions or any(series[uid].image for uid in refused) or not refused <= item.missing_before:
        return None
    return StepFacts(left_out=refused, subject=_only_session(sessions).subject, note=_left_out_note(refused))


# Is it whole?


def _judged(item: Item, row: PrearchiveRow, tools: Tools, seen: Holding | None = None) -> StepFacts:
    verdict = _verdict(item, row, tools, seen)
    if isinstance(verdict, AllPresent):
        if verdict.uid != item.study_uid:
            reclaim(item, verdict.uid, tools)
        tools.recent.remember_row(item, row)
        return _proof(item, row, verdict.uid, tools)
    if isinstance(verdict, LeftOut) and verdict.series <= item.missing_before:
        facts = _proof(item, row, verdict.uid, tools)
        return StepFacts(
            server_uid=facts.server_uid, subject=facts.subject, left_out=verdict.series,
            note=_left_out_note(verdict.series),
        )  # fmt: skip
    raise _give_up_place(item, row, verdict, tools)


def _verdict(item: Item, row: PrearchiveRow, tools: Tools, seen: Holding | None) -> Verdict:
    """Compare the row with what was sent. A row that XNAT cannot build, even when asked, counts as short."""
    if row.status == "ERROR":
        tools.gateway.build(row.place)
    try:
        return judged(item, row.place, tools, seen)
    except NotYet:
        sent = tools.ledger.contents.series(item, at_place=True)
        if row.status == "ERROR" and (built := tools.gateway.look(row.place)) and built.status == "ERROR":
            return Incomplete(sum(one.count for one in sent.values()), frozenset())
        raise


def _proof(item: Item, row: PrearchiveRow, uid: str, tools: Tools) -> StepFacts:
    subject = subject_label(tools.rules(item.project).labels.subject, tools.facts(item), row.subject)
    return StepFacts(server_uid=uid if uid != item.study_uid else None, subject=subject, note="every image is there")


def _give_up_place(item: Item, row: PrearchiveRow, verdict: Verdict, tools: Tools) -> Transient | Permanent | Undecided:
    """Abandon the place and return the reason. A study that XNAT does not hold whole is sent again to a new place."""
    now = tools.clock.now()
    if isinstance(verdict, Mixed | Unproved):
        if isinstance(verdict, Unproved) and item.named:  # it would be the same at any other place
            return Undecided(UNPROVED, detail=row.place.path, advice=ANONYMISED)
        tools.ledger.places.give_up(item, now, mixed=True)
        return Transient(FOREIGN if isinstance(verdict, Mixed) else REMAPPED, detail=row.place.path)
    missing = verdict.series if isinstance(verdict, LeftOut) else verdict.whole_series  # type: ignore[union-attr]
    if not remove(item, row, tools):
        tools.ledger.places.give_up(item, now, mixed=True)
        return Transient(FOREIGN, detail=row.place.path)
    tools.ledger.places.give_up(item, now, missing=missing)
    if isinstance(verdict, Incomplete) and missing and missing <= item.missing_before:
        return Permanent(
            f"XNAT leaves out {len(missing)} series of images every time",
            advice="Ask the XNAT administrator about series filters of this project, then `xnat-watchd retry ITEM`; "
            "or let it go on without them: `xnat-watchd accept ITEM --why TEXT`.",
        )
    return Transient("XNAT did not keep every image; sent again")


def _left_out_note(series: Collection[str]) -> str:
    return f"XNAT leaves out {len(series)} series without images; the ZIP is kept"
