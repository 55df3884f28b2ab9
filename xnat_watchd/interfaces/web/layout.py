"""How values are shown in the templates: times, texts with commands in them, and words with a shape and a colour."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

from xnat_watchd.core.access import UserAccess
from xnat_watchd.core.printable import plain
from xnat_watchd.core.quantities import as_size
from xnat_watchd.core.states import LINE

SHAPES = {
    "held": "▲", "failed": "▲", "not taken": "▲", "arriving": "◌", "under way": "◐", "busy": "◐", "ready": "◌",
    "silent": "▲", "ended": "▲", "unserved": "▲", "waits": "▲", "attention": "▲", "well": "●",
    "waiting": "◌", "complete": "●", "done": "●", "duplicate": "●", "skipped": "■", "withdrawn": "■", "rejected": "▲",
}  # fmt: skip
"""A shape for each word: colours alone say nothing to one man in twelve."""

KINDS = {"▲": "bad", "●": "good", "◐": "moving", "◌": "moving", "■": "quiet"}
_COMMAND = re.compile(r"`([^`]+)`")


def local(moment: str) -> str:
    """Return a time as the clock of this machine shows it."""
    then = datetime.fromisoformat(moment)
    return (then if then.tzinfo else then.replace(tzinfo=UTC)).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def as_time(moment: str | None) -> Markup:
    """Return a time as an element that programs can read, too."""
    if not moment:
        return Markup()
    return Markup('<time datetime="{}">{}</time>').format(moment, local(moment))


def as_text(text: object) -> Markup:
    """Return a text in which what stands between backticks is a command."""
    return Markup(_COMMAND.sub(r"<code>\1</code>", str(escape(plain(text or "")))))  # noqa: S704 - it is escaped


def as_state(word: str) -> Markup:
    """Return a word with its shape, in its colour."""
    shape = SHAPES.get(word, "■")
    return Markup('<span class="state {}"><span aria-hidden="true">{}</span> {}</span>').format(
        KINDS[shape], shape, plain(word)
    )


def as_steps(progress: str) -> Markup:
    """Return how far a study is, as dots and as a word."""
    reached = [one.value for one in LINE].index(progress) + 1
    dots = "●" * reached + "○" * (len(LINE) - reached)
    return Markup('<span class="steps"><span aria-hidden="true">{}</span> {}</span>').format(dots, progress)


FILTERS: Mapping[str, Callable[..., Any]] = {
    "time": as_time, "text": as_text, "state": as_state, "steps": as_steps, "bytes": as_size,
}  # fmt: skip
WORDS: Mapping[str, object] = {"DECIDE": UserAccess.DECIDE}
