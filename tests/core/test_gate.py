"""A gate shuts at once, opens for one and then for all, and never lets an account be locked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from xnat_watchd.core.errors import AuthRefused, Permanent, Scope, ServerFailure, Unavailable
from xnat_watchd.core.gate import CEILING, OPEN, PROJECT_CEILING, PROJECT_FIRST, REFUSALS_AN_HOUR, shut_by

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DOWN = Unavailable("XNAT does not answer")
REFUSED = AuthRefused("XNAT refuses the user or the password")


def test_an_open_gate_asks_nothing() -> None:
    assert not OPEN.shut
    assert not OPEN.probe_due(NOW)


def test_the_servers_trouble_shuts_it_with_reason_and_advice() -> None:
    gate = shut_by(OPEN, DOWN, NOW, 0)
    assert gate.shut
    assert not gate.login
    assert (gate.why, gate.advice) == (str(DOWN), DOWN.advice)
    assert not gate.probe_due(NOW)
    assert gate.probe_due(NOW + timedelta(seconds=10))


def test_a_server_that_stays_down_is_asked_ever_more_rarely_up_to_a_bound() -> None:
    gate, now, pauses = OPEN, NOW, []
    for _ in range(100):
        gate = shut_by(gate, DOWN, now, 0)
        assert gate.until is not None
        pauses.append(gate.until - now)
        now = gate.until
    assert pauses == sorted(pauses)
    assert pauses[-1] == CEILING


def test_a_gate_knows_since_when_xnat_is_waited_for_until_a_study_has_succeeded() -> None:
    first = shut_by(OPEN, DOWN, NOW, 0)
    again = shut_by(first.probed(), DOWN, NOW + timedelta(hours=1), 0)
    assert (first.since, again.since) == (NOW, NOW)
    later = shut_by(again.probed().passed(), DOWN, NOW + timedelta(hours=2), 0)
    assert later.since == NOW + timedelta(hours=2)


def test_the_server_says_when_to_come_back() -> None:
    gate = shut_by(OPEN, Unavailable("later", after=timedelta(minutes=20)), NOW, 0)
    assert gate.until == NOW + timedelta(minutes=20)


def test_after_a_probe_one_study_may_pass_and_then_all() -> None:
    trial = shut_by(OPEN, DOWN, NOW, 0).probed()
    assert trial.trial
    assert not trial.shut
    assert trial.passed() == OPEN


def test_a_trial_that_fails_does_not_start_the_ladder_anew() -> None:
    first = shut_by(OPEN, DOWN, NOW, 0)
    second = shut_by(first.probed(), DOWN, NOW, 0)
    assert second.until is not None
    assert second.until > first.until  # type: ignore[operator]


@given(st.lists(st.integers(0, 90), max_size=200), st.floats(0, 1, exclude_max=True))
def test_a_bad_password_is_never_tried_more_than_four_times_in_any_hour(minutes: list[int], jitter: float) -> None:
    gate, now, asked = OPEN, NOW, []
    for pause in minutes:
        now += timedelta(minutes=pause)
        if gate.shut and not gate.probe_due(now):
            continue
        asked.append(now)
        gate = shut_by(gate, REFUSED, now, jitter)
    for at in asked:
        assert sum(at - timedelta(hours=1) < other <= at for other in asked) <= REFUSALS_AN_HOUR


def test_opening_does_not_forget_the_refusals_of_this_hour() -> None:
    gate = shut_by(OPEN, REFUSED, NOW, 0).probed().passed()
    assert gate.refusals == (NOW,)


def test_a_clock_that_jumped_back_does_not_keep_it_shut() -> None:
    gate = shut_by(OPEN, DOWN, NOW, 0)
    assert gate.probe_due(NOW - timedelta(days=3650))


def test_a_projects_trouble_is_looked_at_again_soon_and_then_ever_more_rarely() -> None:
    gate, now, pauses = OPEN, NOW, []
    for _ in range(20):
        gate = shut_by(gate, Permanent("no right", scope=Scope.PROJECT), now, 0).probed()
        gate = shut_by(gate, Permanent("no right", scope=Scope.PROJECT), now, 0)
        assert gate.until is not None
        pauses.append(gate.until - now)
        now = gate.until
    first = shut_by(OPEN, Permanent("no right", scope=Scope.PROJECT), NOW, 0)
    assert (first.until, pauses) == (NOW + PROJECT_FIRST, sorted(pauses))
    assert pauses[-1] == PROJECT_CEILING


def test_what_a_person_must_mend_is_told_from_what_passes() -> None:
    assert not shut_by(OPEN, Permanent("no right", scope=Scope.PROJECT), NOW, 0).passes
    assert shut_by(OPEN, ServerFailure("500"), NOW, 0).passes
