"""Rows for people, for programs and for spreadsheets. Quick with thousands of them, and safe with any text."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping, Sequence, Sized
from unicodedata import category, combining, east_asian_width

import click

Row = Mapping[str, object]

_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")  #: begins a formula in a spreadsheet, in wide letters too


def show(rows: Sequence[Row], columns: Sequence[str], form: str = "table") -> None:
    """Print rows on stdout, `form` being `table`, `json` or `csv`."""
    {"table": _as_table, "json": _as_json, "csv": _as_csv}[form](rows, columns)


def form_options(command: click.decorators.FC) -> click.decorators.FC:
    """Add `--json` and `--csv`, which give the argument `form`."""
    command = click.option("--csv", "form", flag_value="csv", help="As CSV, for spreadsheets.")(command)
    return click.option(
        "--json", "form", flag_value="json", default="table", help="As JSON, for programs."
    )(command)  # fmt: skip


def counted(things: Sized, what: str) -> str:
    """Say how many things there are."""
    return f"{len(things)} {what}{'' if len(things) == 1 else 's'}"


def plain(text: object) -> str:
    """Give a text without what would order a terminal about: the server's names are anybody's."""
    return "".join(" " if category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else c for c in str(text))


def width(text: str) -> int:
    """Give how many columns of a terminal a text takes."""
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def _as_table(rows: Sequence[Row], columns: Sequence[str]) -> None:
    cells = [[name.upper() for name in columns], *([plain(row[name]) for name in columns] for row in rows)]
    widths = [max(width(line[n]) for line in cells) for n in range(len(columns))]
    lines = (
        "  ".join(text + " " * (w - width(text)) for text, w in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )
    click.echo("\n".join(lines))


def _as_json(rows: Sequence[Row], columns: Sequence[str]) -> None:
    json.dump([{name: row[name] for name in columns} for row in rows], sys.stdout, indent=2, ensure_ascii=False)
    click.echo()


def _as_csv(rows: Sequence[Row], columns: Sequence[str]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_guarded(str(row[name])) for name in columns] for row in rows)


def _guarded(cell: str) -> str:
    """Put an apostrophe before what a spreadsheet would compute: it shows the cell as text then."""
    return f"'{cell}" if cell.lstrip().startswith(_FORMULA) else cell
