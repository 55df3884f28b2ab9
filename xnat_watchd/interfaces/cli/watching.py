"""Show the same again and again: on a terminal in its place, else as a new block whenever it has changed."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass

import click

PAGE = 5.0  #: seconds after which other rows are shown, if not all fit


@dataclass(frozen=True, slots=True)
class Look:
    """What one look has shown. The same `state` means that nothing but times has changed."""

    text: str
    state: str
    code: int


TakeLook = Callable[[int | None, int, str], Look]
"""Takes the height of the terminal (None: endless), the page, and the state whose text need not be told again."""


def watch(take: TakeLook, every: float) -> int:
    """Take a look every so many seconds and show it, until Ctrl-C. Return the exit code of the last one."""
    in_place = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    last, began = Look("", "", 0), time.monotonic()
    with suppress(KeyboardInterrupt), _one_place() if in_place else nullcontext(_append) as show:
        while True:
            page = int((time.monotonic() - began) / PAGE)
            height, known = (shutil.get_terminal_size().lines, "") if in_place else (None, last.state)
            look = take(height, page, known)
            if in_place or look.state != last.state:
                show(look.text)
            last = look
            time.sleep(every)
    return last.code


@contextmanager
def _one_place() -> Iterator[Callable[[str], None]]:
    """Provide a function that shows a text on the whole terminal, which is as before afterwards."""
    from rich.live import Live
    from rich.text import Text

    with Live(refresh_per_second=4, screen=True) as live:
        yield lambda text: live.update(Text(text))


def _append(text: str) -> None:
    click.echo(f"{text}\n")
