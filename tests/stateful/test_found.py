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
