"""Sequences that were found to break a promise: what happened, in the fewest actions, and what is right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stateful.world import World


@pytest.fixture(params=["1.8", "1.6"])
def world(quick_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    world = World(quick_path, request.param)
    yield world
    world.end()


def test_a_later_export_whose_files_bear_the_names_of_the_first_is_added(world: World) -> None:
    world.drop("plain", 1, 2)
    world.sweep()
    world.work()
    world.drop("part", 1, 2)
    world.settle()
    assert len(world.archived()) == 3


def test_images_of_another_person_are_not_added_to_a_session_that_another_station_archived(world: World) -> None:
    world.station_archives("P1", 1, 2, same_names=False)
    world.drop("other person", 1, 2, "P1")
    world.settle()
    imports = [one for one in world.xnat.requests if "services/import" in one[1]]
    assert len(imports) == 1  # the other station's: nothing of ours was sent to be removed again


@pytest.mark.parametrize("how", ["exchanged", "his alone"])
def test_another_clients_study_in_our_place_is_not_taken_for_ours(world: World, how: str) -> None:
    world.collide(how)
    world.drop("plain", 1, 2)
    world.sweep()
    world.work()
    world.settle()


@pytest.mark.parametrize("same_names", [True, False])
def test_a_study_that_another_station_archives_while_ours_waits_in_the_prearchive_is_there_once(
    world: World, *, same_names: bool
) -> None:
    world.drop("plain", 1, 2)
    world.sweep()
    world.step()
    world.station_archives("P1", 1, 3, same_names=same_names)
    world.settle()
    assert len(world.archived()) == 3
    assert not world.xnat._site.store.rows


@pytest.mark.parametrize("how", ["exchanged", "his alone"])
def test_another_clients_study_in_our_place_is_not_removed_with_a_study_that_nobody_wants(
    world: World, how: str
) -> None:
    world.collide(how)
    world.drop("several", 1, 2)
    world.sweep()
    world.work()
    world.decide("skip", 0)
    world.work()


@pytest.mark.parametrize("remaps", [True, False])
def test_what_somebody_has_moved_into_a_row_that_we_have_given_up_is_not_removed_with_it(
    world: World, *, remaps: bool
) -> None:
    world.remaps(on=remaps)
    world.reload("uploads only")
    world.drop("part", 4, 2)
    world.sweep()
    world.work()
    for row in range(2):
        world.row_added_to(row)
    world.decide("skip", 0)
    world.work()


@pytest.mark.parametrize("same_names", [True, False])
def test_what_another_station_has_archived_a_part_of_while_our_row_waited_is_sent_at_a_persons_word(
    world: World, *, same_names: bool
) -> None:
    world.reload("uploads only")
    world.drop("plain", 3, 2)
    world.sweep()
    world.work()
    world.station_archives("P1", 3, 1, same_names=same_names)
    world.settle()
    assert world.type("resend", world._studies()[0][0]) == 0
    world.work()
    assert len(world.archived()) == 2


def test_what_a_sound_export_has_replaced_is_not_carried_by_resend(world: World) -> None:
    world.drop("wrong check sum", 1, 2)
    world.sweep()
    world.work()
    world.drop("capitals", 1, 2)
    world.sweep()
    world.work()
    world.decide("resend", 0)
    world.work()
