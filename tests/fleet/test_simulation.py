"""Simulated stations that share one ledger, and whether their judge sees what may go wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fleet.model import ModelXnat
from tests.fleet.simulation import SimulationOptions, simulate
from tests.postgres.databases import cluster

pytestmark = pytest.mark.thorough  # minutes of waiting


def test_stations_that_are_killed_frozen_and_cut_off_neither_lose_nor_double_nor_archive_a_subject_twice_at_once() -> (
    None
):
    options = SimulationOptions(stations=20, seconds=10, speed=10, study_every=40, trouble_every=120)
    figures = simulate(options, cluster())
    assert figures.wrong == [], figures.told()
    assert figures.done, figures.told()
    assert figures.troubles, figures.told()


@pytest.mark.parametrize(
    ("act", "wrong"),
    [
        (lambda xnat: xnat.upload("1.1", 9), "sent twice"),
        (lambda xnat: xnat.archive("1.2", "S1", 6, 9), "two archivings of one subject at once"),
        (lambda xnat: xnat.archive("1.1", "S1", 9, 10), "archived twice"),
        (lambda xnat: xnat.archive("1.3", "S3", 6, 9), "archived before it was there"),
        (lambda xnat: xnat.archive("1.2", "S1", 8, 9), ""),
        (lambda xnat: xnat.archive("1.2", "S2", 6, 9), ""),
    ],
)
def test_the_judge_sees_what_must_not_be(act: Callable[[ModelXnat], None], wrong: str) -> None:
    xnat = ModelXnat()
    for study, ends in (("1.1", 4), ("1.2", 5), ("1.3", 7)):
        xnat.upload(study, ends)
    xnat.archive("1.1", "S1", 5, 8)
    act(xnat)
    assert [one.partition(":")[0] for one in xnat.wrong] == ([wrong] if wrong else [])
