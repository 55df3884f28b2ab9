"""Rows as CSV: whatever stands in a cell, a spreadsheet shows it as text."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xnat_watchd.operator.spreadsheet import as_csv

HOSTILE = st.text(st.sampled_from(" ;,\"'=+-@\uff1d\t\na"), max_size=8)


@pytest.mark.parametrize("separator", [",", ";"])
@given(cells=st.lists(HOSTILE, min_size=3, max_size=3))
@example(cells=["1", ';"=HYPERLINK(A1);x.zip', "end"])
@example(cells=["1", 'a;""=1+1', '";=1'])
def test_whatever_a_cell_holds_no_spreadsheet_sees_a_formula(separator: str, cells: list[str]) -> None:
    text = as_csv([dict(zip("abc", cells, strict=True))], "abc")
    shown = [cell for row in csv.reader(io.StringIO(text), delimiter=separator) for cell in row]
    assert not [cell for cell in shown if cell.lstrip().startswith(("=", "+", "-", "@", "\uff1d"))]


def test_a_cell_without_a_formula_is_as_it_was() -> None:
    assert as_csv([{"name": 'a "b"; c-d = e.zip'}], ["name"]) == 'name\r\n"a ""b""; c-d = e.zip"\r\n'
