"""Print rows for people, for programs and for spreadsheets, quickly with thousands of rows and safely with any text."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized

import click

from xnat_watchd.core.printable import plain
from xnat_watchd.interfaces.cli import terminal
from xnat_watchd.interfaces.cli.terminal import as_json, padded, paragraph, width
from xnat_watchd.operator.spreadsheet import as_csv

Row = Mapping[str, object]

GAP = "  "  #: between two columns
NOTE = "    "  #: before what is said below a row


def show(rows: Sequence[Row], columns: Sequence[str], form: str = "table", note: str = "") -> None:
    """Print rows on stdout, `form` being `table`, `json` or `csv`.

    In a table, the value of a row under `note` is printed below the row, as a sentence of its own.
    """
    if form == "json":
        as_json([{name: row[name] for name in columns} for row in rows])
    elif form == "csv":
        sys.stdout.write(as_csv(rows, columns))
    else:
        click.echo("\n".join(lines(rows, columns, note)))


def form_options(command: click.decorators.FC) -> click.decorators.FC:
    """Add `--json` and `--csv`, which give the argument `form`."""
    command = click.option("--csv", "form", flag_value="csv", help="As CSV, for spreadsheets.")(command)
    return click.option(
        "--json", "form", flag_value="json", default="table", help="As JSON, for programs."
    )(command)  # fmt: skip


def counted(things: Sized, what: str) -> str:
    """Return the number of things with their name, in the plural where that is right."""
    return f"{len(things)} {what}{'' if len(things) == 1 else 's'}"


def lines(rows: Sequence[Row], columns: Sequence[str], note: str = "") -> Iterable[str]:
    """Return rows as the lines of a table; see `show`."""
    cells = [[name.upper() for name in columns], *([_cell(row[name]) for name in columns] for row in rows)]
    widths = [max(width(line[n]) for line in cells) for n in range(len(columns))]
    room = terminal.columns()
    for line, row in zip(cells, [{}, *rows], strict=True):
        yield from _fitted([padded(text, w) for text, w in zip(line, widths, strict=True)], room)
        if row.get(note):
            yield from paragraph(row[note], first=NOTE)


def _fitted(cells: Sequence[str], room: int) -> Iterator[str]:
    """Yield a row as one line. On a terminal that is narrower, whole cells stand below: no word is broken."""
    line = cells[0]
    for cell in cells[1:]:
        longer = f"{line}{GAP}{cell}"
        if width(longer.rstrip()) > room:
            yield line.rstrip()
            longer = NOTE + cell
        line = longer
    yield line.rstrip()


def _cell(value: object) -> str:
    return "" if value is None else plain(value)
