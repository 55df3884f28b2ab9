"""People are told once of trouble that lasts, reminded while it does, and told when it is over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnat_watchd.core import incidents as incidents_module
from xnat_watchd.core.incidents import (
    CALM,
    GATHER,
    MOST_REASONS,
    PATIENCE,
    REMIND_LATER,
    Decision,
    Incident,
    IncidentKey,
    IncidentKind,
    Incidents,
    moved,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
LOGIN, DISK = IncidentKey(IncidentKind.LOGIN), IncidentKey(IncidentKind.DISK)
P1, P2 = IncidentKey(IncidentKind.STUDIES, "P1"), IncidentKey(IncidentKind.STUDIES, "P2")


def decide(
    incidents: Incidents, seen: Iterable[IncidentKey], now: datetime, *, may_tell: bool = True, why: str = "why"
) -> Decision:
    observed = {key: frozenset(why.split()) for key in seen}
    return incidents_module.decide(incidents, observed, now, remind=DAY, may_tell=may_tell)


def played(
    looks: Iterable[tuple[timedelta, Sequence[IncidentKey]]], *, may_tell: bool = True, begin: Incidents | None = None
) -> list[tuple[timedelta, Decision]]:
    """Return every decision that has news, with its time since the beginning."""
    incidents: Incidents = begin or {}
    told = []
    for at, seen in looks:
        decision = decide(incidents, seen, NOW + at, may_tell=may_tell)
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
        decision = decide(paused, seen, NOW + at, may_tell=False)
        assert not decision.has_news
        paused = decision.incidents
    assert set(paused) == {P1}
    told = played(lasting([P1], 120 * MINUTE, 130 * MINUTE), begin=paused)
    assert [decision.tell for _, decision in told] == [(P1,)]


def test_the_end_of_what_was_told_is_told_after_the_pause() -> None:
    told = decide({}, [LOGIN], NOW)
    known = decide(told.incidents, [LOGIN], NOW + GATHER)
    assert known.tell == (LOGIN,)
    gone = decide(known.incidents, [], NOW + DAY, may_tell=False)
    still = decide(gone.incidents, [], NOW + 2 * DAY, may_tell=False)
    assert decide(still.incidents, [], NOW + 2 * DAY).over == (LOGIN,)


def told_since(whys: Iterable[tuple[timedelta, str]]) -> list[tuple[timedelta, str]]:
    """Return when what is told of a project whose reasons are those, each from its time on."""
    incidents: Incidents = {}
    found = []
    changes = [*whys, (30 * DAY, "")]
    for (begin, why), (end, _) in pairwise(changes):
        for at, _ in lasting([], begin, end):
            decision = decide(incidents, [P1], NOW + at, why=why)
            incidents = decision.incidents
            news = {"tell": decision.tell, "worse": decision.worse, "remind": decision.remind, "over": decision.over}
            found += [(at, name) for name, keys in news.items() if keys]
    return found


def test_another_reason_is_told_once_and_the_reminders_go_on() -> None:
    told = told_since([(0 * MINUTE, "one"), (2 * DAY, "one two"), (3 * DAY, "two"), (4 * DAY, "one two")])
    patience = PATIENCE[P1.kind] + GATHER
    assert told[:3] == [(patience, "tell"), (patience + DAY, "remind"), (2 * DAY + patience, "worse")]
    assert {name for _, name in told[3:]} == {"remind"}
    assert [later - at for (at, _), (later, _) in pairwise(told[2:])] == [REMIND_LATER] * len(told[3:])


def test_another_reason_that_passes_in_time_is_not_told() -> None:
    passing = [(n * 20 * MINUTE, "one two" if n % 2 else "one") for n in range(60)]
    told = told_since(
        [(at if why == "one" else at + 10 * MINUTE, why) for at, why in [*passing, (1200 * MINUTE, "one")]]
    )
    assert {name for _, name in told} == {"tell", "remind"}


def test_however_many_reasons_there_are_the_news_has_an_end() -> None:
    told = told_since([(n * timedelta(hours=2), f"reason-{n}") for n in range(200)])
    assert len([at for at, name in told if name == "worse"]) == MOST_REASONS - 1


def test_trouble_that_comes_back_all_day_is_told_a_few_times() -> None:
    down, up = 36, 11
    server = IncidentKey(IncidentKind.SERVER)
    looks = [(n * MINUTE, [server] if n % (down + up) < down else []) for n in range(24 * 60)]
    assert len(played(looks)) == 3  # told, over, and told again until there is a longer calm


def test_trouble_that_comes_back_after_a_day_ends_as_soon_as_the_first_time() -> None:
    looks = [*lasting([LOGIN], 0 * MINUTE, 10 * MINUTE), *lasting([], 10 * MINUTE, 2 * DAY)]
    again = [*lasting([LOGIN], 2 * DAY, 2 * DAY + 10 * MINUTE), *lasting([], 2 * DAY + 10 * MINUTE, 4 * DAY)]
    assert [at for at, one in played([*looks, *again]) if one.over] == [
        10 * MINUTE + CALM,
        2 * DAY + 10 * MINUTE + CALM,
    ]


def test_an_incident_that_moves_is_neither_over_nor_new() -> None:
    somewhere = IncidentKey(IncidentKind.STUDIES)
    known = {somewhere: Incident(NOW, told=NOW)}
    assert moved(known, [(somewhere, P1)], {P1: frozenset()}) == {P1: known[somewhere]}
    both = {P1: frozenset[str](), somewhere: frozenset[str]()}
    assert moved(known, [(somewhere, P1)], both) == {**known, P1: known[somewhere]}


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
        decision = decide(incidents, seen, NOW + at)
        incidents = decision.incidents
        assert not known & set(decision.tell)
        assert {*decision.remind, *decision.over} <= known
        assert set(decision.tell) <= seen
        known = (known | set(decision.tell)) - set(decision.over)
    assert known == {key for key, one in incidents.items() if one.told is not None and one.over is None}
