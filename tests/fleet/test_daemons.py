"""Real services that share one ledger, and whether their judge sees what may go wrong."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.dicom import instance
from tests.fleet.daemons import Fleet, FleetOptions
from tests.fleet.witness import Witness
from tests.sandbox.kit import Visitor, place, zipped
from tests.soak.practice import PASSWORD

pytestmark = pytest.mark.thorough  # minutes of waiting


@pytest.mark.parametrize(
    ("people", "at_once", "wrong"),
    [(("A^A", "A^A"), 2, 1), (("A^A", "A^A"), 1, 0), (("A^A", "B^B"), 2, 0)],
    ids=["at once", "one after the other", "of two people"],
)
def test_two_archivings_of_one_subject_at_once_are_seen(
    tmp_path: Path, people: tuple[str, str], at_once: int, wrong: int
) -> None:
    witness = Witness(tmp_path, "1.6")
    with witness.watching() as xnat, Visitor(xnat, password=PASSWORD) as one, Visitor(xnat, password=PASSWORD) as other:
        for number, person in enumerate(people, 1):
            one.sent(zipped({"1.dcm": instance(number, name=person)}), dest=place(f"row_{number}"), handler="SI")
        with ThreadPoolExecutor(at_once) as pool:
            asked = [pool.submit(who.archive, place(f"row_{number}")) for number, who in ((1, one), (2, other))]
            assert all(one.result() is not None for one in asked)
    assert (witness.archivings, len(witness.wrong)) == (2, wrong)


@pytest.mark.parametrize(
    ("trouble", "shared", "dialect"),
    [
        ("kill", True, "1.6"),
        ("freeze", True, "1.8"),
        ("cut", False, "1.6"),
        ("stall", False, "1.6"),
        ("crash", False, "1.8"),
    ],
)
def test_two_services_of_one_ledger_hold_every_image_once(
    tmp_path: Path, trouble: str, *, shared: bool, dialect: str
) -> None:
    options = FleetOptions(zips=9, shared=shared, dialect=dialect, troubles=[trouble], least=2, seed=5)
    figures = Fleet(tmp_path, options).run()
    assert figures.wrong == [], figures.told()
    assert figures.troubles[trouble] >= 2, figures.told()


def test_a_failover_that_lost_commits_loses_and_doubles_nothing_in_the_archive(tmp_path: Path) -> None:
    figures = Fleet(tmp_path, FleetOptions(zips=9, troubles=["fail over"], least=1, seed=3)).run()
    assert figures.wrong == [], figures.told()
    assert figures.troubles["fail over"], figures.told()
