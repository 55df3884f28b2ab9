"""Print text for people: no wider than their terminal, and without characters that the terminal would obey.

Anybody can choose the names of files, labels and a server's answers, so all text goes through `plain` or `as_json`.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from unicodedata import combining, east_asian_width

import click

from xnat_watchd.core.printable import JOINERS, controls, plain
from xnat_watchd.interfaces.cli.options import CommandOptions

_WORD = re.compile(r"(?:`[^`]+`|\S)+")  #: without spaces, unless they stand in backticks
NARROWEST, WIDEST = 40, 120  #: columns of a terminal between which text is fitted to it
ENDLESS = 1 << 30  #: columns where there is no terminal: a line for a file or a program is not broken


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) or c in JOINERS else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def padded(text: str, columns: int) -> str:
    """Return a text with spaces after it, up to this width."""
    return text + " " * (columns - width(text))


def columns() -> int:
    """Return how wide a line may be: as wide as the terminal, or endless where there is none."""
    if not sys.stdout.isatty():
        return ENDLESS
    return max(NARROWEST, min(shutil.get_terminal_size().columns, WIDEST))


def paragraph(text: object, *, first: str = "", rest: str | None = None) -> list[str]:
    """Return a text as lines that fit, the first one after `first` and the others after `rest`.

    A command in backticks stays on one line where it fits on one: what is broken cannot be pasted.
    """
    lead, indent = plain(first), " " * width(plain(first)) if rest is None else rest
    lines, line = [], ""
    for word in _words(plain(as_typed(str(text))), columns() - max(width(lead), width(indent))):
        longer = f"{line} {word}" if line else word
        if line and width(lead) + width(longer) > columns():
            lines.append(lead + line)
            lead, line = indent, word
        else:
            line = longer
    return [*lines, (lead + line).rstrip()]


def _words(text: str, room: int) -> Iterator[str]:
    """Yield the words of a text. A command is one word, if it is no wider than `room`."""
    for word in _WORD.findall(" ".join(text.split())):
        yield from [word] if width(word) <= room else word.split()


def as_typed(text: str) -> str:
    """Return a text whose commands the reader of this command's output can type as they stand."""
    context = click.get_current_context(silent=True)
    return context.obj.as_typed(text) if context is not None and isinstance(context.obj, CommandOptions) else text


def local(moment: str | datetime, form: str = "%Y-%m-%d %H:%M:%S %Z") -> str:
    """Return a time as the local clock shows it, with the zone's name or offset. A time without a zone is UTC."""
    then = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return (then if then.tzinfo else then.replace(tzinfo=UTC)).astimezone().strftime(form)


def say(text: object, *, err: bool = False) -> None:
    """Print one paragraph."""
    click.echo("\n".join(paragraph(text)), err=err)


def as_json(thing: object) -> None:
    """Print JSON: letters as they are, and characters that control a terminal as escapes, which mean the same."""
    text = json.dumps(thing, indent=2, ensure_ascii=False)
    click.echo("\n".join(line if line.isprintable() else "".join(_escaped(line)) for line in text.split("\n")))


def _escaped(line: str) -> Iterator[str]:
    for c in line:
        yield json.dumps(c)[1:-1] if controls(c) else c
