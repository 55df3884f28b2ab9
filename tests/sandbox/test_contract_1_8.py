"""The practice XNAT 1.8 beside the source of XNAT 1.8, which is here as a table, row by row."""

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
TOPICS = frozenset({
    "logging in", "login sessions", "accounts", "tokens", "browsers", "overwrite", "answers to imports",
    "routing", "listeners", "rows of imports", "refused imports", "one row", "statuses", "deleting rows",
    "actions on rows", "queued work", "asking to archive", "how archiving ends", "merging", "refusals",
    "conflicts", "dumps", "writing subjects", "reading subjects", "subject shares", "session shares",
    "undoing shares", "users", "lists",
})  # fmt: skip
DIFFERENT = 1
LEFT_OUT = (
    ("logging in", "a user name with its provider in front", "there is one provider of accounts"),
    (
        "accounts",
        "a site that is not set up yet, and guests where no login is required",
        "it is set up, and login is required",
    ),
    ("answers to imports", "`src=` from the user cache", "there is no user cache"),
    (
        "refused imports",
        "a full disk, a failing anonymisation script, two senders of one file",
        "faults.py plays these",
    ),
    ("statuses", "SEPARATING", "no PET-MR is split"),
    (
        "refusals",
        "a row without a project, a queue that fails",
        "rows have a project, and there is no queue that could",
    ),
    (
        "conflicts",
        "a catalogue that lacks files, a folder without its experiment, all scans rejected",
        "there are no catalogues",
    ),
    ("dumps", "elements within sequences", "see the row that is different"),
    ("lists", "the filters `recent`, `favorite` and `admin`", "nobody has favourites here"),
)
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


def test_what_is_left_out_belongs_to_a_topic_of_the_table() -> None:
    assert {topic for topic, _, _ in LEFT_OUT} <= TOPICS


def test_every_topic_has_its_rows() -> None:
    assert {row.topic for row in ROWS} == TOPICS
    assert len(ROWS) >= 150
