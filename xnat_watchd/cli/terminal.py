"""What is printed for people: no wider than their terminal, and nothing in it that a terminal would obey.

Names of files, labels and the server's words are anybody's, so all of it goes through `plain` or `as_json`.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from unicodedata import category, combining, east_asian_width

import click

NARROWEST, WIDEST = 40, 120  #: columns of a terminal between which text is fitted to it
ENDLESS = 1 << 30  #: columns where nobody looks: a line that goes into a file or a program is not broken

_ORDERS = {"Cc", "Cf", "Cs", "Zl", "Zp"}  #: categories of what is no letter but does something
_JOINERS = "\u200c\u200d"  #: these do nothing but shape letters, in Persian, say


def plain(text: object) -> str:
    """Return a text on one line, without what would order a terminal about."""
    words = str(text)
    return words if words.isprintable() else "".join(" " if _is_order(c) else c for c in words)


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) or c in _JOINERS else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def padded(text: str, columns: int) -> str:
    """Return a text with blanks behind it, as wide as this."""
    return text + " " * (columns - width(text))


def columns() -> int:
    """Return how wide a line may be: as the terminal, and endless where there is none."""
    if not sys.stdout.isatty():
        return ENDLESS
    return max(NARROWEST, min(shutil.get_terminal_size().columns, WIDEST))


def paragraph(text: object, *, first: str = "", rest: str | None = None) -> list[str]:
    """Return a text as lines that fit, the first one after `first` and the others after `rest`."""
    lead, indent = plain(first), " " * width(plain(first)) if rest is None else rest
    lines, line = [], ""
    for word in plain(text).split():
        longer = f"{line} {word}" if line else word
        if line and width(lead) + width(longer) > columns():
            lines.append(lead + line)
            lead, line = indent, word
        else:
            line = longer
    return [*lines, (lead + line).rstrip()]


def local(moment: str | datetime, form: str = "%Y-%m-%d %H:%M:%S %Z") -> str:
    """Return a time as the local clock shows it, with the zone's name or offset. A time without a zone is UTC."""
    then = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return (then if then.tzinfo else then.replace(tzinfo=UTC)).astimezone().strftime(form)


def say(text: object, *, err: bool = False) -> None:
    """Print one paragraph."""
    click.echo("\n".join(paragraph(text)), err=err)


def as_json(thing: object) -> None:
    """Print JSON: every letter as it is, and what a terminal would obey as escapes, which mean the same."""
    text = json.dumps(thing, indent=2, ensure_ascii=False)
    click.echo("\n".join(line if line.isprintable() else "".join(_escaped(line)) for line in text.split("\n")))


def _escaped(line: str) -> Iterator[str]:
    for c in line:
        yield json.dumps(c)[1:-1] if _is_order(c) else c


def _is_order(c: str) -> bool:
    return category(c) in _ORDERS and c not in _JOINERS
