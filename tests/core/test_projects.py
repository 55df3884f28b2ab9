"""Which project somebody meant who named one that is not there."""

from __future__ import annotations

import pytest

from xnat_watchd.core.projects import nearest

KNOWN = ("BRAIN", "HEART_2024", "P1", "P2", "Étude_3")


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        *(("brain", "BRAIN"), ("BRIAN", "BRAIN"), ("BRAINS", "BRAIN"), ("heart-2024", "HEART_2024"), ("p1", "P1")),
        *(("étude_3", "Étude_3"), ("P3", None), ("SPINE", None), ("", None), ("Doe_John", None)),
    ],
)
def test_the_nearest_is_named_in_any_capitals_and_what_is_far_is_not(wrong: str, meant: str | None) -> None:
    assert nearest(wrong, KNOWN) == meant


def test_one_that_is_listed_and_may_not_be_written_to_is_no_slip() -> None:
    assert nearest("BRAIN", KNOWN) is None


def test_what_a_shell_could_take_for_more_than_a_word_is_never_named() -> None:
    assert nearest("brain", ["BRAIN;reboot", "`BRAIN`", "-", ""]) is None
