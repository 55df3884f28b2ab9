"""Share tables come true: what is shared, what waits, what fails, what stays away, and what the report says."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fake_shares import FakeArchive, FakeSharing
from tests.share_desk import EVERY, REASON, SESSIONS, STATE, WHEN, Desk
from tests.station import QUIET, Time
from xnat_watchd.adapters.files.share_folder import ShareFolder
from xnat_watchd.core.errors import (
    AuthRefused,
    Conflict,
    InDoubt,
    Permanent,
    Refusal,
    RepeatOnce,
    Scope,
    Stopped,
    Transient,
    Unavailable,
)
from xnat_watchd.core.settling import FileStat
from xnat_watchd.core.sharing.plan import SeenProject, SeenSession, ShareSubject
from xnat_watchd.core.sharing.table import read

LABELLED = "subject,source,destination,label\n"


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def xnat(time: Time) -> FakeArchive:
    """Return an XNAT with two subjects in P1, the first with two sessions, and an empty P2."""
    archive = FakeArchive(time)
    archive.subject("P1", "S1", ["S1_CT", "S1_MR"])
    archive.subject("P1", "S2", ["S2_MR"])
    archive.projects["P2"] = True
    return archive


@pytest.fixture
def desk(tmp_path: Path, xnat: FakeArchive, time: Time) -> Iterator[Desk]:
    one = Desk(tmp_path, FakeSharing(xnat), time)
    yield one
    one.close()
    assert not xnat.relabelled
    assert not xnat.orphans
    assert not [shared for shared, times in xnat.made.items() if times > 2]


def asked(xnat: FakeArchive, what: str = "share") -> int:
    return sum(one.startswith(what) for one in xnat.requests)


# -- coming true -----------------------------------------------------------------------------------------------


def test_a_row_shares_its_subject_and_all_sessions_and_says_so(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("S1,P1,P2")
    desk.settle()
    assert xnat.labels("P2") == ["S1", "S1_CT", "S1_MR"]
    assert desk.report() == [
        {
            "subject": "S1", "source": "P1", "destination": "P2",
            STATE: "shared", SESSIONS: "2", WHEN: "2026-01-01 00:00:10", REASON: "",
        }
    ]  # fmt: skip


def test_a_table_is_waited_for_until_nobody_writes_to_it(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("S1,P1,P2")
    desk.sharing.turn()
    desk.save("S1,P1,P2", "S2,P1,P2")
    desk.later(seconds=QUIET)
    assert not asked(xnat)
    desk.later(seconds=QUIET)
    assert desk.states() == ["shared", "shared"]


def test_the_next_turn_comes_when_a_table_may_have_settled(desk: Desk) -> None:
    assert desk.sharing.turn() == 10
    desk.time.pass_(seconds=5)
    desk.save("S1,P1,P2")
    desk.sharing.turn()
    desk.time.pass_(seconds=4)
    assert desk.sharing.turn() == pytest.approx(6)


def test_a_table_that_settles_during_a_long_sweep_is_read_at_once(
    tmp_path: Path, xnat: FakeArchive, time: Time
) -> None:
    class Slow(FakeSharing):
        def reachable(self, projects: Collection[str]) -> Mapping[str, bool]:
            time.pass_(seconds=30)
            return super().reachable(projects)

    desk = Desk(tmp_path, Slow(xnat), time)
    desk.save("S1,P1,P2")
    desk.sharing.turn()
    time.pass_(seconds=QUIET)
    desk.save("S2,P1,P2", name="other.csv")
    assert desk.sharing.turn() == 0.0
    desk.sharing.turn()
    assert desk.states("other.csv") == ["shared"]
    desk.close()


def test_a_session_that_arrives_later_is_shared_too(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("S2,P1,P2")
    desk.settle()
    xnat.session(xnat.subjects["X_S2"], "S2_PT")
    desk.later()
    assert xnat.labels("P2") == ["S2", "S2_MR", "S2_PT"]
    assert [(row[STATE], row[SESSIONS]) for row in desk.report()] == [("shared", "2")]


def test_what_is_there_without_us_is_left_as_it_is(desk: Desk, xnat: FakeArchive) -> None:
    for one in xnat.all():
        one.labels["P2"] = f"their_{one.id}"
    desk.save("S1,P1,P2")
    desk.settle()
    assert not asked(xnat)
    assert [(row[STATE], row[SESSIONS]) for row in desk.report()] == [("already there", "2")]


def test_labels_and_patterns_are_those_of_the_table(desk: Desk, xnat: FakeArchive) -> None:
    header = "subject;source;destination;label;sessions;session_label\n"
    desk.save("S1;P1;P2;anon7;*_MR;{subject}_{study_date}", header=header)
    desk.settle()
    assert xnat.labels("P2") == ["anon7", "anon7_20240229"]
    assert (desk.folder / "table.report.csv").read_text("utf-8-sig").startswith('"subject";"source"')


def test_more_than_one_round_is_done_in_one_sweep_and_subjects_go_first(
    desk: Desk, xnat: FakeArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xnat_watchd.sharing.rows.ROUND", 3)
    for n in range(5):
        xnat.subject("P1", f"T{n}", [f"T{n}_MR"])
    desk.save(*(f"T{n},P1,P2" for n in range(5)))
    desk.settle()
    assert desk.states() == ["shared"] * 5
    assert asked(xnat) == 10
    assert asked(xnat, "seen") == 8  # two projects, before the rounds of 3, 6 and 1, and once to see the last one


def test_a_look_comes_after_twice_as_many_shares_each_time(
    desk: Desk, xnat: FakeArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xnat_watchd.sharing.rows.ROUND", 1)
    for n in range(15):
        xnat.subject("P1", f"T{n}")
    desk.save(*(f"T{n},P1,P2" for n in range(15)))
    desk.settle()
    between = " ".join("|" if what == "seen" else "." for what in xnat.requests if what != "reachable")
    looks = [part.count(".") for part in between.split("| |")]
    assert looks == [0, 1, 2, 4, 8, 0]


def test_a_report_says_how_far_a_long_sweep_has_come(
    desk: Desk, xnat: FakeArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xnat_watchd.sharing.rows.ROUND", 2)
    for n in range(4):
        xnat.subject("P1", f"T{n}", [])
    xnat.after["share"] = [None, None, None, Stopped("the program is stopping")]
    desk.save(*(f"T{n},P1,P2" for n in range(3)), "S2,P1,P2")
    desk.settle()
    assert desk.states() == ["shared", "shared", "waiting", "waiting"]
    assert desk.report()[-1][REASON] == "2 of 2 missing: it is still to be done, by itself"
    assert desk.ledger.views.share_tables()[0]["rows"] == {"shared": 2, "waiting": 2}


def test_every_row_that_was_applied_is_an_event(desk: Desk) -> None:
    desk.save("S1,P1,P2", "S9,P1,P2")
    desk.settle()
    desk.later()
    rows = desk.ledger.shares._db.rows("SELECT name, line, state, sessions FROM share_events ORDER BY id")
    assert [tuple(row) for row in rows] == [("table.csv", 2, "shared", 2), ("table.csv", 3, "waiting", 0)]


# -- when ------------------------------------------------------------------------------------------------------


def test_an_idle_sweep_asks_two_things_of_each_project_whatever_the_rows(desk: Desk, xnat: FakeArchive) -> None:
    for n in range(50):
        xnat.subject("P1", f"T{n}", [f"T{n}_MR"])
    desk.save(*(f"T{n},P1,P2" for n in range(50)), "S9,P1,P2", "S1,P1,P1")
    desk.settle()
    xnat.requests.clear()
    desk.later(seconds=EVERY)
    assert xnat.requests == ["seen", "seen"]


def test_the_list_of_projects_is_read_again_while_it_lacks_one(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("S1,P1,P2", "S1,P9,P2")
    desk.settle()
    xnat.requests.clear()
    desk.later(seconds=EVERY)
    assert xnat.requests == ["reachable", "seen", "seen"]
    xnat.subject("P9", "S1")
    desk.later(seconds=EVERY)
    assert desk.states()[1] != "waiting"


def test_a_destination_that_becomes_writable_is_noticed_in_the_next_sweep(desk: Desk, xnat: FakeArchive) -> None:
    xnat.projects["P2"] = False
    desk.save("S1,P1,P2")
    desk.settle()
    assert desk.states() == ["failed"]
    xnat.projects["P2"] = True
    desk.later(seconds=EVERY)
    assert desk.states() == ["shared"]


def test_a_right_that_is_lost_is_noticed_by_the_refusal(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("S2,P1,P2")
    desk.settle()
    xnat.projects["P2"] = False
    xnat.session(xnat.subjects["X_S2"], "S2_PT")
    desk.later(seconds=EVERY)
    assert desk.states() == ["failed"]
    assert "ask its owner for the role of a member" in desk.report()[0][REASON]


def test_a_project_that_is_gone_is_looked_for_in_the_list(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("S2,P1,P2")
    desk.settle()
    xnat.blind.add("P1")
    desk.later(seconds=EVERY)
    xnat.requests.clear()
    xnat.blind.clear()
    del xnat.projects["P1"]
    desk.later(seconds=EVERY)
    assert xnat.requests[0] == "reachable"
    assert desk.states() == ["waiting"]


def test_nothing_is_asked_before_it_is_time(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("S1,P1,P2")
    desk.settle()
    xnat.requests.clear()
    for _ in range(10):
        desk.later(seconds=EVERY / 20)
    assert not xnat.requests


def test_nothing_is_asked_without_a_table(desk: Desk, xnat: FakeArchive) -> None:
    desk.settle()
    desk.later()
    assert not xnat.requests


def test_a_study_that_is_archived_in_a_source_project_is_not_kept_waiting(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("S1,P1,P2")
    desk.settle()
    xnat.session(xnat.subjects["X_S1"], "S1_PT")
    archived_in(desk, "P7", delivery=1)
    desk.later(seconds=1)
    assert "S1_PT" not in xnat.labels("P2")
    archived_in(desk, "P1", delivery=2)
    desk.later(seconds=1)
    assert "S1_PT" in xnat.labels("P2")
    xnat.requests.clear()
    desk.later(seconds=1)
    assert not xnat.requests


def test_a_study_that_a_sweep_has_seen_is_not_swept_for_again(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("S1,P1,P2")
    desk.settle()
    archived_in(desk, "P1", delivery=1)
    desk.later()
    xnat.requests.clear()
    desk.later(seconds=1)
    assert not xnat.requests


def test_it_does_not_rest_while_a_study_that_was_archived_has_not_been_looked_for(desk: Desk) -> None:
    desk.save("S1,P1,P2")
    desk.settle()
    assert desk.sharing.is_idle(timedelta(0))
    archived_in(desk, "P7", delivery=1)
    assert desk.sharing.is_idle(timedelta(0))
    archived_in(desk, "P1", delivery=2)
    assert not desk.sharing.is_idle(timedelta(0))
    desk.later(seconds=1)
    assert desk.sharing.is_idle(timedelta(0))


def test_a_server_that_lists_slowly_is_left_in_peace_between_two_studies(
    tmp_path: Path, xnat: FakeArchive, time: Time
) -> None:
    class Slow(FakeSharing):
        def seen(self, project: str, *, writable: bool) -> SeenProject | None:
            time.pass_(seconds=2)
            return super().seen(project, writable=writable)

    desk = Desk(tmp_path, Slow(xnat), time)
    desk.save("S1,P1,P2")
    desk.settle()
    xnat.session(xnat.subjects["X_S1"], "S1_PT")
    archived_in(desk, "P1", delivery=1)
    desk.later(seconds=30)
    assert "S1_PT" not in xnat.labels("P2")
    assert not desk.sharing.is_idle(timedelta(0))
    desk.later(seconds=30)
    assert "S1_PT" in xnat.labels("P2")
    assert desk.sharing.is_idle(timedelta(0))
    desk.close()


def archived_in(desk: Desk, project: str, delivery: int) -> None:
    """Write into the ledger what the pipeline writes when a study has reached the archive."""
    with desk.ledger.shares._db.change() as db:
        at = "2026-01-01T00:00:00.000000+00:00"
        db.execute(
            "INSERT INTO deliveries (id, name, project, identity, state, sha256, arrived)"
            " VALUES (?,'a',?,'i','taken',?,?)",
            (delivery, project, str(delivery), at),
        )
        db.execute(
            "INSERT INTO studies (key, delivery, number, project, study_uid, patient_name, patient_id, birth_date, age,"
            " sex, date, time, modalities, progress, standing, session, received, changed)"
            " VALUES (?,?,1,?,'1.2','','','','','','','','[]','archived','ready','E1',?,?)",
            (delivery, delivery, project, at, at),
        )
        db.execute(
            "INSERT INTO events (at, delivery, study, event, progress) VALUES (?,?,?,'advanced','archived')",
            (at, delivery, delivery),
        )


def test_a_table_that_is_gone_asks_for_nothing_more(desk: Desk, xnat: FakeArchive) -> None:
    path = desk.save("S1,P1,P2")
    desk.settle()
    path.unlink()
    desk.later()
    xnat.session(xnat.subjects["X_S1"], "S1_PT")
    desk.later()
    assert "S1_PT" not in xnat.labels("P2")
    assert "S1" in xnat.labels("P2")
    assert desk.ledger.views.share_tables() == []


# -- what a person took back -----------------------------------------------------------------------------------


def test_a_share_that_a_person_took_back_stays_away(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("S1,P1,P2", "S2,P1,P2")
    desk.settle()
    xnat.take_back(xnat.subjects["X_S1"], "P2")
    for _ in range(3):
        desk.later()
    assert desk.states() == ["removed by someone", "shared"]
    assert xnat.labels("P2") == ["S2", "S2_MR"]
    assert desk.log.lines.count(("shares.removed", {"project": "P2", "count": 3})) == 1


def test_it_stays_away_after_a_restart_too(desk: Desk, xnat: FakeArchive, tmp_path: Path) -> None:
    desk.save("S1,P1,P2")
    desk.settle()
    xnat.take_back(xnat.subjects["X_S1"], "P2")
    again = Desk(tmp_path, FakeSharing(xnat), desk.time)
    again.settle()
    again.later()
    assert again.states() == ["removed by someone"]
    assert xnat.labels("P2") == []
    again.close()


def test_one_session_that_was_taken_back_stays_away_alone(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("S1,P1,P2")
    desk.settle()
    del xnat.sessions["X_E1"].labels["P2"]
    xnat.session(xnat.subjects["X_S1"], "S1_PT")
    desk.later()
    assert xnat.labels("P2") == ["S1", "S1_MR", "S1_PT"]
    assert desk.states() == ["removed by someone"]
    assert "1 of 3 sessions" in desk.report()[0][REASON]


def test_a_row_that_changes_after_a_share_was_taken_back_shares_again(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("S1,P1,P2")
    desk.settle()
    xnat.take_back(xnat.subjects["X_S1"], "P2")
    desk.later()
    desk.save("S1,P1,P2,anon", header=LABELLED)
    desk.settle()
    assert desk.states() == ["shared"]
    assert xnat.labels("P2") == ["S1_CT", "S1_MR", "anon"]


def test_a_row_that_changed_before_a_share_was_taken_back_does_not_share_again(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("S1,P1,P2")
    desk.settle()
    desk.save("S1,P1,P2,S1", header=LABELLED)
    desk.settle()
    xnat.take_back(xnat.subjects["X_S1"], "P2")
    desk.later()
    desk.later()
    assert desk.states() == ["removed by someone"]
    assert xnat.labels("P2") == []


def test_an_unreadable_table_does_not_let_another_bring_back_what_was_taken_back(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("S1,P1,P2")
    desk.settle()
    xnat.take_back(xnat.subjects["X_S1"], "P2")
    desk.later()
    desk.save("broken", header="nonsense\n")
    desk.save("S1,P1,P2,S1", name="other.csv", header=LABELLED)
    desk.settle()
    assert desk.states("other.csv") == ["removed by someone"]
    assert xnat.labels("P2") == []


def test_a_listing_that_is_short_takes_nothing_for_taken_back(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("S1,P1,P2")
    desk.settle()
    xnat.short.add("P2")
    desk.later()
    assert desk.states() == ["waiting"]
    assert "gone from the destination" in desk.report()[0][REASON]
    xnat.short.clear()
    desk.later()
    assert desk.states() == ["shared"]
    assert asked(xnat) == 3


def test_what_was_taken_back_is_believed_with_all_its_sessions_or_not_yet(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("S1,P1,P2")
    desk.settle()
    xnat.take_back(xnat.subjects["X_S1"], "P2")
    xnat.after["is_shared"] = [None, Transient("XNAT answered in a form that cannot be read")]
    desk.later()
    assert desk.states() == ["waiting"]
    assert desk.ledger.shares.all(["P2"])["P2", "X_S1"].fate == "made"
    desk.later()
    assert desk.states() == ["removed by someone"]
    desk.save("S1,P1,P2,other", header=LABELLED)
    desk.settle()
    assert desk.states() == ["shared"]
    assert xnat.labels("P2") == ["S1_CT", "S1_MR", "other"]


def test_a_row_that_is_changed_while_its_share_is_taken_back_need_not_be_changed_again(
    desk: Desk, xnat: FakeArchive
) -> None:
    desk.save("S1,P1,P2")
    desk.settle()
    xnat.take_back(xnat.subjects["X_S1"], "P2")
    desk.save("S1,P1,P2,anon", header=LABELLED)
    desk.settle()
    assert desk.states() == ["shared"]
    assert xnat.labels("P2") == ["S1_CT", "S1_MR", "anon"]
    xnat.take_back(xnat.subjects["X_S1"], "P2")
    desk.later()
    assert desk.states() == ["removed by someone"]


def test_a_row_that_is_changed_brings_back_nothing_while_another_asked_for_the_same(
    desk: Desk, xnat: FakeArchive
) -> None:
    desk.save("S1,P1,P2")
    desk.save("S1,P1,P2,,*_MR", name="other.csv", header="subject,source,destination,label,sessions\n")
    desk.settle()
    xnat.take_back(xnat.subjects["X_S1"], "P2")
    desk.save("S1,P1,P2,S1", header=LABELLED)
    desk.settle()
    assert (desk.states(), desk.states("other.csv")) == (["removed by someone"], ["removed by someone"])
    assert xnat.labels("P2") == []


def test_what_was_taken_back_is_not_brought_back_by_a_table_that_is_applied_by_hand(
    desk: Desk, xnat: FakeArchive
) -> None:
    desk.save("S1,P1,P2")
    desk.settle()
    xnat.take_back(xnat.subjects["X_S1"], "P2")
    others = desk.ledger.shares.rows_of(["table.csv"])
    by_hand = read(b"subject,source,destination,label\nS1,P1,P2,anon\n").rows
    assert [one.state for one in desk.sharer.preview(by_hand, others)] == ["removed by someone"]
    assert [one.state for one in desk.sharer.apply(by_hand, others)] == ["removed by someone"]
    desk.later()
    assert desk.states() == ["removed by someone"]
    assert xnat.labels("P2") == []


def test_a_preview_says_the_same_of_a_row_that_is_changed_while_its_share_is_taken_back(
    desk: Desk, xnat: FakeArchive
) -> None:
    desk.save("S1,P1,P2")
    desk.settle()
    xnat.take_back(xnat.subjects["X_S1"], "P2")
    (desk.folder / "table.csv").unlink()
    changed = read(b"subject,source,destination,label\nS1,P1,P2,anon\n").rows
    assert [(one.state, len(one.actions)) for one in desk.sharer.preview(changed)] == [("shared", 3)]


def test_a_share_that_a_person_put_back_is_ours_as_before(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("S2,P1,P2")
    desk.settle()
    subject = xnat.subjects["X_S2"]
    xnat.take_back(subject, "P2")
    desk.later()
    subject.labels["P2"] = "S2"
    xnat.sessions["X_E3"].labels["P2"] = "S2_MR"
    desk.later()
    assert desk.states() == ["shared"]
    xnat.take_back(subject, "P2")
    desk.later()
    assert desk.states() == ["removed by someone"]
    assert xnat.labels("P2") == []


def test_what_others_shared_and_took_back_was_not_ours(desk: Desk, xnat: FakeArchive) -> None:
    for one in xnat.all():
        one.labels["P2"] = one.labels["P1"]
    desk.save("S2,P1,P2")
    desk.settle()
    xnat.take_back(xnat.subjects["X_S2"], "P2")
    desk.later()
    assert desk.states() == ["shared"]


# -- what cannot be done ---------------------------------------------------------------------------------------


def test_what_is_not_there_yet_is_waited_for(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("S9,P1,P2", "S1,P1,P9", "S1,P8,P2")
    desk.settle()
    assert desk.states() == ["waiting"] * 3
    xnat.subject("P1", "S9", ["S9_MR"])
    xnat.projects["P9"] = True
    desk.later()
    assert desk.states() == ["shared", "shared", "waiting"]


def test_a_subject_that_does_not_come_within_a_day_fails_with_the_nearest_and_is_shared_when_it_comes(
    desk: Desk, xnat: FakeArchive
) -> None:
    xnat.subject("P1", "SUBJ_017")
    desk.save("SUBJ_O17,P1,P2", "s1,P1,P2", "zzz,P1,P2")
    desk.settle()
    assert desk.states() == ["waiting"] * 3
    reasons = [row[REASON].partition("; ")[2] for row in desk.report()]
    assert reasons == ["the nearest is SUBJ_017", "the nearest is S1", ""]
    desk.later(hours=23)
    assert desk.states() == ["waiting"] * 3
    desk.later(hours=1)
    assert [(row[STATE], row[REASON]) for row in desk.report()] == [
        ("failed", "no such subject in P1; the nearest is SUBJ_017"),
        ("failed", "no such subject in P1; the nearest is S1"),
        ("failed", "no such subject in P1"),
    ]
    desk.later(hours=1)
    assert {(row[STATE], row[WHEN]) for row in desk.report()} == {("failed", "2026-01-02 00:00:10")}
    assert "SUBJ" not in str(desk.log.lines)
    xnat.subject("P1", "SUBJ_O17")
    desk.later(hours=1)
    assert desk.states() == ["shared", "failed", "failed"]


def test_a_project_that_does_not_come_within_a_day_fails_and_a_row_that_changed_waits_anew(
    desk: Desk, xnat: FakeArchive
) -> None:
    desk.save("S1,P1,P9", "S2,P8,P2")
    desk.settle()
    desk.later(hours=25)
    assert [(row[STATE], row[REASON]) for row in desk.report()] == [
        ("failed", "no such destination project, or its lists cannot be read"),
        ("failed", "no such source project, or its lists cannot be read"),
    ]
    xnat.projects["P9"] = True
    desk.save("S1,P1,P9", "S2,P7,P2")
    desk.settle()
    assert desk.states() == ["shared", "waiting"]


def test_a_misspelt_project_is_told_with_the_nearest_that_xnat_lists(
    desk: Desk, xnat: FakeArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    xnat.projects["READERS"] = True
    desk.save("S1,P1,READRES", "S1,readers,P2", "S1,P1,zzz")
    desk.settle()
    hints = [row[REASON].partition("; ")[2] for row in desk.report()]
    assert hints == ["the nearest is READERS", "the nearest is READERS", ""]
    desk.later(hours=25)
    assert [row[REASON] for row in desk.report()] == [
        "no such destination project, or its lists cannot be read; the nearest is READERS",
        "no such source project, or its lists cannot be read; the nearest is READERS",
        "no such destination project, or its lists cannot be read",
    ]
    monkeypatch.setattr("xnat_watchd.sharing.reachable.MOST_COMPARED", len(xnat.projects))
    desk.save("S1,P1,READRES", "S1,readers,P2")
    desk.settle()
    assert ["nearest" in row[REASON] for row in desk.report()] == [True, False]  # so much is compared and no more


def test_a_subject_that_was_there_and_went_is_waited_for_anew(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("S8,P1,P2")
    desk.settle()
    desk.later(hours=20)
    one = xnat.subject("P1", "S8")
    desk.later()
    assert desk.states() == ["shared"]
    xnat.take_back(one, "P2")
    del one.labels["P1"]
    desk.later(hours=5)
    assert desk.states() == ["waiting"]


def test_what_is_compared_to_find_the_nearest_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xnat_watchd.core.sharing.nearest.MOST_COMPARED", 5)
    desk.save("S1x,P1,P2", "S2x,P1,P2", "S2xx,P1,P2", "s2,P1,P2")
    desk.settle()
    assert ["nearest" in row[REASON] for row in desk.report()] == [True, True, False, True]


def test_a_table_is_shown_with_its_rows_as_the_report_has_them(desk: Desk) -> None:
    desk.save("S9,P1,P2", "S1,P1,P2", "S1,P1,P2")
    desk.settle()
    told = desk.ledger.shares.table("table.csv")
    assert told is not None
    report = desk.report()
    assert [(row["line"], row["subject"], row["state"], row["shared"], row["why"]) for row in told["rows"]] == [
        (2, "S9", "waiting", 0, report[0][REASON]),
        (3, "S1", "shared", 2, ""),
    ]
    desk.save("", "S9,P1,P2")
    desk.settle()
    told = desk.ledger.shares.table("table.csv")
    assert told is not None
    assert [row["line"] for row in told["rows"]] == [3]
    assert desk.ledger.shares.table("other.csv") is None


def test_a_label_that_is_taken_fails_with_the_next_step_and_later_comes_true(desk: Desk, xnat: FakeArchive) -> None:
    other = xnat.subject("P2", "S1")
    desk.save("S1,P1,P2")
    desk.settle()
    assert desk.states() == ["failed"]
    assert "the label is taken in the destination: give another" in desk.report()[0][REASON]
    assert not asked(xnat)
    other.labels["P2"] = "another"
    desk.later()
    assert desk.states() == ["shared"]


def test_a_right_that_is_missing_fails_the_row_before_anything_is_asked(desk: Desk, xnat: FakeArchive) -> None:
    xnat.projects["P2"] = False
    desk.save("S1,P1,P2")
    desk.settle()
    assert desk.states() == ["failed"]
    assert "ask its owner for the role of a member" in desk.report()[0][REASON]
    assert not asked(xnat)


def test_another_label_than_the_tables_is_reported_and_left(desk: Desk, xnat: FakeArchive) -> None:
    xnat.subjects["X_S1"].labels["P2"] = "theirs"
    xnat.sessions["X_E1"].labels["P2"] = "theirs_CT"
    desk.save("S1,P1,P2,ours", header=LABELLED)
    desk.settle()
    assert [(row[STATE], row[SESSIONS]) for row in desk.report()] == [("failed", "1")]
    assert "under another label" in desk.report()[0][REASON]


def test_a_session_under_another_label_than_the_tables_counts_as_shared(desk: Desk, xnat: FakeArchive) -> None:
    xnat.subjects["X_S2"].labels["P2"] = "S2"
    xnat.sessions["X_E3"].labels["P2"] = "theirs"
    desk.save("S2,P1,P2,{subject}_MR2", header="subject,source,destination,session_label\n")
    desk.settle()
    assert [(row[STATE], row[SESSIONS]) for row in desk.report()] == [("failed", "1")]


def test_a_pattern_that_no_session_fits_is_told(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("S1,P1,P2,*_mr", "S2,P1,P2,", header="subject,source,destination,sessions\n")
    xnat.subject("P1", "S3")
    desk.settle()
    assert [(row[STATE], row[SESSIONS], row[REASON]) for row in desk.report()] == [
        ("shared", "0", "no session of the subject has a label that fits the pattern; capitals count"),
        ("shared", "1", ""),
    ]
    xnat.session(xnat.subjects["X_S1"], "S1_mr")
    desk.later()
    assert [(row[SESSIONS], row[REASON]) for row in desk.report()] == [("1", ""), ("1", "")]


def test_a_subject_that_is_renamed_in_the_source_stays_shared_and_its_new_label_is_told(
    desk: Desk, xnat: FakeArchive
) -> None:
    desk.save("S1,P1,P2")
    desk.settle()
    xnat.subjects["X_S1"].labels["P1"] = "S1_new"
    xnat.session(xnat.subjects["X_S1"], "S1_PT")
    desk.later()
    row = desk.report()[0]
    assert (row[STATE], row[SESSIONS], row[WHEN]) == ("shared", "2", "2026-01-01 00:00:10")
    assert row[REASON].startswith("the subject is called S1_new in the source now: write that into the row")
    assert "S1_PT" not in xnat.labels("P2")
    desk.save("S1_new,P1,P2")
    desk.settle()
    assert [(row[STATE], row[SESSIONS], row[REASON]) for row in desk.report()] == [("shared", "3", "")]
    xnat.take_back(xnat.subjects["X_S1"], "P2")
    desk.save("S1,P1,P2")
    desk.settle()
    assert desk.states() == ["waiting"]


def test_a_refusal_is_doubted_once_then_believed_until_something_changes(desk: Desk, xnat: FakeArchive) -> None:
    refusal = RepeatOnce("XNAT answered 403 to sharing", advice="Ask an owner.")
    xnat.before["share"] = [refusal] * 4
    desk.save("S2,P1,P2")
    desk.settle()
    assert (desk.states(), asked(xnat)) == (["waiting"], 1)
    desk.later(seconds=15)
    assert (desk.states(), asked(xnat)) == (["failed"], 2)
    assert desk.report()[0][REASON].endswith("XNAT answered 403 to sharing. Ask an owner.; 1 of 2 missing: "
                                             "it is still to be done, by itself")  # fmt: skip
    for _ in range(5):
        desk.later()
    assert asked(xnat) == 2
    xnat.subject("P2", "new")
    desk.later()
    assert asked(xnat) == 3
    desk.later(hours=25)
    assert asked(xnat) == 4
    desk.save("S2,P1,P2,S2", header=LABELLED)
    desk.settle()
    assert desk.states() == ["shared"]


def test_what_is_wrong_for_ever_is_asked_once(desk: Desk, xnat: FakeArchive) -> None:
    xnat.before["share"] = [Permanent("XNAT 1.6 would spoil the label", advice="Give another.")]
    desk.save("S2,P1,P2")
    desk.settle()
    assert (desk.states(), asked(xnat)) == (["failed"], 1)


def test_no_session_goes_before_its_subject(desk: Desk, xnat: FakeArchive) -> None:
    xnat.before["share"] = [RepeatOnce("XNAT answered 403 to sharing")]
    desk.save("S1,P1,P2", "S2,P1,P2")
    desk.settle()
    assert xnat.labels("P2") == ["S2", "S2_MR"]
    assert desk.states() == ["waiting", "shared"]
    desk.later(seconds=15)
    assert desk.states() == ["shared", "shared"]


@pytest.mark.parametrize("error", [InDoubt("XNAT did not answer in time"), Conflict("XNAT answered 409 to sharing")])
def test_an_answer_that_lies_is_seen_through_by_looking(
    desk: Desk, xnat: FakeArchive, error: InDoubt | Conflict
) -> None:
    xnat.after["share"] = [error]
    desk.save("S2,P1,P2")
    desk.settle()
    assert desk.states() == ["shared"]
    assert set(xnat.made.values()) == {1}


def test_a_trouble_that_may_pass_is_tried_again_sooner_than_the_next_sweep(desk: Desk, xnat: FakeArchive) -> None:
    xnat.before["share"] = [InDoubt("the connection to XNAT broke")]
    desk.save("S2,P1,P2")
    desk.settle()
    assert desk.states() == ["waiting"]
    assert "the connection to XNAT broke" in desk.report()[0][REASON]
    desk.later(seconds=15)
    assert desk.states() == ["shared"]


def test_an_effect_that_appears_late_is_waited_for(desk: Desk, xnat: FakeArchive) -> None:
    xnat.delay = timedelta(seconds=5)
    desk.save("S2,P1,P2")
    desk.settle()
    assert desk.states() == ["waiting"]
    desk.later(seconds=15)
    desk.later(seconds=15)
    assert desk.states() == ["shared"]
    assert set(xnat.made.values()) == {1}


def test_what_is_never_shown_is_given_up_and_said(desk: Desk, xnat: FakeArchive) -> None:
    xnat.idle = True
    desk.save("S2,P1,P2")
    desk.settle()
    assert "XNAT said yes and does not show it yet" in desk.report()[0][REASON]
    for _ in range(24):
        desk.later()
    assert desk.states() == ["failed"]
    assert "Ask the XNAT administrator" in desk.report()[0][REASON]
    made = asked(xnat)
    for _ in range(5):
        desk.later()
    assert asked(xnat) == made


NO_RIGHT = RepeatOnce("XNAT answered 403 to sharing", advice="Ask.", scope=Scope.PROJECT)


def test_a_project_that_refuses_everything_is_not_asked_for_everything(desk: Desk, xnat: FakeArchive) -> None:
    for n in range(40):
        xnat.subject("P1", f"T{n}")
    xnat.before["share"] = [NO_RIGHT] * 1000
    xnat.projects["P3"] = True
    desk.save(*(f"T{n},P1,P2" for n in range(40)))
    desk.settle()
    assert asked(xnat) == 5
    desk.later(seconds=15)
    assert asked(xnat) == 10
    for _ in range(5):
        desk.later()
    assert asked(xnat) <= 10 + 2 * 5  # one at a time, a different one each time, finds out
    assert "nothing more is shared into the destination for now" in desk.report()[-1][REASON]
    xnat.before["share"] = []
    xnat.subject("P2", "something new")
    desk.later()
    assert desk.states() == ["shared"] * 40


def test_what_is_refused_of_a_row_shuts_no_destination(desk: Desk, xnat: FakeArchive) -> None:
    for n in range(8):
        xnat.subject("P1", f"T{n}")
    desk.save(*(f"T{n},P1,P2" for n in range(7)))
    xnat.before["share"] = [RepeatOnce("XNAT answered 404 to sharing", advice="Ask.")] * 7
    desk.settle()
    assert asked(xnat) == 7
    asks = [one.partition(" ")[0] for one in xnat.requests]
    first = asks.index("share")
    assert asks[first : first + 7] == ["share"] * 7  # in one round: none of them is put off
    desk.save(*(f"T{n},P1,P2" for n in range(8)))
    desk.settle()
    assert desk.states()[-1] == "shared"


def test_refusals_that_no_row_asks_for_any_more_shut_no_destination(desk: Desk, xnat: FakeArchive) -> None:
    for n in range(6):
        xnat.subject("P1", f"T{n}")
    desk.save(*(f"T{n},P1,P2" for n in range(5)))
    xnat.before["share"] = [NO_RIGHT] * 5
    desk.settle()
    desk.save("T5,P1,P2")
    desk.settle()
    assert desk.states() == ["shared"]


def test_one_project_that_cannot_be_seen_does_not_stop_the_others(desk: Desk, xnat: FakeArchive) -> None:
    xnat.blind.add("P3")
    xnat.projects["P3"] = True
    desk.save("S1,P1,P3", "S2,P1,P2")
    desk.settle()
    assert desk.states() == ["waiting", "shared"]
    xnat.blind.clear()
    desk.later(seconds=60)
    assert desk.states() == ["shared", "shared"]


# -- the gate --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [Unavailable("XNAT cannot be reached"), AuthRefused("XNAT refuses the user")])
def test_a_server_in_trouble_shuts_the_gate_and_its_opening_carries_on(
    desk: Desk, xnat: FakeArchive, error: Unavailable | AuthRefused
) -> None:
    xnat.before["reachable"] = [error]
    desk.save("S1,P1,P2")
    desk.settle()
    assert desk.ledger.gates.get().shut
    assert [(row[STATE], row[REASON]) for row in desk.report()] == [("waiting", str(error))]
    xnat.requests.clear()
    desk.later(seconds=1)
    assert xnat.requests == []
    desk.later()
    assert xnat.requests[0] == "probe"
    assert desk.states() == ["shared"]
    assert desk.ledger.gates.get() == desk.ledger.gates.get().passed()


def test_a_server_that_fails_in_the_middle_is_taken_up_where_it_was_left(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("S1,P1,P2")
    desk.settle()
    xnat.session(xnat.subjects["X_S1"], "A")
    xnat.session(xnat.subjects["X_S1"], "B")
    xnat.after["share"] = [Unavailable("a proxy: XNAT is down", spoke=True)]
    desk.later()
    assert desk.states() == ["shared"]  # as it was: what a report says is not replaced by less
    desk.later()
    assert xnat.labels("P2") == ["A", "B", "S1", "S1_CT", "S1_MR"]
    assert set(xnat.made.values()) == {1}


def test_a_gate_that_the_pipeline_shut_is_shut_for_us(desk: Desk, xnat: FakeArchive) -> None:
    desk.sharing._gates.shut(Unavailable("XNAT cannot be reached"))
    desk.save("S1,P1,P2")
    desk.sharing.turn()
    desk.time.since_start += QUIET
    desk.sharing.turn()
    assert xnat.requests == []
    desk.later(minutes=1)
    assert desk.states() == ["shared"]


def test_a_trouble_that_another_met_a_moment_ago_is_not_counted_twice(desk: Desk) -> None:
    for _ in range(3):
        desk.sharing._gates.shut(Unavailable("XNAT cannot be reached"))
    assert desk.ledger.gates.get().strikes == 1


def test_a_probe_that_fails_keeps_the_gate_shut(desk: Desk, xnat: FakeArchive) -> None:
    xnat.before["reachable"] = [Unavailable("XNAT cannot be reached")]
    xnat.before["probe"] = [Unavailable("XNAT cannot be reached"), Transient("nonsense")]
    desk.save("S1,P1,P2")
    desk.settle()
    desk.later(minutes=10)
    assert desk.ledger.gates.get().strikes == 2
    desk.later(minutes=10)
    assert asked(xnat, "reachable") == 1
    desk.later(minutes=10)
    assert desk.states() == ["shared"]


def test_a_stop_in_the_middle_loses_and_doubles_nothing(desk: Desk, xnat: FakeArchive) -> None:
    xnat.after["share"] = [Stopped("the program is stopping")]
    desk.save("S1,P1,P2")
    desk.settle()
    assert asked(xnat) == 1
    desk.later(seconds=1)
    assert desk.states() == ["shared"]
    assert set(xnat.made.values()) == {1}


def test_a_list_of_projects_without_sense_is_asked_for_again(desk: Desk, xnat: FakeArchive) -> None:
    xnat.before["reachable"] = [Transient("XNAT answered in a form that cannot be read")]
    desk.save("S1,P1,P2")
    desk.settle()
    assert desk.states() == ["waiting"]
    desk.later(seconds=60)
    assert desk.states() == ["shared"]


def test_two_never_apply_tables_at_once(tmp_path: Path, xnat: FakeArchive, time: Time) -> None:
    busy = [True]

    def alone() -> AbstractContextManager[object]:
        if busy:
            raise Refusal("another one is at it")
        return open(os.devnull)  # noqa: PTH123 - any context will do

    desk = Desk(tmp_path, FakeSharing(xnat), time, alone=alone)
    desk.save("S1,P1,P2")
    desk.settle()
    assert not xnat.requests
    assert not desk.sharing.is_idle(timedelta(0))
    busy.clear()
    desk.later(seconds=10)
    assert desk.states() == ["shared"]
    desk.close()


# -- the folder ------------------------------------------------------------------------------------------------


def test_a_table_that_cannot_be_read_says_so_in_one_sentence_and_stops_no_other(desk: Desk) -> None:
    desk.save("S2,P1,P2", name="good.csv")
    desk.save("Mustermann,P1,P2", name="bad.csv", header="")
    desk.settle()
    assert desk.states("good.csv") == ["shared"]
    (row,) = desk.report("bad.csv")
    assert row["state"] == "failed"
    assert "no column subject" in row["reason"]
    assert "Mustermann" not in str(desk.log.lines)
    assert [(one["name"], one["why"]) for one in desk.ledger.views.share_tables()] == [
        ("bad.csv", "the header line has no column subject"),
        ("good.csv", ""),
    ]
    desk.save("S1,P1,P2", name="bad.csv")
    desk.settle()
    assert desk.states("bad.csv") == ["shared"]


def test_a_table_of_users_in_the_folder_gives_nobody_a_role(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("P2,cora,member", header="project,user,role\n")
    desk.settle()
    assert "no column subject" in desk.report()[0]["reason"]
    assert not xnat.requests


def test_a_table_that_stays_unreadable_is_said_once_however_long_xnat_is_down(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("S1,P1,P2", name="good.csv")
    desk.save("rubbish", name="bad.csv", header="")
    xnat.before["reachable"] = [Unavailable("XNAT cannot be reached")]
    desk.settle()
    for _ in range(5):
        desk.later(seconds=10)
    assert desk.log.events().count("shares.unreadable") == 1
    desk.save("other rubbish", name="bad.csv", header="")
    desk.settle()
    assert desk.log.events().count("shares.unreadable") == 2


def test_a_table_that_may_not_be_read_is_read_once_the_right_is_given(
    tmp_path: Path, xnat: FakeArchive, time: Time
) -> None:
    locked = [True]

    class Locked(ShareFolder):
        def read(self, seen: FileStat) -> bytes:
            if locked:
                raise PermissionError(13, "no right")
            return super().read(seen)

    desk = Desk(tmp_path, FakeSharing(xnat), time, around=instead(folder=Locked(tmp_path / "shares")))
    desk.save("S1,P1,P2")
    desk.settle()
    assert "may not be read by the service" in desk.report()[0]["reason"]
    locked.clear()
    desk.later()
    assert desk.states() == ["shared"]
    desk.close()


def test_a_table_that_changes_while_it_is_read_is_waited_for(tmp_path: Path, xnat: FakeArchive, time: Time) -> None:
    class Hasty(ShareFolder):
        def read(self, seen: FileStat) -> bytes:
            with (tmp_path / "shares" / seen.path).open("a") as table:
                table.write("S2,P1,P2\n")
            return super().read(seen)

    desk = Desk(tmp_path, FakeSharing(xnat), time, around=instead(folder=Hasty(tmp_path / "shares")))
    desk.save("S1,P1,P2")
    desk.settle()
    assert not xnat.requests
    assert not desk.sharing.is_idle(timedelta(0))
    desk.close()


def instead(**parts: object) -> Callable[[str, Any], Any]:
    """Put other parts in the place of some."""
    return parts.get


def test_what_is_ours_stays_ours_although_it_is_asked_for_again(desk: Desk) -> None:
    desk.save("S1,P1,P2")
    desk.settle()
    action = ShareSubject(source="P1", destination="P2", id="X_S1", name="S1", label="S1")
    desk.ledger.shares.intend([(action, frozenset({"another row"}))], desk.time.now())
    assert desk.ledger.shares.all(["P2"])["P2", "X_S1"].fate == "made"


def test_a_faulted_row_fails_alone(desk: Desk) -> None:
    desk.save("S1,P1,P2", ",P1,P2", "S2,P1,P1")
    desk.settle()
    assert desk.states() == ["shared", "failed", "failed"]


def test_reports_and_what_spreadsheets_leave_behind_are_no_tables(desk: Desk, xnat: FakeArchive) -> None:
    names = ("x.report.csv", "X.Report.CSV", "~$x.csv", ".~lock.x.csv#", ".x.csv", "x.csv.bak", "x.txt", "~$x.xlsx")
    for name in names:
        desk.save("S1,P1,P2", name=name)
    (desk.folder / "old.csv").mkdir()
    (desk.folder / "deeper").mkdir()
    desk.save("S1,P1,P2", name="deeper/x.csv")
    (desk.folder / "link.csv").symlink_to(desk.folder / "x.txt")
    desk.settle()
    assert not xnat.requests
    assert desk.ledger.views.share_tables() == []


@pytest.mark.parametrize("ending", ["xlsx", "XLS", "ods", "numbers"])
def test_a_spreadsheet_that_is_not_saved_as_csv_is_told_until_it_is(desk: Desk, ending: str) -> None:
    (desk.folder / f"Quokka.{ending}").write_bytes(b"PK\x03\x04 and more")
    desk.settle()
    (table,) = desk.ledger.views.share_tables()
    assert (table["name"], table["why"]) == (f"Quokka.{ending}", "it is a spreadsheet, no CSV")
    assert table["advice"] == "Save it as CSV (UTF-8) in your spreadsheet, into the same folder."
    assert desk.report(f"Quokka.{ending}") == [{"state": "failed", "reason": f"{table['why']}. {table['advice']}"}]
    assert (desk.folder / f"Quokka.{ending}.report.csv").exists()
    assert desk.sharing.is_idle(timedelta(0))
    assert "Quokka" not in str(desk.log.lines)
    desk.save("S1,P1,P2", name="quokka.csv")
    desk.settle()
    assert [(one["name"], one["why"]) for one in desk.ledger.views.share_tables()] == [("quokka.csv", "")]
    assert desk.states("quokka.csv") == ["shared"]


def test_a_column_that_is_almost_right_is_named_in_the_report_and_in_no_log_or_status(desk: Desk) -> None:
    desk.save("S1,P1,P2", header="subjct,source,destination\n")
    desk.settle()
    assert desk.report()[0]["reason"].startswith("`subjct` is no column; did you mean `subject`? Correct the table")
    assert "subjct" not in str(desk.log.lines)
    assert "subjct" not in str(desk.ledger.views.share_tables())
    assert "`subjct`" in str(desk.ledger.shares.table("table.csv"))


@pytest.mark.parametrize(
    ("name", "shown"),
    [(b"K\xf6ln.csv", "K\\udcf6ln.csv"), (b"\x1b[2J.csv", "\\x1b[2J.csv"), ("Köln.csv".encode(), "Köln.csv")],
)
@pytest.mark.parametrize("row", ["S1,P1,P2", '"'])
def test_a_name_of_any_bytes_is_a_tables_and_does_no_harm(desk: Desk, name: bytes, shown: str, row: str) -> None:
    desk.save(row, name=os.fsdecode(name))
    for _ in range(2):
        desk.settle()
    assert [one["name"] for one in desk.ledger.views.share_tables()] == [shown]
    report = os.fsdecode(name.replace(b".csv", b".report.csv"))
    assert report in {path.name for path in desk.folder.iterdir()}


def test_capital_letters_make_no_difference_to_a_table(desk: Desk) -> None:
    desk.save("S1,P1,P2", name="TABLE.CSV")
    desk.settle()
    assert desk.states("TABLE.CSV") == ["shared"]
    assert (desk.folder / "TABLE.report.csv").exists()


def test_no_cell_of_a_report_is_a_formula(desk: Desk) -> None:
    desk.save("=HYPERLINK(1),+P1,@P2", '"-S1",P1,P2', '"  =1+1",P1,P2')
    desk.settle()
    rows = desk.report()
    assert [row["subject"] for row in rows] == ["'=HYPERLINK(1)", "'-S1", "'  =1+1"]
    assert (rows[0]["source"], rows[0]["destination"]) == ("'+P1", "'@P2")


def test_a_report_is_replaced_whole_and_never_through_a_link(desk: Desk, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (desk.folder / ".table.report.csv.part").symlink_to(victim)
    (desk.folder / "table.report.csv").symlink_to(victim)
    desk.save("S1,P1,P2").chmod(0o640)
    desk.settle()
    assert victim.read_text() == "untouched"
    report = desk.folder / "table.report.csv"
    assert not report.is_symlink()
    assert report.stat().st_mode & 0o777 == 0o640
    assert desk.states() == ["shared"]
    assert sorted(path.name for path in desk.folder.iterdir()) == ["table.csv", "table.report.csv"]


def test_a_report_that_somebody_removed_is_written_again_and_one_that_says_the_same_is_left(desk: Desk) -> None:
    desk.save("S1,P1,P2")
    desk.settle()
    report = desk.folder / "table.report.csv"
    before = report.stat()
    desk.later()
    assert report.stat() == before
    report.unlink()
    desk.later()
    assert desk.states() == ["shared"]


def test_a_report_that_cannot_be_written_does_not_stop_the_sharing(desk: Desk, xnat: FakeArchive) -> None:
    (desk.folder / "table.report.csv").mkdir()
    desk.save("S1,P1,P2")
    desk.settle()
    assert xnat.labels("P2") == ["S1", "S1_CT", "S1_MR"]
    assert "shares.unreported" in desk.log.events()


def test_a_folder_that_is_gone_is_waited_for_and_nothing_is_concluded(desk: Desk, xnat: FakeArchive) -> None:
    desk.save("S1,P1,P2")
    desk.settle()
    away = desk.folder.rename(desk.folder.with_name("away"))
    with pytest.raises(FileNotFoundError):
        desk.later()
    assert desk.ledger.views.share_tables() != []
    xnat.session(xnat.subjects["X_S1"], "S1_PT")
    away.rename(desk.folder)
    desk.later()
    assert "S1_PT" in xnat.labels("P2")


def test_labels_and_table_names_are_not_in_the_log(desk: Desk, xnat: FakeArchive) -> None:
    xnat.subject("P1", "Quokka_Zenobia", ["Quokka_Zenobia_MR"])
    desk.save("Quokka_Zenobia,P1,P2", name="Bilby.csv")
    desk.save("rubbish", name="Numbat.csv", header="Wombat\n")
    desk.settle()
    xnat.take_back(xnat.subjects["X_S3"], "P2")
    desk.later()
    said = str(desk.log.lines)
    assert [name for name in ("Quokka", "Bilby", "Numbat", "Wombat", "rubbish") if name in said] == []
    assert ("shares.made", {"project": "P2", "count": 2}) in desk.log.lines


def test_it_rests_once_every_table_was_applied_and_nothing_is_due(desk: Desk, xnat: FakeArchive) -> None:
    minute = timedelta(minutes=1)
    assert not desk.sharing.is_idle(minute)
    desk.save("S2,P1,P2")
    desk.sharing.turn()
    assert not desk.sharing.is_idle(minute)
    xnat.before["share"] = [InDoubt("the connection to XNAT broke")]
    desk.later(seconds=QUIET)
    assert not desk.sharing.is_idle(minute)
    desk.later(seconds=15)
    assert desk.sharing.is_idle(minute)


def test_the_status_has_a_line_for_each_table(desk: Desk) -> None:
    desk.save("S1,P1,P2", "S9,P1,P2", "S2,P1,P2", "S2,P1,P2", name="b.csv")
    desk.save("S2,P1,P2", name="a.csv")
    desk.settle()
    tables = [(one["name"], one["rows"]) for one in desk.ledger.views.share_tables()]
    assert tables == [("a.csv", {"shared": 1}), ("b.csv", {"shared": 2, "waiting": 1})]


def test_a_look_begins_without_what_the_last_one_kept(
    tmp_path: Path, xnat: FakeArchive, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Listing(list[SeenSession]):
        """A list that allows weak references."""

    kept: list[weakref.ref[Listing]] = []
    alive: list[int] = []

    class Keeping(FakeSharing):
        def seen(self, project: str, *, writable: bool) -> SeenProject | None:
            if project == "P1":
                alive.append(sum(one() is not None for one in kept))
            found = super().seen(project, writable=writable)
            assert found is not None
            sessions = Listing(found.sessions)
            kept.append(weakref.ref(sessions))
            return replace(found, sessions=sessions)

    monkeypatch.setattr("xnat_watchd.sharing.rows.ROUND", 1)
    for n in range(7):
        xnat.subject("P1", f"T{n}")
    desk = Desk(tmp_path, Keeping(xnat), time)
    desk.save(*(f"T{n},P1,P2" for n in range(7)))
    desk.settle()
    assert desk.states() == ["shared"] * 7
    assert len(kept) == 8
    assert set(alive) == {0}
    desk.close()
