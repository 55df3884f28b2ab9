"""The table of faults names tests that there are, and each fault has the patch that shows what its test is worth."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.safeguards.folder_faults import FAULTS, WITHOUT_PATCH

REPOSITORY = Path(__file__).resolve().parents[2]
PATCHES = Path(__file__).parent / "patches"


@cache
def named_in(file: str) -> frozenset[str]:
    tree = ast.parse((REPOSITORY / file).read_text("utf-8"))
    return frozenset(one.name for one in tree.body if isinstance(one, ast.FunctionDef))


@pytest.mark.parametrize("fault", [*FAULTS, *WITHOUT_PATCH])
def test_every_fault_names_tests_that_there_are(fault: str) -> None:
    for test in {**FAULTS, **WITHOUT_PATCH}[fault]:
        file, _, name = test.partition("::")
        assert name in named_in(file)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_has_a_patch_for_its_first_test_that_still_fits(fault: str) -> None:
    first, *patch = (PATCHES / f"{fault}.patch").read_text("utf-8").splitlines()
    assert first == f"# test: {FAULTS[fault][0]}"
    file = ""
    for line in patch:
        if line.startswith("--- a/"):
            file = (REPOSITORY / line.removeprefix("--- a/")).read_text("utf-8")
        elif line.startswith("-") and not line.startswith("---"):
            assert f"{line[1:]}\n" in file, "the program has changed: make the patch anew"
