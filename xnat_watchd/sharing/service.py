"""Read the share tables of a folder, apply them on XNAT, and write a report beside each table, row by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from xnat_watchd.adapters.files.share_folder import ShareFolder
from xnat_watchd.adapters.files.stamps import Changed
from xnat_watchd.adapters.ledger.shares import Shares
from xnat_watchd.core.errors import AuthRefused, Refusal, Stopped, Unavailable, Unusable, WatchdError
from xnat_watchd.core.ports import Clock, Log
from xnat_watchd.core.retry import RetryPolicy, is_due
from xnat_watchd.core.settling import FileStat, WatchedFile, next_quiet, quiet, settle
from xnat_watchd.core.sharing.report import is_spreadsheet, refusal, report, report_name
from xnat_watchd.core.sharing.row_state import RowState
from xnat_watchd.core.sharing.state import RowResult
from xnat_watchd.core.sharing.table import ShareRow, Table, read, spreadsheet
from xnat_watchd.sharing.rows import Sharer
from xnat_watchd.studies.steps.gates import XnatGates

POLL_AT_MOST = 10.0  #: seconds between two looks into the folder and the ledger, at most: both are cheap
POLL_AT_LEAST = 1.0  #: and at least, unless a table must stand still for longer
LOAD_FACTOR = 10  #: after a sweep the next waits for so many times as long as it took, at most a minute
REPEAT_AFTER = 60.0  #: seconds until a sweep is repeated that could not see everything


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingRules:
    """Rules for the folder of share tables. Times in seconds."""

    quiet_for: float
    apply_every: float
    chance: Callable[[], float]  #: numbers in [0, 1), so that many machines do not ask at the same moment


@dataclass(frozen=True, slots=True)
class TableRead:
    """A file that was read, and the table in it or the error."""

    seen: FileStat
    table: Table | Unusable


class Sharing:
    """Applies share tables. Call `turn` at any time, but from one thread only."""

    def __init__(
        self,
        *,
        folder: ShareFolder,
        sharer: Sharer,
        shares: Shares,
        gates: XnatGates,
        clock: Clock,
        log: Log,
        rules: SharingRules,
        exclusive: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._folder, self._sharer, self._shares, self._gates = folder, sharer, shares, gates
        self._clock, self._log, self._rules, self._exclusive = clock, log, rules, exclusive
        self._sightings: Mapping[str, WatchedFile] = {}
        self._tables: dict[str, TableRead] = {}
        self._names: frozenset[str] | None = None  #: names of the tables at the last look
        self._reported: dict[str, str] = {}  #: table -> its report as it was written last
        self._next = self._earliest = clock.monotonic()  #: when the next sweep is due, and may be at the earliest
        self._requested = False  #: whether something new needs a sweep
        self._swept = clock.now()  #: when the last sweep began
        self._newest_event = 0  #: the newest event of the ledger that was read

    def configure(self, rules: SharingRules, retry: RetryPolicy) -> None:
        """Use these rules from the next turn on, which applies all tables. What the ledger knows of them stays."""
        self._rules, self._sharer.retry = rules, retry
        self._request(self._clock.monotonic())

    @property
    def poll_interval(self) -> float:
        """Seconds between two turns in which nothing is due."""
        return min(POLL_AT_MOST, max(POLL_AT_LEAST, self._rules.quiet_for))

    def turn(self) -> float:
        """Do what is due. Return the seconds until more may be due.

        Raise `OSError` when the folder is gone, or its disk: nothing is concluded from that (design 7).
        """
        began = self._clock.monotonic()
        self._look(again=self._is_due())
        self._note_archived()
        if self._tables and self._is_due():
            self._next = self._clock.monotonic()
            self._sweep()
        wait = next_quiet(self._sightings, began, self._rules.quiet_for)
        if wait is None:
            return self.poll_interval
        return max(0.0, began + min(wait, self.poll_interval) - self._clock.monotonic())

    def is_idle(self, within: timedelta) -> bool:
        """Return whether every table has been read and applied as far as possible, and nothing is due within this time.

        Any thread may call it: something new requests a sweep before it is recorded as seen.
        """
        if self._names is None or self._sightings.keys() != self._tables.keys():
            return False
        if not self._tables:
            return True
        due = self._shares.next_due(self._swept)
        soon = due is not None and due <= self._clock.now() + within
        due_now = self._requested or self._news()[1] or self._next <= self._clock.monotonic()
        return not (soon or due_now)

    # The folder.

    def _look(self, *, again: bool) -> None:
        """Read the tables that stand still, and forget those that are gone. A new table is applied at once.

        `again`: try to read unreadable tables once more, since somebody may have changed their rights.
        """
        now = self._clock.monotonic()
        self._sightings = settle(self._folder.tables(), self._sightings, now)
        still = {one.seen.path: one.seen for one in quiet(self._sightings, now, self._rules.quiet_for)}
        kept = {
            name: known
            for name, known in self._tables.items()
            if known.seen == still.get(name) and not (again and isinstance(known.table, Unusable))
        }
        fresh = {name: known for name, seen in still.items() if name not in kept and (known := self._read(seen))}
        if fresh:
            self._request(now)
        self._tables = dict(sorted((kept | fresh).items()))
        if self._names != self._sightings.keys():
            self._names = frozenset(self._sightings)
            self._reported = {name: text for name, text in self._reported.items() if name in self._names}
            self._shares.forget(self._names)

    def _read(self, seen: FileStat) -> TableRead | None:
        """Return a table that was read; None while somebody writes to it. Write a report if it cannot be read."""
        try:
            if is_spreadsheet(seen.path):
                raise spreadsheet()
            return TableRead(seen, read(self._folder.read(seen)))
        except (Changed, FileNotFoundError):
            return None
        except OSError:
            error = Unusable("the table may not be read by the service", advice="Give its group the right to read it.")
        except Unusable as caught:
            error = caught
        self._refuse(seen, error)
        return TableRead(seen, error)

    def _refuse(self, seen: FileStat, error: Unusable) -> None:
        before = self._tables.get(seen.path)
        if before is None or before.seen != seen or str(before.table) != str(error):
            self._shares.refuse(seen.path, error, self._clock.now())
            self._log.warning("shares.unreadable", reason=str(error))
        self._write(seen.path, refusal(error))

    # When.

    def _is_due(self) -> bool:
        due = self._shares.next_due(self._swept)
        return self._next <= self._clock.monotonic() or (due is not None and is_due(due, self._clock.now()))

    def _request(self, when: float) -> None:
        """Request a sweep at this time at the latest."""
        self._next, self._requested = min(self._next, when), True

    def _note_archived(self) -> None:
        """Request a sweep soon if a study was archived in a project that a table names as source."""
        newest, has_come = self._news()
        if has_come:
            self._request(self._earliest)
        self._newest_event = newest

    def _news(self) -> tuple[int, bool]:
        return self._shares.archived(self._newest_event, {row.source for row in self._rows()})

    # A sweep.

    def _sweep(self) -> None:
        try:
            with self._exclusive():
                if self._gates.is_open():
                    self._apply()
        except Refusal:  # somebody is applying a table by hand
            return

    def _apply(self) -> None:
        tables = {name: known.table for name, known in self._tables.items() if isinstance(known.table, Table)}
        unread = self._sightings.keys() - tables.keys()
        self._swept, began = self._clock.now(), self._clock.monotonic()
        try:
            results = self._sharer.apply(
                self._rows(), self._shares.rows_of(unread), so_far=partial(self._report, tables)
            )
        except Stopped:
            return
        except (Unavailable, AuthRefused) as error:
            self._gates.shut(error)
            self._wait(tables, error)
        except WatchdError as error:  # XNAT's list of projects is not usable now
            self._log.warning("shares.postponed", reason=str(error))
            self._wait(tables, error)
            self._schedule(began, REPEAT_AFTER)
        else:
            self._gates.passed()
            self._report(tables, results)
            self._schedule(began, self._interval())

    def _schedule(self, began: float, interval: float) -> None:
        now = self._clock.monotonic()
        self._earliest = now + min(REPEAT_AFTER, LOAD_FACTOR * (now - began))
        self._next, self._requested = now + interval, False

    def _interval(self) -> float:
        if not self._sharer.saw_all:
            return REPEAT_AFTER
        if (trial := self._sharer.trial) is not None:
            return max(POLL_AT_LEAST, (trial - self._clock.now()).total_seconds())
        return self._rules.apply_every * (0.75 + self._rules.chance() / 4)

    def _rows(self) -> list[ShareRow]:
        return [row for one in self._tables.values() if isinstance(one.table, Table) for row in one.table.rows]

    # Reports.

    def _report(self, tables: Mapping[str, Table], results: Sequence[RowResult]) -> None:
        begin, now = 0, self._clock.now()
        for name, table in tables.items():
            mine = results[begin : begin + len(table.rows)]
            begin += len(table.rows)
            self._write(name, report(table, self._shares.keep(name, mine, now)))

    def _wait(self, tables: Mapping[str, Table], error: WatchdError) -> None:
        """Write a first report that says why nothing has been done. A report that says more is left as it is."""
        for name, table in tables.items():
            if name not in self._reported and not self._shares.rows_of([name]):
                waiting = [RowResult(row=row, state=RowState.WAITING, reason=str(error)) for row in table.rows]
                self._write(name, report(table, waiting))

    def _write(self, name: str, text: str) -> None:
        """Write a report if its text is new or its file is missing."""
        if self._reported.get(name) == text and self._folder.has(report_name(name)):
            return
        try:
            self._folder.write(report_name(name), text, name)
        except OSError as error:  # no right to write, or no room: the tables are applied all the same
            self._log.warning("shares.unreported", error=type(error).__name__)
        else:
            self._reported[name] = text
