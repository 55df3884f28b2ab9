"""Rows as CSV that a spreadsheet shows as text, whatever stands in a cell."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence

from xnat_watchd.core.printable import plain

#: Begins a formula in a spreadsheet, in wide letters too; behind a semicolon as well, which parts cells in half of
#: Europe. What parts cells there ignores the quotes before a formula.
_FORMULA = re.compile('(^|;)(?=[\\s"]*[=+@\uff1d\uff0b\uff0d\uff20-])')


def as_csv(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> str:
    """Return these columns of the rows as CSV, below a line with the names of the columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_guarded(_cell(row[name])) for name in columns] for row in rows)
    return text.getvalue()


def _cell(value: object) -> str:
    return "" if value is None else plain(value)


def _guarded(cell: str) -> str:
    """Put an apostrophe before a formula, so that a spreadsheet shows the cell as text."""
    return _FORMULA.sub(r"\1'", cell)
