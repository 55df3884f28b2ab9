from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnat_watchd.core.errors import Unusable
from xnat_watchd.core.sharing.report import ADDED, is_table, refusal, report, report_name
from xnat_watchd.core.sharing.row_state import RowState
from xnat_watchd.core.sharing.state import RowResult
from xnat_watchd.core.sharing.table import ShareRow, Table, read

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def told(table: Table, *states: RowState) -> list[list[str]]:
    results = [RowResult(row=row, state=state, at=AT) for row, state in zip(table.rows, states, strict=True)]
    return list(csv.reader(io.StringIO(report(table, results), newline=""), delimiter=table.delimiter))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_rows_stand_as_given_with_what_became_of_them(delimiter: str) -> None:
    text = "Subject,source,DESTINATION,notes\nS1,P1,P2\n001,P1,P3,seen,extra\n".replace(",", delimiter)
    rows = told(read(text.encode()), RowState.SHARED, RowState.FAILED)
    assert rows == [
        ["Subject", "source", "DESTINATION", "notes", "", *ADDED],
        ["S1", "P1", "P2", "", "", "shared", "0", "2026-01-02 03:04:05", ""],
        ["001", "P1", "P3", "seen", "extra", "failed", "0", "2026-01-02 03:04:05", ""],
    ]


def test_what_cannot_be_read_is_one_sentence_with_its_next_step() -> None:
    text = refusal(Unusable("the table is empty", advice="Save it again."))
    assert text == '"state","reason"\r\n"failed","the table is empty. Save it again."\r\n'


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=10), min_size=1, max_size=5))
def test_whatever_a_cell_holds_it_comes_back_whole_and_is_no_formula(cells: list[str]) -> None:
    row = ShareRow(line=2, subject="S", source="P", destination="Q", cells=tuple(cells))
    table = Table(header=("a",), rows=(row,))
    (_, shown) = told(table, RowState.WAITING)
    for cell, given_cell in zip(shown, cells, strict=False):
        assert cell in {given_cell, f"'{given_cell}"}
        assert not cell.strip().startswith(("=", "+", "-", "@"))


@pytest.mark.parametrize("name", ["a.csv", "A.CSV", "my report.csv", "a.report.x.csv", ".report.csv.csv.csv"])
def test_a_report_is_never_taken_for_a_table(name: str) -> None:
    assert is_table(name) is not name.startswith(".")
    assert not is_table(report_name(name))
    assert not is_table(f".{report_name(name)}.part")
