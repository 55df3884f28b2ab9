"""Show progress on stderr: bars on a terminal, else a line for each step. No patient's name or label is shown."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from xnat_watchd.core.errors import NoLedger
from xnat_watchd.core.printable import plain

if TYPE_CHECKING:
    from xnat_watchd.adapters.ledger.ledger import Ledger
    from xnat_watchd.adapters.ledger.location import Location

Uploads = Mapping[str, tuple[int, int]]  #: worker -> bytes sent, bytes in all
ShowUploads = Callable[[Uploads], None]
Event = Mapping[str, Any]

_STEPS = {"advanced", "finished", "parked", "raised"}
_TROUBLE = {"held": "held", "postponed": "waits", "returned": "goes on later", "rejected": "no study came of it"}
_FOUND = {"prearchive": "found in XNAT's prearchive", "archive": "found in XNAT's archive"}


@dataclass(frozen=True, slots=True)
class StudySelection:
    """Some studies, and the number of the event after which their events are shown."""

    keys: Collection[int]
    since: int


@contextmanager
def show_progress(ledger: Location, part: StudySelection | None = None) -> Iterator[ShowUploads]:
    """Provide a function to be called several times a second, which shows the progress of these studies or of all."""
    feed = _EventFeed(ledger, part)
    try:
        if sys.stderr.isatty():
            with _bars(feed) as seen:
                yield seen
        else:
            yield lambda _: _lines(feed)
            _lines(feed)
    finally:
        feed.close()


def event_line(event: Event) -> str:
    """Return the line for an event of the ledger, or an empty text."""
    return plain(_said(event))


def _said(event: Event) -> str:
    item, what, why = event["item"], event["event"], event["why"]
    if what in _STEPS and event["progress"]:
        return f"{item} {event['progress']}"
    if what in _TROUBLE:
        return f"{item} {_TROUBLE[what]}: {why}"
    if what == "duplicate":
        return f"{item} {why}"
    return {"received": f"{item} received", "found": f"{item} {_FOUND.get(event['kind'], 'found')}"}.get(what, "")


class _EventFeed:
    """The new events of the ledger, which is opened as soon as there is one."""

    def __init__(self, where: Location, part: StudySelection | None) -> None:
        self._where, self._keys = where, part.keys if part else None
        self._ledger: Ledger | None = None
        self._told = self.began = part.since if part else 0
        if part is None and self.opened() is not None:
            self._told = self.began = self.ledger.throughput.latest_event()

    @property
    def ledger(self) -> Ledger:
        """The ledger, once it is there."""
        assert self._ledger is not None  # noqa: S101 - `opened` was asked
        return self._ledger

    def opened(self) -> Ledger | None:
        """Return the ledger, or None while there is none."""
        from xnat_watchd.adapters.ledger.ledger import Ledger
        from xnat_watchd.adapters.ledger.opening import open_database

        if self._ledger is None and self._where.exists() and not self._where.is_empty():
            with suppress(NoLedger):  # of a database, that is only known now
                self._ledger = Ledger(open_database(self._where, read_only=True))
        return self._ledger

    def new_events(self) -> Sequence[Event]:
        """Return the events since the last call."""
        if self.opened() is None:
            return []
        events: Sequence[Event] = self.ledger.throughput.events(self._told, self._keys)
        self._told = events[-1]["id"] if events else self._told
        return events

    def numbers(self) -> tuple[int, int, int, int]:
        """Return the studies done and in all, and the bytes sent and in all."""
        if self.opened() is None:
            return 0, 0, 0, 0
        one = self.ledger.throughput.since(self.began, self._keys)
        return one.studies_done, one.studies, one.bytes_sent, one.bytes

    def close(self) -> None:
        if self._ledger is not None:
            self._ledger.close()


def _lines(feed: _EventFeed) -> None:
    for line in filter(None, map(event_line, feed.new_events())):
        click.echo(line, err=True)


@contextmanager
def _bars(feed: _EventFeed) -> Iterator[ShowUploads]:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True, highlight=False)
    name = TextColumn("{task.description:<8}")
    sent = Progress(name, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(), console=console)
    done = Progress(name, BarColumn(), MofNCompleteColumn(), TextColumn("studies"), TimeRemainingColumn(),
                    console=console)  # fmt: skip
    of_bytes, of_studies = sent.add_task("sent", total=None, visible=False), done.add_task("done", total=None)

    # Drawn only when called: a thread of its own would take the Ctrl-C that the main thread waits for.
    with Live(Group(sent, done), console=console, auto_refresh=False) as live:

        def seen(uploads: Uploads) -> None:
            for event in feed.new_events():
                if event["event"] in _TROUBLE:
                    live.console.print(event_line(event), markup=False)
            studies, in_all, size_sent, size = feed.numbers()
            under_way = sum(part for part, _ in [*uploads.values()])
            sent.update(of_bytes, completed=min(size_sent + under_way, size), total=size or None, visible=size > 0)
            done.update(of_studies, completed=studies, total=in_all or None)
            live.refresh()

        yield seen
        seen({})
