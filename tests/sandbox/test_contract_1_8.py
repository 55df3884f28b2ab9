"""The practice XNAT 1.8 beside the source: `contract-1.8.md` as a table, row by row."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from tests.sandbox.contract import archive, dumps, imports, lists, logins, prearchive, sharing, subjects
from tests.sandbox.contract.rows import Row
from tests.sandbox.contract.situations import SITUATIONS, world
from xnat_watchd.sandbox import Options

ROWS: tuple[Row, ...] = (
    *logins.ROWS, *imports.ROWS, *prearchive.ROWS, *archive.ROWS, *dumps.ROWS, *subjects.ROWS, *sharing.ROWS,
    *lists.ROWS,
)  # fmt: skip
SECTIONS = (
    "1.1 1.2 1.3 1.4 1.5 3.3 3.4 3.5 3.6 3.7 3.8 4.2 4.3 4.4 4.5 4.6 5.1 5.2 5.3 5.4 5.5 6 7.1 7.2 8.1 8.2 8.3 9 10"
)
DIFFERENT = 1
DURATIONS = {"archiving_takes", "archive_timeout", "pipelines_take"}


def _case(row: Row) -> ParameterSet:
    marks = [pytest.mark.xfail(reason=row.different, strict=True)] if row.different else []
    return pytest.param(row, id=row.name, marks=marks)


@pytest.mark.parametrize("row", [_case(row) for row in ROWS])
def test_the_practice_xnat_does_as_the_contract_says(row: Row, tmp_path: Path) -> None:
    options = {
        name: timedelta(seconds=value) if name in DURATIONS else value  # type: ignore[arg-type]
        for name, value in row.options.items()
    }
    with world(tmp_path, Options(**options)) as found:  # type: ignore[arg-type]
        for situation in row.situation.split(", "):
            SITUATIONS[situation](found)
        answer = found.ask(row)
        assert answer.status_code == row.status, answer.text
        row.body(answer)
        told = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        assert re.search(row.told, told), told
        for line in filter(None, row.after.split(";")):
            wanted = re.search(line.removeprefix("no "), found.state(), re.MULTILINE)
            assert bool(wanted) != line.startswith("no "), found.state()


def test_few_rows_are_different() -> None:
    assert sum(bool(row.different) for row in ROWS) == DIFFERENT


def test_every_section_has_its_rows() -> None:
    assert {row.section for row in ROWS} >= set(SECTIONS.split())
    assert len(ROWS) >= 150
