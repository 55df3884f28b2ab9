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
