"""Rows are shown so that no terminal and no spreadsheet obeys them, thousands of them at once."""

from __future__ import annotations

import csv
import io
import json
import time

import pytest

from xnat_watchd.interfaces.cli import table

ROWS = [{"id": "P1", "name": "Ünï\x1b[31m"}, {"id": "王小東", "name": "=1+1"}]


def test_columns_stand_below_each_other_whatever_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    table.show(ROWS, ("id", "name"))
    assert capsys.readouterr().out.splitlines() == ["ID      NAME", "P1      Ünï [31m", "王小東  =1+1"]


def test_on_a_terminal_a_row_that_is_too_wide_goes_on_below_it_and_no_word_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"item": "1", "project": "P" * 20, "name": "short.zip"}, {"item": "2", "project": "P2", "name": "n" * 30}]
    monkeypatch.setattr("xnat_watchd.interfaces.cli.terminal.columns", lambda: 40)
    table.show(rows, ("item", "project", "name"))
    assert capsys.readouterr().out.splitlines() == [
        "ITEM  PROJECT               NAME", f"1     {'P' * 20}  short.zip", "2     P2", f"    {'n' * 30}",
    ]  # fmt: skip
    monkeypatch.setattr("xnat_watchd.interfaces.cli.terminal.columns", lambda: 1 << 30)
    table.show(rows, ("item", "project", "name"))
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_programs_get_every_letter(capsys: pytest.CaptureFixture[str]) -> None:
    table.show(ROWS, ("id", "name"), "json")
    assert json.loads(capsys.readouterr().out) == ROWS


def test_what_is_said_of_a_row_stands_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    table.show([{"id": "P1", "said": "-> fine\x1b[31m"}, {"id": "P2", "said": ""}], ("id",), note="said")
    assert capsys.readouterr().out.splitlines() == ["ID", "P1", "    -> fine [31m", "P2"]


@pytest.mark.parametrize("label", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r=1", "\uff1d1", "a;=1", "a; -1"])
def test_no_cell_begins_what_a_spreadsheet_computes(label: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Behind a semicolon too, which parts cells where a comma is in numbers."""
    table.show([{"id": label}], ("id",), "csv")
    cells = capsys.readouterr().out.splitlines()[1].split(";")
    assert [cell for cell in cells if cell.strip(' "')[:1] in "=+-@\uff1d"] == []


def test_no_form_lets_a_label_order_the_terminal_about(capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("table", "json", "csv"):
        table.show([{"id": "\x1b]0;owned\x07\x9b2J\u202e"}], ("id",), form)
    printed = capsys.readouterr().out
    assert [c for c in printed if not c.isprintable() and c not in "\r\n"] == []


def test_a_spreadsheet_computes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    table.show(ROWS, ("id", "name"), "csv")
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["id", "name"]
    assert rows[2] == ["王小東", "'=1+1"]


def test_nothing_is_a_heading_an_empty_list_or_a_line_of_names(capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("table", "json", "csv"):
        table.show([], ("id", "name"), form)
    assert capsys.readouterr().out.split() == ["ID", "NAME", "[]", "id,name"]


def test_thousands_of_rows_take_no_time(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"label": f"S{n:05}", "id": f"XNAT_S{n:05}"} for n in range(20_000)]
    began = time.thread_time()
    table.show(rows, ("label", "id"))
    assert time.thread_time() - began < 1
    assert len(capsys.readouterr().out.splitlines()) == 20_001


def test_things_are_counted_in_english() -> None:
    assert [table.counted(range(n), "subject") for n in (0, 1, 2)] == ["0 subjects", "1 subject", "2 subjects"]
