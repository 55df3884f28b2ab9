"""People are told once of trouble that lasts, reminded while it does, and told when it is over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnat_watchd.core.incidents import (
    CALM,
    GATHER,
    PATIENCE,
    REMIND_LATER,
    Decision,
    Incident,
    IncidentKey,
    IncidentKind,
    Incidents,
    decide,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
LOGIN, DISK = IncidentKey(IncidentKind.LOGIN), IncidentKey(IncidentKind.DISK)
P1, P2 = IncidentKey(IncidentKind.STUDIES, "P1"), IncidentKey(IncidentKind.STUDIES, "P2")


def played(
    looks: Iterable[tuple[timedelta, Sequence[IncidentKey]]], *, may_tell: bool = True, begin: Incidents | None = None
) -> list[tuple[timedelta, Decision]]:
    """Return every decision that has news, with its time since the beginning."""
    incidents: Incidents = begin or {}
    told = []
    for at, seen in looks:
        decision = decide(incidents, seen, NOW + at, remind=DAY, may_tell=may_tell)
        incidents = decision.incidents
        if decision.has_news:
            told.append((at, decision))
    return told


def lasting(seen: Sequence[IncidentKey], start: timedelta, end: timedelta) -> list[tuple[timedelta, list[IncidentKey]]]:
    return [(start + n * MINUTE, [*seen]) for n in range((end - start) // MINUTE)]


@pytest.mark.parametrize("kind", IncidentKind)
def test_trouble_is_told_once_it_has_lasted_and_waited_for_others(kind: IncidentKind) -> None:
    told = played(lasting([IncidentKey(kind)], 0 * MINUTE, 120 * MINUTE))
    assert [(at, decision.tell) for at, decision in told] == [(PATIENCE[kind] + GATHER, (IncidentKey(kind),))]


def test_trouble_that_passes_in_time_is_never_told() -> None:
    assert played([*lasting([P1], 0 * MINUTE, 14 * MINUTE), *lasting([], 14 * MINUTE, 60 * MINUTE)]) == []


def test_one_message_tells_of_all_that_came_together() -> None:
    told = played([*lasting([P1], 0 * MINUTE, 4 * MINUTE), *lasting([P1, P2], 4 * MINUTE, 60 * MINUTE)])
    assert [decision.tell for _, decision in told] == [(P1, P2)]


def test_it_is_told_once_when_it_is_over_and_only_if_it_was_told() -> None:
    looks = [*lasting([LOGIN, P1], 0 * MINUTE, 10 * MINUTE), *lasting([], 10 * MINUTE, 60 * MINUTE)]
    told = played(looks)
    assert [(decision.tell, decision.over) for _, decision in told] == [((LOGIN,), ()), ((), (LOGIN,))]
    assert told[1][0] == 10 * MINUTE + CALM


def test_a_server_that_comes_and_goes_is_one_incident() -> None:
    flapping = [(n * MINUTE, [DISK] if n % 3 else []) for n in range(600)]
    told = played(flapping)
    assert [decision.tell for _, decision in told] == [(DISK,)]


def test_a_reminder_comes_after_the_time_of_the_settings_and_then_weekly() -> None:
    hours = [(n * timedelta(hours=1), [LOGIN]) for n in range(24 * 17)]
    told = played(hours)
    first = told[0][0]
    assert [at - first for at, decision in told if decision.remind] == [DAY, DAY + REMIND_LATER, DAY + 2 * REMIND_LATER]


def test_while_nothing_may_be_told_nothing_is_and_what_then_still_lasts_is_told_later() -> None:
    paused: Incidents = {}
    for at, seen in [*lasting([LOGIN, P1], 0 * MINUTE, 60 * MINUTE), *lasting([P1], 60 * MINUTE, 120 * MINUTE)]:
        decision = decide(paused, seen, NOW + at, remind=DAY, may_tell=False)
        assert not decision.has_news
        paused = decision.incidents
    assert set(paused) == {P1}
    told = played(lasting([P1], 120 * MINUTE, 130 * MINUTE), begin=paused)
    assert [decision.tell for _, decision in told] == [(P1,)]


def test_the_end_of_what_was_told_is_told_after_the_pause() -> None:
    told = decide({}, [LOGIN], NOW, remind=DAY)
    known = decide(told.incidents, [LOGIN], NOW + GATHER, remind=DAY)
    assert known.tell == (LOGIN,)
    gone = decide(known.incidents, [], NOW + DAY, remind=DAY, may_tell=False)
    still = decide(gone.incidents, [], NOW + 2 * DAY, remind=DAY, may_tell=False)
    assert decide(still.incidents, [], NOW + 2 * DAY, remind=DAY).over == (LOGIN,)


def test_times_beyond_now_count_as_now() -> None:
    told = played(lasting([P1], 0 * MINUTE, 30 * MINUTE), begin={P1: Incident(NOW + 365 * DAY)})
    assert [(at, decision.tell) for at, decision in told] == [(PATIENCE[P1.kind] + GATHER, (P1,))]
    known = Incident(NOW, gone=NOW + 365 * DAY, told=NOW + 365 * DAY)
    assert [at for at, one in played(lasting([], 0 * MINUTE, 30 * MINUTE), begin={P1: known}) if one.over] == [CALM]


@given(st.lists(st.tuples(st.integers(1, 90), st.sets(st.sampled_from([LOGIN, DISK, P1, P2]))), max_size=60))
def test_whatever_happens_an_incident_is_told_once_before_it_is_reminded_or_over(
    steps: list[tuple[int, set[IncidentKey]]],
) -> None:
    known: set[IncidentKey] = set()
    at = timedelta(0)
    incidents: Incidents = {}
    for minutes, seen in steps:
        at += minutes * MINUTE
        decision = decide(incidents, seen, NOW + at, remind=DAY)
        incidents = decision.incidents
        assert not known & set(decision.tell)
        assert {*decision.remind, *decision.over} <= known
        assert set(decision.tell) <= seen
        known = (known | set(decision.tell)) - set(decision.over)
    assert known == {key for key, one in incidents.items() if one.told is not None}
