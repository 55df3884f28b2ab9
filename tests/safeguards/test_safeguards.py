"""Every row of a table of faults has a patch that takes its safeguard out, and every patch still fits the program.

That the rows turn red is shown by `python -m tests.safeguards`, which takes minutes.
"""

from __future__ import annotations

import shutil

import pytest

from tests.faults.table import FAULTS
from tests.safeguards.__main__ import matching, verdict
from tests.safeguards.patch import ROOT, Patch, patches

PATCHES = list(patches())


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.name)
def test_a_patch_still_applies_and_names_its_tests(patch: Patch) -> None:
    if shutil.which("git") is None:
        pytest.skip("no git to apply patches with")
    assert patch.apply(ROOT, check=True) == ""
    assert patch.red


def test_every_fault_of_the_server_and_the_line_has_a_patch() -> None:
    test = "tests/faults/test_faults.py::test_nothing_is_lost_doubled_mixed_or_stuck[{}-*]"
    shown = {red for patch in patches("server") for red in patch.red}
    assert shown == {test.format(fault.name) for fault in FAULTS}


def test_only_a_star_stands_for_more_than_itself() -> None:
    tests = ["a.py::t[x-1]", "a.py::t[xy-1]", "a.py::tx"]
    assert matching("a.py::t[x-*]", tests) == ["a.py::t[x-1]"]
    assert matching("a.py::t", tests) == ["a.py::t[x-1]", "a.py::t[xy-1]"]


def test_a_test_that_was_not_run_shows_nothing() -> None:
    assert verdict(["a", "b"], {"a": False}) == "NOT RUN"
    assert verdict([], {}) == "NOT RUN"
    assert verdict(["a", "b"], {"a": False, "b": True}) == "GREEN"
    assert verdict(["a"], {"a": False}) == "red"
