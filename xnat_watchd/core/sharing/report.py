"""The report beside a share table: the table's rows as given, and what became of each."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from io import StringIO

from xnat_watchd.core.errors import Unusable
from xnat_watchd.core.sharing.state import RowResult
from xnat_watchd.core.sharing.table import Table

ADDED = ("state", "sessions shared", "when (UTC)", "reason")
ENDING = ".csv"
SPREADSHEETS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers")
REPORT_ENDING = ".report.csv"
_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")  #: begins a formula in a spreadsheet, in wide letters too
_SKIPPED = " \t\r\n\v\f\xa0"  #: what may stand before it


def is_table(name: str) -> bool:
    """Return whether a file of this name is a share table, and no report and no temporary file of a spreadsheet."""
    lower = name.lower()
    return lower.endswith(ENDING) and not lower.endswith(REPORT_ENDING) and not name.startswith((".", "~"))


def is_spreadsheet(name: str) -> bool:
    """Return whether a file of this name is one of a spreadsheet program, and no temporary file."""
    return name.lower().endswith(SPREADSHEETS) and not name.startswith((".", "~"))


def to_be_read(names: Iterable[str]) -> list[str]:
    """Return the names of share tables, and of spreadsheets that nobody has saved as CSV beside them yet."""
    tables = [name for name in names if is_table(name) or is_spreadsheet(name)]
    saved = {_stem(name) for name in tables if is_table(name)}
    return sorted(name for name in tables if is_table(name) or _stem(name) not in saved)


def report_name(table: str) -> str:
    """Return the name of a table's report. That of a spreadsheet is not the one of the CSV that is made from it."""
    return (table[: -len(ENDING)] if is_table(table) else table) + REPORT_ENDING


def _stem(name: str) -> str:
    return name.rpartition(".")[0].casefold()


def report(table: Table, results: Sequence[RowResult]) -> str:
    """Return the report of a table, with the table's delimiter and every cell in quotes."""
    width = max([len(table.header), *(len(result.row.cells) for result in results)])
    rows = [_padded(table.header, width, ADDED)]
    rows += [_padded(one.row.cells, width, _added(one)) for one in results]
    return _written(rows, table.delimiter)


def refusal(error: Unusable) -> str:
    """Return the report of a table that cannot be read: one row with the reason."""
    sentence = error.detail or str(error)
    end = "" if sentence.endswith("?") else "."
    return _written([["state", "reason"], ["failed", f"{sentence}{end} {error.advice}"]], ",")


def _added(result: RowResult) -> tuple[str, ...]:
    return result.state, str(result.sessions), _time(result.at), result.reason


def _time(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if at else ""


def _padded(cells: Sequence[str], width: int, added: Iterable[str]) -> list[str]:
    return [*cells, *[""] * (width - len(cells)), *added]


def _written(rows: Iterable[Iterable[str]], delimiter: str) -> str:
    """Return rows as CSV for spreadsheets, in which no cell is a formula."""
    out = StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writerows([_guarded(cell) for cell in row] for row in rows)
    return out.getvalue()


def _guarded(cell: str) -> str:
    """Return a cell with an apostrophe in front if a spreadsheet would compute it: then it is shown as text."""
    is_formula = cell.strip().startswith(_FORMULA) or cell.lstrip(_SKIPPED).startswith(_FORMULA)
    return f"'{cell}" if is_formula else cell
