"""JSON and XML parsed piece by piece, in bounded memory however long or deeply nested a document is.

A document in memory takes ten or more times its length, and the server chooses the length. So only the requested
columns of a table are kept, and a document that exceeds the limits below is refused.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from xml.parsers import expat

import ijson

from xnat_watchd.adapters.xnat.memory import MemoryBudget, MemoryUse

LARGEST_TABLE = 50 << 20  #: bytes of memory for the kept rows; those of 100,000 sessions take less
LARGEST_DOCUMENT = 16 << 20  #: bytes of memory for any other document; a session of 1,000 scans takes a tenth
LONGEST_TOKEN = 1 << 20  #: bytes before the parser must have seen the end of a name, value or tag
MOST_EVENTS = 3_000_000  #: names, values, starts and ends in one document
DEEPEST = 64  #: levels of nesting; XNAT's own documents have about ten

Cells = dict[str, str]


class Unreadable(Exception):
    """The text is no document of this form, or it exceeds a limit."""


class Rows(list[Cells]):
    """The rows of a table. A plain list allows no weak reference, by which its memory is released."""


class Members(dict[str, Any]):
    """The members of a document, in a class that allows weak references."""


class JsonSource:
    """The bytes of a JSON document, as the parser asks for them.

    It knows nothing of the reader that owns the parser: the parser is written in C, and Python's collector of cycles
    does not see through it, so that such a circle would stay in memory for ever, with the document.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.since_event = 0  #: bytes since the last event

    def read(self, size: int) -> bytes:
        """Return the next piece. The parser first asks for 0 bytes, to see which type it gets."""
        if not size:
            return b""
        piece = next(self._pieces, b"")
        self.since_event += len(piece)
        if self.since_event > LONGEST_TOKEN:
            raise Unreadable
        return piece


class JsonReader:
    """The events of a JSON document, one by one. Every method may raise `Unreadable`, and `keep` also `BudgetSpent`."""

    def __init__(self, pieces: Iterator[bytes], largest: int, kept: MemoryUse) -> None:
        self._largest, self._memory = largest, kept
        self._depth = self._event_count = 0
        self._kept = 0  #: bytes of memory
        self._names: dict[str, str] = {}
        self._source = JsonSource(pieces)
        self._events = ijson.basic_parse(self._source)

    def next(self) -> tuple[str, Any]:
        """Return the next event and its value."""
        try:
            kind, value = next(self._events)
        except (ijson.JSONError, StopIteration, ValueError, OverflowError) as error:
            raise Unreadable from error
        self._source.since_event = 0
        self._event_count += 1
        self._depth += kind.startswith("start_") - kind.startswith("end_")
        if self._depth > DEEPEST or self._event_count > MOST_EVENTS:
            raise Unreadable
        return kind, float(value) if isinstance(value, Decimal) else value

    def end(self) -> None:
        """Check that nothing follows."""
        try:
            if next(self._events, None) is not None:
                raise Unreadable
        except (ijson.JSONError, ValueError) as error:
            raise Unreadable from error

    def keep(self, *values: object) -> None:
        """Count the memory of values that are kept."""
        self._kept += sum(map(sys.getsizeof, values))
        if self._kept > self._largest:
            raise Unreadable
        self._memory.grow(self._kept)

    def skip(self, kind: str) -> None:
        """Skip the value that began with this event."""
        if kind.startswith("start_"):
            outside = self._depth - 1
            while self._depth > outside:
                self.next()

    def members(self) -> Iterator[str]:
        """Yield the names in an object that has begun. The caller reads each value before it asks for the next name."""
        while (event := self.next())[0] != "end_map":
            yield self._names.setdefault(event[1], event[1]) if len(self._names) < DEEPEST else event[1]

    def value(self, kind: str, value: Any) -> Any:
        """Return the complete value that began with this event."""
        if kind == "start_map":
            found = {}
            for name in self.members():
                found[name] = self.value(*self.next())
                self.keep(name)
            self.keep(found)
            return found
        if kind == "start_array":
            items = []
            while (event := self.next())[0] != "end_array":
                items.append(self.value(*event))
            self.keep(items)
            return items
        self.keep(value)
        return value


def document(pieces: Iterator[bytes], memory: MemoryBudget) -> Any:
    """Return a complete JSON document. Raise `BudgetSpent` if there is no memory for it now."""
    with _kept(memory) as kept:
        json = JsonReader(pieces, LARGEST_DOCUMENT, kept)
        found = json.value(*json.next())
        json.end()
        if isinstance(found, dict):
            found = Members(found)
            kept.release_with(found)
    return found


def table(pieces: Iterator[bytes], columns: Collection[str] | None, memory: MemoryBudget) -> list[Cells]:
    """Return the rows of XNAT's JSON table, with texts and numbers of these columns as text. Raise as `document`."""
    with _kept(memory) as kept:
        json, rows = JsonReader(pieces, LARGEST_TABLE, kept), None
        for name in _object(json):
            kind, _ = json.next()
            if name != "ResultSet" or kind != "start_map":
                json.skip(kind)
                continue
            for inner in json.members():
                kind, _ = json.next()
                if inner == "Result" and kind == "start_array":
                    rows = Rows(_rows(json, columns))
                else:
                    json.skip(kind)
        json.end()
        if rows is None:
            raise Unreadable
        kept.release_with(rows)
    return rows


@contextmanager
def _kept(memory: MemoryBudget) -> Iterator[MemoryUse]:
    """Release memory at the end that no document took over."""
    kept = MemoryUse(memory)
    try:
        yield kept
    finally:
        kept.release()


def xml(
    pieces: Iterator[bytes],
    begin: Callable[[str, dict[str, str]], None],
    end: Callable[[], object],
    text: Callable[[str], object],
) -> None:
    """Parse an XML document in UTF-8. One with a DOCTYPE is refused, so that no entity is expanded."""
    silent = 0

    def met_event(*_: object) -> None:
        nonlocal silent
        silent = 0

    def on_start(name: str, attributes: dict[str, str]) -> None:
        met_event()
        begin(name, attributes)

    def on_end(_: str) -> None:
        met_event()
        end()

    def on_text(part: str) -> None:
        met_event()
        text(part)

    def refuse(*_: object) -> None:
        raise Unreadable

    reader = expat.ParserCreate("utf-8", namespace_separator=" ")  # whatever the document says of itself
    reader.StartElementHandler, reader.EndElementHandler = on_start, on_end
    reader.CharacterDataHandler, reader.CommentHandler = on_text, met_event
    reader.StartDoctypeDeclHandler = refuse
    try:
        for piece in pieces:
            silent += len(piece)
            if silent > LONGEST_TOKEN:
                raise Unreadable
            reader.Parse(piece, False)  # noqa: FBT003 - the second argument has no name in C
        reader.Parse(b"", True)  # noqa: FBT003
    except expat.ExpatError as error:  # cut short, or no XML at all
        raise Unreadable from error


def _object(json: JsonReader) -> Iterator[str]:
    if json.next()[0] != "start_map":
        raise Unreadable
    return json.members()


def _rows(json: JsonReader, columns: Collection[str] | None) -> Iterator[Cells]:
    while (kind := json.next()[0]) != "end_array":
        if kind != "start_map":
            json.skip(kind)
            continue
        row: Cells = {}
        for name in json.members():
            kind, value = json.next()
            if kind in ("string", "number") and (columns is None or name in columns):
                row[name] = str(value)
                json.keep(row[name])
            json.skip(kind)
        json.keep(row)
        yield row
