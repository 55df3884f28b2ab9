"""The tables are total, and what they do not name cannot happen."""

from __future__ import annotations

from itertools import pairwise, product

import pytest

from xnat_watchd.core.states import (
    DELIVERIES,
    ENDED,
    LINE,
    STANDINGS,
    DeliveryState,
    Event,
    IllegalTransition,
    Progress,
    Standing,
    as_mermaid,
    next_progress,
    next_standing,
    reached,
)


def test_every_standing_and_every_delivery_state_stands_in_its_table() -> None:
    assert set(STANDINGS) == set(Standing)
    assert set(DELIVERIES) == set(DeliveryState)


@pytest.mark.parametrize(("standing", "event"), list(product(Standing, Event)))
def test_an_event_leads_somewhere_or_is_refused(standing: Standing, event: Event) -> None:
    if event in STANDINGS[standing]:
        assert next_standing(standing, event) in Standing
    else:
        with pytest.raises(IllegalTransition):
            next_standing(standing, event)


def test_every_event_can_happen_to_some_standing() -> None:
    assert {event for moves in STANDINGS.values() for event in moves} == set(Event)


def test_whatever_stands_can_come_to_done_and_what_has_ended_goes_nowhere_but_into_a_new_generation() -> None:
    for standing in ENDED:
        assert STANDINGS[standing] == {Event.RESENT: Standing.READY}
    ways = {Standing.DONE}
    for _ in Standing:
        ways |= {standing for standing, moves in STANDINGS.items() if ways & set(moves.values())}
    assert ways == set(Standing)


def test_progress_is_a_line_walked_one_fact_at_a_time() -> None:
    assert [(a, next_progress(a)) for a in LINE[:-1]] == list(pairwise(LINE))
    with pytest.raises(IllegalTransition):
        next_progress(Progress.COMPLETE)


def test_a_fact_reaches_itself_and_all_before_it() -> None:
    assert reached(Progress.ARCHIVED, Progress.UPLOADED)
    assert reached(Progress.ARCHIVED, Progress.ARCHIVED)
    assert not reached(Progress.UPLOADED, Progress.ARCHIVED)


def test_the_diagram_draws_every_arrow_once() -> None:
    arrows = [line for line in as_mermaid().splitlines() if "-->" in line]
    assert len(arrows) == len(set(arrows))
    assert len(arrows) == len(LINE) - 1 + sum(map(len, STANDINGS.values())) + sum(map(len, DELIVERIES.values()))
