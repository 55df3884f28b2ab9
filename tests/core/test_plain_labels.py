"""Session labels for a server that spoils letters beyond ASCII: readable, and never two in one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.test_labels import facts
from xnat_watchd.core.delivery import Person
from xnat_watchd.core.errors import Undecided
from xnat_watchd.core.labels import is_label
from xnat_watchd.core.plain_labels import plain, romanised
from xnat_watchd.core.project_rules import LabelRules, Letters

LABEL = "やまだ_たろう_20080504T171715_CR"
SCRIPTS = {
    "Müller": "Muller", "Иванов": "Ivanov", "Ξανθοπουλίδου": "Xanthopoylidoy", "שרון": "srvn", "山田": "ShanTian",
    "김희중": "GimHuiJung",
}  # fmt: skip


@pytest.mark.parametrize(("name", "read"), SCRIPTS.items())
def test_a_label_of_any_script_can_be_read(name: str, read: str) -> None:
    label = romanised(f"{name}_20240229_MR")
    assert label.startswith(f"{read}_20240229_MR-")
    assert is_label(label)
    assert label.isascii()


@pytest.mark.parametrize(
    ("one", "other"), [("Müller", "Muller"), ("山田", "闪天"), ("김희중", "金喜中"), ("é", "e\u0301")]
)
def test_two_names_that_read_alike_stay_two(one: str, other: str) -> None:
    assert romanised(one) != romanised(other)


@given(st.sets(st.text("äÄöé山闪김金aAO_", min_size=1, max_size=6), min_size=2))
def test_no_two_labels_become_one(labels: set[str]) -> None:
    assert len({romanised(label).casefold() for label in labels}) == len(labels)


def test_a_label_is_always_romanised_alike() -> None:
    assert romanised(LABEL) == romanised(LABEL)


def test_the_site_chooses() -> None:
    about = facts(person=Person(name="やまだ^たろう", id="ZQ-7"), subject="やまだ_たろう")

    def chosen(letters: Letters) -> str:
        return plain(LABEL, "_1__2_", LabelRules(session="{subject}_MR", letters=letters), about)

    assert chosen(Letters.AS_STORED) == "_1__2_"
    assert chosen(Letters.PATIENT_ID) == "ZQ-7_MR"
    assert chosen(Letters.ROMANISED) == romanised(LABEL)
    with pytest.raises(Undecided, match="spoil"):
        chosen(Letters.HOLD)


@pytest.mark.parametrize("identity", ["Ä-7", "", "***"])
def test_a_patient_id_that_is_no_plain_label_is_for_a_person_to_replace(identity: str) -> None:
    about = facts(person=Person(name="x", id=identity))
    with pytest.raises(Undecided):
        plain(LABEL, "_", LabelRules(session="{subject}_MR", letters=Letters.PATIENT_ID), about)


def test_a_label_that_grows_too_long_is_for_a_person_to_shorten() -> None:
    with pytest.raises(Undecided):
        plain("㍿" * 60, "_", LabelRules(), None)
