"""Real services that share one ledger, and whether their judge sees what may go wrong."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.dicom import instance
from tests.fleet.witness import Witness
from tests.sandbox.kit import Visitor, place, zipped
from tests.soak.practice import PASSWORD


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
