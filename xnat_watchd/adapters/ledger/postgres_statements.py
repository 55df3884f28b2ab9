"""Statements of SQLite in the words of PostgreSQL: only the places of values and the hints to a planner differ."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

_PARTS = re.compile(
    r"(?P<text>'(?:[^']|'')*')|--[^\n]*|INDEXED BY \w+|(?P<join>CROSS JOIN)(?= \w+ \w+ ON\b)"
    r"|\?(?P<number>\d*)|(?<!:):(?P<name>[a-z_]+)"
)
"""A text is kept as it is; a comment goes, and what tells SQLite's planner the way; a value gets its number."""


@lru_cache(maxsize=1024)  # the program has some three hundred statements
def translated(sql: str) -> tuple[str, tuple[str, ...]]:
    """Return a statement in PostgreSQL's words, and the names of its values in the order of their numbers."""
    names: list[str] = []
    counted = 0

    def part(found: re.Match[str]) -> str:
        nonlocal counted
        if found["text"]:
            return found["text"]
        if found["join"]:
            return "JOIN"
        if found["number"] is None and not found["name"]:
            return ""
        if found["name"]:
            if found["name"] not in names:
                names.append(found["name"])
            return f"${names.index(found['name']) + 1}"
        counted = int(found["number"]) if found["number"] else counted + 1
        return f"${counted}"

    return _PARTS.sub(part, sql), tuple(names)


def in_order(values: Sequence[Any] | Mapping[str, Any], names: tuple[str, ...]) -> Sequence[Any]:
    """Return values in the order of their numbers; `names` are those of named ones."""
    return [values[name] for name in names] if isinstance(values, Mapping) else values
