"""Gates, pauses, shares and messages: what may be done, what was asked for, and what is still to be told."""

from __future__ import annotations

from datetime import timedelta

from tests.ledger_conformance.engines import Recorder
from xnat_watchd.adapters.ledger.pauses import Activity
from xnat_watchd.core.gate import OPEN, PROJECT_AGAIN, Gate
from xnat_watchd.core.incidents import Incident, IncidentKey, IncidentKind
from xnat_watchd.core.sharing.plan import ShareSession
from xnat_watchd.core.sharing.state import ShareState


def test_a_gate_is_as_it_was_set_also_after_a_restart(recorder: Recorder) -> None:
    gate = Gate(
        until=recorder.now + timedelta(hours=1), login=True, why="refused", advice="Type it again.", strikes=2,
        since=recorder.now, refusals=(recorder.now,),
    )  # fmt: skip
    recorder.ledger.gates.set("", gate)
    recorder.ledger.gates.set("P1", OPEN)
    recorder.restart()
    seen = recorder.ledger.gates.now()
    assert (seen.of(), seen.of("P1"), seen.of("P2"), seen.paused) == (gate, OPEN, OPEN, False)
    recorder.ledger.gates.forget_refusals()
    assert recorder.ledger.gates.get().refusals == ()


def test_a_project_is_tried_at_once_when_a_person_says_so_and_soon_when_a_zip_comes(recorder: Recorder) -> None:
    late = recorder.now + timedelta(days=1)
    for project in ("P1", "P2"):
        recorder.ledger.gates.set(project, Gate(until=late, why="refused"))
    recorder.receive(project="P1")
    assert recorder.ledger.gates.get("P1").until == recorder.now + PROJECT_AGAIN
    assert recorder.ledger.gates.try_now(recorder.now, "P2") == ["P2"]
    assert recorder.ledger.gates.get("P2").until == recorder.now


def test_a_pause_lasts_over_a_restart_and_is_begun_once(recorder: Recorder) -> None:
    before = recorder.ledger.pauses.changes()
    assert recorder.ledger.pauses.begin(Activity.WORK, "ada paused it", "", recorder.now)
    assert not recorder.ledger.pauses.begin(Activity.WORK, "bob paused it", "", recorder.now)
    recorder.restart()
    assert recorder.ledger.gates.now().paused
    assert [one.why for one in recorder.ledger.pauses.open()] == ["ada paused it"]
    assert recorder.ledger.pauses.end(recorder.now, "bob") == [Activity.WORK]
    assert (recorder.ledger.gates.now().paused, recorder.ledger.pauses.changes()) == (False, before + 2)


def test_a_pause_of_the_retention_is_none_of_the_work(recorder: Recorder) -> None:
    recorder.ledger.pauses.begin(Activity.RETENTION, "the clock jumped", "", recorder.now)
    assert not recorder.ledger.gates.now().paused
    assert recorder.ledger.pauses.lasts(Activity.RETENTION)


def share(number: int) -> ShareSession:
    return ShareSession(
        source="P1", destination="P2", id=f"E{number}", name=f"L{number}", label=f"L{number}", subject="S1",
        subject_id="X1",
    )  # fmt: skip


def test_a_share_is_remembered_from_its_intent_to_its_removal(recorder: Recorder) -> None:
    shares, key = recorder.ledger.shares, ("P2", "E1")
    shares.intend([(share(1), frozenset({"row"}))], recorder.now)
    recorder.restart()
    shares = recorder.ledger.shares
    assert (shares.all(["P2"])[key].fate, shares.all(["P9"])) == (ShareState.INTENDED, {})
    shares.settle([key], recorder.now)
    shares.intend([(share(1), frozenset({"another"}))], recorder.now)
    made = shares.all(["P2"])[key]
    assert (made.fate, made.rows, made.seen) == (ShareState.MADE, frozenset({"row"}), recorder.now)
    shares.remove([(key, frozenset({"row"}))], recorder.now)
    assert shares.all(["P2"])[key].fate is ShareState.REMOVED


def test_an_event_that_archives_is_news_for_the_shares_of_its_project(recorder: Recorder) -> None:
    recorder.receive()
    seen, has_come = recorder.ledger.shares.archived(0, ["P1"])
    recorder.complete()
    assert (has_come, recorder.ledger.shares.archived(seen, ["P1"])[1]) == (False, True)
    assert not recorder.ledger.shares.archived(seen, ["P2"])[1]


def test_a_message_is_written_once_for_a_channel_and_sent_once(recorder: Recorder) -> None:
    messages, channels = recorder.ledger.messages, ["mail", "webhook"]
    for _ in range(2):
        messages.write("incidents 1", channels, "subject", "body", recorder.now)
    due = messages.due(channels, recorder.now)
    assert [one.channel for one in due] == channels
    messages.sent(due[0], recorder.now)
    messages.failed(due[1], "no route", recorder.now + timedelta(minutes=5))
    assert (messages.due(channels, recorder.now), messages.next_due()) == ([], recorder.now + timedelta(minutes=5))


def test_incidents_are_kept_as_they_were_decided(recorder: Recorder) -> None:
    now, reasons = recorder.now, frozenset({"0a", "1b"})
    one = Incident(now, told=now, reminders=2, reasons=reasons, worse=now, over=now, returns=3)
    incidents = {IncidentKey(next(iter(IncidentKind)), "P1"): one}
    recorder.ledger.messages.keep(incidents)
    recorder.restart()
    assert recorder.ledger.messages.incidents() == incidents
