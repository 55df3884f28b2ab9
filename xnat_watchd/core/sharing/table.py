"""Read share tables: CSV files as spreadsheets write them.

Every cell stays text, `001` and `042` too. A cell is only compared with what a server lists: it becomes part of a
request only after it was found there.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from io import StringIO
from itertools import chain

from xnat_watchd.core.errors import Unusable
from xnat_watchd.core.labels import check_template, is_label

REQUIRED = ("subject", "source", "destination")
COLUMNS = (*REQUIRED, "label", "sessions", "session_label")
LABEL_FIELDS = ("subject", "session", "session_id", "study_date")
"""Fields of a `session_label` template: the subject's label in the destination, the session's own label, its
accession ID, and its date as YYYYMMDD."""

MOST_BYTES = 16 * 1024 * 1024
MOST_ROWS = 100_000
MOST_CELLS = 1000  #: of one row
LONGEST_ROW = 1024 * 1024  #: characters; a row of 16 MiB could need more memory than the service may use
LONGEST_CELL = 500

_DELIMITERS = (",", ";", "\t")
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_END_OF_FILE = re.compile(r"\x1a[\x1a\0\s]*\Z")  #: control-Z, as programs for DOS write it
_SEPARATOR_LINE = re.compile(r""" *"?sep=([^\w\s"]|\t)"?[,;\t]*(?=[\r\n]|\Z)""", re.ASCII | re.IGNORECASE)
_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_ALMOST = 0.8  #: least similarity (`difflib`) to a known column's name that makes a column a typing error
_PERHAPS = 0.6  #: likewise to a column that must be there and is not
_SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  #: the first bytes of `.xlsx`, `.ods` and `.numbers`; of `.xls`
_ADVICE = "Correct the table and save it again; the page 'Share tables' of the documentation shows how one looks."


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareRow:
    """One line of a share table. Cells are stripped of blanks around them, else as given."""

    line: int  #: of the file, counted from 1: where the row begins
    subject: str
    source: str
    destination: str
    label: str = ""  #: the subject's label in the destination; empty: its own
    sessions: str = ""  #: a pattern for labels of sessions (`*_MR`); empty: all
    session_label: str = ""  #: a template; empty: the session's own label
    cells: tuple[str, ...] = ()  #: all that stands in the line, for the report
    fault: str = ""  #: why the row cannot be applied, one sentence
    same_as: int | None = None  #: the line of an earlier row that asks for the same

    @property
    def key(self) -> str:
        """All that the row asks for, in one string. A row with another key is another row."""
        return json.dumps([getattr(self, column) for column in COLUMNS], ensure_ascii=False)

    def wants(self, session: str) -> bool:
        """Return whether a session of this label is meant. `*`, `?` and `[...]` as in a shell; case matters."""
        return fnmatchcase(session, self.sessions or "*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A share table as it was read."""

    header: tuple[str, ...]  #: as given
    rows: tuple[ShareRow, ...]
    ignored: tuple[str, ...] = ()  #: columns that have no meaning here
    delimiter: str = ","


def read(data: bytes) -> Table:
    """Read a table, or raise `Unusable` with one sentence.

    The sentence quotes nothing of the table: without a header its first line may hold names. `detail`, if there is
    one, is a sentence in its place for people who may see names: it quotes the header.
    """
    delimiter, records = records_of(data, COLUMNS)
    header = next(records)[1]
    places = _places(header)
    rows = [_row(line, cells, len(header), places) for line, cells in records]
    known = set(places.values())
    ignored = (name.strip() for place, name in enumerate(header) if place not in known)
    return Table(
        header=tuple(header),
        rows=_compared(rows),
        ignored=tuple(name for name in ignored if name),
        delimiter=delimiter,
    )


def records_of(data: bytes, columns: Collection[str]) -> tuple[str, Iterator[tuple[int, list[str]]]]:
    """Return a table's delimiter and its records that are not blank, each with the line on which it begins.

    The first record is the header; the delimiter is the one that finds most of `columns` in it. Raises `Unusable`,
    also while the records are read.
    """
    text = _END_OF_FILE.sub("", _decoded(data))
    told = _SEPARATOR_LINE.match(text)
    if told is not None:  # for Excel, no row: the line stays, and counts
        text = text[told.end() :]
    delimiter = _delimiter(text, columns, (*_DELIMITERS, *(told[1] if told else "")))
    records = _records(text, delimiter)
    header = next(records, None)
    if header is None:
        raise _unusable("the table is empty")
    return delimiter, chain([header], records)


def spreadsheet() -> Unusable:
    """Return the error for the file of a spreadsheet program."""
    return Unusable(
        "it is a spreadsheet, no CSV", advice="Save it as CSV (UTF-8) in your spreadsheet, into the same folder."
    )


def column_name(cell: str) -> str:
    """Return a column's name in the form to compare: case does not matter, blanks and `-` are `_`."""
    return re.sub(r"[\s_-]+", "_", cell.strip().casefold())


def _unusable(sentence: str, detail: str = "") -> Unusable:
    return Unusable(sentence, detail=detail, advice=_ADVICE)


def _decoded(data: bytes) -> str:
    if len(data) > MOST_BYTES:
        raise _unusable(f"the table is larger than {MOST_BYTES // 1024**2} MiB")
    if data.startswith(_SPREADSHEETS):
        raise spreadsheet()
    marked = next((name for bom, name in _BOMS.items() if data.startswith(bom)), None)
    for encoding in [marked] if marked else ["utf-8", "cp1252"]:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if _NOT_TEXT.search(_END_OF_FILE.sub("", text)):
            break
        return text
    raise _unusable("the file is not a table of text in UTF-8, UTF-16 or Windows-1252")


def _records(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    taken, begin, count = 0, 1, 0

    def lines() -> Iterator[str]:
        nonlocal taken
        for line in StringIO(text, newline=""):
            taken += len(line)
            if taken > LONGEST_ROW:
                raise _unusable(f"the row that begins in line {begin} is too long")
            yield line

    reader = csv.reader(lines(), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for cells in reader:
            taken = 0
            if len(cells) > MOST_CELLS:
                raise _unusable(f"a row has more than {MOST_CELLS:,} cells")
            if any(cell.strip() for cell in cells):
                count += 1
                yield begin, cells
            begin = reader.line_num + 1
            if count > MOST_ROWS + 1:
                raise _unusable(f"the table has more than {MOST_ROWS:,} rows")
    except csv.Error as error:  # a quote that is not closed or goes on behind its end; a cell beyond 128 KiB
        raise _unusable(f"a quoted cell that begins in line {begin} does not end as it should") from error


def _delimiter(text: str, columns: Collection[str], delimiters: Sequence[str]) -> str:
    """Return the delimiter with which the header line has most known columns."""
    lines = (line for line in StringIO(text, newline="") if line.strip(' \t\r\n,;"'))
    header = next(lines, "")[:LONGEST_ROW]

    def known(delimiter: str) -> int:
        cells = (cell.strip(' \r\n\t"') for cell in header.split(delimiter))
        return sum(column_name(cell) in columns for cell in cells)

    return max(delimiters, key=known)


def _places(header: Sequence[str]) -> dict[str, int]:
    """Return the position of each known column, or raise `Unusable`.

    A column that is almost known is refused: to ignore `sesions` would share more than was asked for.
    Other columns (notes, dates of consent) are ignored.
    """
    places: dict[str, int] = {}
    for place, cell in enumerate(header):
        name = column_name(cell)
        if name in places:
            raise _unusable(f"the header line names the column {name} twice")
        if name in COLUMNS:
            places[name] = place
    absent = [column for column in COLUMNS if column not in places]
    others = [cell.strip() for cell in header if column_name(cell) not in places]
    if near := _nearest(others, absent, _ALMOST):
        raise _unusable(f"a column is called almost, but not quite, {near[1]}", _meant(*near))
    for column in REQUIRED:
        if column not in places:
            near = _nearest(others, [column], _PERHAPS)
            told = _meant(*near) if near else f"it has: {' | '.join(others)[:LONGEST_CELL]}"
            sentence = f"the header line has no column {column}"
            raise _unusable(sentence, f"{sentence}: {told}")
    return places


def _nearest(cells: Iterable[str], columns: Sequence[str], cutoff: float) -> tuple[str, str] | None:
    """Return the first cell that is nearly a column's name, with that column."""
    for cell in cells:
        if len(cell) <= LONGEST_CELL and (near := get_close_matches(column_name(cell), columns, n=1, cutoff=cutoff)):
            return cell, near[0]
    return None


def _meant(cell: str, column: str) -> str:
    return f"`{cell}` is no column; did you mean `{column}`?"


def _row(line: int, cells: Sequence[str], width: int, places: Mapping[str, int]) -> ShareRow:
    found = {name: cells[place].strip() for name, place in places.items() if place < len(cells)}
    asked = dict.fromkeys(COLUMNS, "") | found
    extra = any(cell.strip() for cell in cells[width:])
    fault = "the line has more cells than the header: is a quote missing?" if extra else ""
    return ShareRow(
        line=line,
        subject=asked["subject"],
        source=asked["source"],
        destination=asked["destination"],
        label=asked["label"],
        sessions=asked["sessions"],
        session_label=asked["session_label"],
        cells=tuple(cells),
        fault=fault or next(_faults(asked), ""),
    )


def _faults(asked: Mapping[str, str]) -> Iterator[str]:
    for column, cell in asked.items():
        if not cell and column in REQUIRED:
            yield f"the {column} is empty"
        if len(cell) > LONGEST_CELL:
            yield f"the {column} is longer than any that XNAT could keep"
    if asked["source"] == asked["destination"]:
        yield "source and destination are the same project"
    if asked["label"] and not is_label(asked["label"]):
        yield "the label has a character that XNAT refuses, or is too long"
    try:
        check_template(asked["session_label"] or "{session}", LABEL_FIELDS)
    except ValueError as error:
        yield f"the session_label cannot be used: {error}"


def _compared(rows: Sequence[ShareRow]) -> tuple[ShareRow, ...]:
    """Mark rows that repeat an earlier one, and rows that contradict each other: one subject, two labels."""
    first: dict[str, int] = {}
    labels: dict[tuple[str, str, str], dict[str, int]] = {}
    for row in rows:
        share = (row.subject, row.source, row.destination)
        labels.setdefault(share, {}).setdefault(row.label or row.subject, row.line)

    def noted(row: ShareRow) -> ShareRow:
        earlier = first.setdefault(row.key, row.line)
        given = labels[row.subject, row.source, row.destination]
        if earlier == row.line and len(given) == 1:
            return row
        mine = row.label or row.subject
        other = next((line for label, line in given.items() if label != mine), None)
        fault = row.fault or (f"line {other} gives the same subject another label" if other else "")
        return replace(row, fault=fault, same_as=earlier if earlier != row.line else None)

    return tuple(noted(row) for row in rows)
