"""Values and rows of PostgreSQL as SQLite has them: a truth is 1 or 0, and a row's values have a name and a number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

import psycopg
from psycopg.types.numeric import IntDumper, IntLoader
from psycopg.types.string import StrDumperUnknown, TextLoader

NUL = "\N{SYMBOL FOR NULL}"


def adapt(db: psycopg.Connection[Any]) -> None:
    """Have a connection write and read values as SQLite does."""
    db.adapters.register_loader("bool", _TruthLoader)
    db.adapters.register_loader("numeric", IntLoader)
    db.adapters.register_loader("json", TextLoader)
    db.adapters.register_dumper(bool, _TruthDumper)
    db.adapters.register_dumper(str, _TextDumper)
    db.adapters.register_dumper(StrEnum, _TextDumper)


class _TruthLoader(TextLoader):
    def load(self, data: Any) -> Any:
        return int(bytes(data) == b"t")


class _TextDumper(StrDumperUnknown):
    """Writes texts; a NUL, which PostgreSQL takes in no text and in none of JSON, becomes its symbol."""

    def dump(self, obj: str) -> Any:
        if "\0" in obj or "\\u0000" in obj:
            obj = obj.replace("\0", NUL).replace("\\u0000", NUL)
        return super().dump(obj)


class _TruthDumper(IntDumper):
    def dump(self, obj: Any) -> bytes:
        return b"1" if obj else b"0"


class _NamedRow:
    __slots__ = ("_names", "_values")

    def __init__(self, names: Mapping[str, int], values: Sequence[Any]) -> None:
        self._names, self._values = names, values

    def __getitem__(self, column: str | int, /) -> Any:
        return self._values[self._names[column] if isinstance(column, str) else column]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def keys(self) -> list[str]:
        return [*self._names]


def row_maker(cursor: psycopg.Cursor[Any]) -> Any:
    """Return what makes rows of the values that a cursor finds."""
    names: dict[str, int] = {}
    for number, column in enumerate(cursor.description or ()):
        names.setdefault(column.name, number)
    return lambda values: _NamedRow(names, values)
