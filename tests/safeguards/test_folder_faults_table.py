"""The table of faults names tests that there are."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.safeguards.folder_faults import FAULTS, WITHOUT_MUTATION

REPOSITORY = Path(__file__).resolve().parents[2]


@cache
def named_in(file: str) -> frozenset[str]:
    tree = ast.parse((REPOSITORY / file).read_text("utf-8"))
    return frozenset(one.name for one in tree.body if isinstance(one, ast.FunctionDef))


@pytest.mark.parametrize("fault", [*FAULTS, *WITHOUT_MUTATION])
def test_every_fault_names_tests_that_there_are(fault: str) -> None:
    for test in {**FAULTS, **WITHOUT_MUTATION}[fault]:
        file, _, name = test.partition("::")
        assert name in named_in(file)
