"""The parts of a running service, and what its threads tell each other; the snapshot of both."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from xnat_watchd.adapters.clock import SystemClock
from xnat_watchd.adapters.files.folder_marks import FolderMarks
from xnat_watchd.adapters.files.layout import Folders
from xnat_watchd.adapters.files.lock import Claims
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.pauses import Activity
from xnat_watchd.adapters.threads import WakeUp
from xnat_watchd.adapters.xnat.gateway import XnatGateway, XnatServer
from xnat_watchd.core.errors import LedgerUnusable, NoRoom
from xnat_watchd.core.gate import Gate
from xnat_watchd.core.lease import StationLease
from xnat_watchd.core.ports import Log
from xnat_watchd.core.project_rules import ProjectRules
from xnat_watchd.core.quantities import as_size
from xnat_watchd.core.rate import Rate
from xnat_watchd.core.retention import RetentionRules
from xnat_watchd.daemon.idle_check import IdleCheck
from xnat_watchd.daemon.ledger_status import LedgerStatus
from xnat_watchd.daemon.thread_context import KnownProjects, Liveness
from xnat_watchd.operator.fleet import report_of
from xnat_watchd.operator.status import Snapshot, attention_row, take_snapshot, unknown_folder, with_daemon
from xnat_watchd.settings import Settings
from xnat_watchd.sharing.service import Sharing
from xnat_watchd.studies.early_sending import EarlySendings
from xnat_watchd.studies.intake import Intake
from xnat_watchd.studies.late_rows import LateRowCleaner
from xnat_watchd.studies.pipeline import FinishedDeliveries, Pipeline
from xnat_watchd.studies.retention import Retention
from xnat_watchd.studies.steps.context import Tools

FOLDERS = ("drop", "shares", "work", "done", "failed")
ONCE_WAITS = timedelta(minutes=1)  #: `run --once` waits for what is due within this time
SAME_FOR = 5.0  #: seconds for which a snapshot stays the same while nothing changes; a fresh one shows that we live
ONCE_ASKS = 2  #: how often `run --once` asks a server that is down

NO_FOLDER = "Check that its disk is there and mounted. Work then goes on by itself."
NO_DISK = "Look at the journal of the system (`dmesg`) and at the disk. Work then goes on by itself."
NO_ROOM = "Free some space on the disk of the work folder, or lower `limits.keep_free`. Work then goes on by itself."


class Publisher(Protocol):
    """Tells people or programs how things are, in a thread of its own."""

    def turn(self) -> float:
        """Do what is due, and return the seconds until the next turn."""

    def problems(self) -> list[dict[str, object]]:
        """Return rows that need attention, since something could not be told. Any thread may ask."""


@dataclass(kw_only=True)
class Daemon:
    """Every part of the service, and what its threads tell each other by single assignments, which need no lock."""

    settings: Settings
    folders: Folders
    marks: FolderMarks
    ledger: Ledger
    server: XnatServer
    lease: StationLease  #: renewed by the main thread
    clock: SystemClock
    log: Log
    liveness: Liveness
    stop: threading.Event
    projects: KnownProjects
    once: bool = False  #: end when nothing is left to do; then there is no idle time in which to check the server
    gate_lock: threading.RLock = field(default_factory=threading.RLock)  #: one worker at a time decides about a gate
    finished: FinishedDeliveries = field(default_factory=FinishedDeliveries)
    early: EarlySendings = field(default_factory=EarlySendings)  #: the ZIP that may be sent while it is checked
    sharer: XnatGateway  #: the gateway of the thread that applies share tables
    intake: Intake = field(init=False)
    sharing: Sharing = field(init=False)
    retention: Retention = field(init=False)
    idle_check: IdleCheck = field(init=False)  #: used only by the thread that applies share tables
    late_rows: LateRowCleaner = field(init=False)
    claims: Claims = field(default_factory=Claims)  #: the folders that only this process uses
    tools: dict[str, Tools] = field(default_factory=dict)  #: worker -> what its steps work with
    pipelines: dict[str, Pipeline] = field(default_factory=dict)  #: worker -> its pipeline
    uploads: dict[str, tuple[int, int]] = field(default_factory=dict)  #: worker -> bytes sent, bytes in all
    wake_ups: list[WakeUp] = field(default_factory=list)
    next_sweep: float | None = 0.0  #: seconds until the next sweep may take more; 0 before the first sweep
    recovered: bool = False  #: the work folder was reached, and what an earlier run left there was put in order
    missing: set[str] = field(default_factory=set)  #: folders that cannot be reached
    unfamiliar: set[str] = field(default_factory=set)  #: those of `missing` where another folder is in the place
    polling: bool = False  #: the kernel reports no file events, and this was logged
    full: bool = False  #: too little room is left to take anything
    free: int | None = None  #: bytes on the disk of the work folder
    room: str = ""  #: how much is left, how much is needed, and how many ZIPs wait, while it is too little
    machine_errors: dict[str, Exception] = field(default_factory=dict)  #: thread -> the error of its last turn
    rate: Rate = field(default_factory=Rate)  #: bytes of ZIPs that are sent and finished
    ledger_status: LedgerStatus = field(init=False)  #: used only by the main thread
    idle_since: dict[str, tuple[int, int]] = field(default_factory=dict)  #: worker -> the ledger that had nothing to do
    last_snapshot: Snapshot | None = None
    last_parts: tuple[object, ...] = ()  #: what `last_snapshot` was made of, by the main thread alone
    fresh_until: float = 0.0  #: until when a snapshot of the same parts stays the same (monotonic seconds)
    login_problems: list[dict[str, object]] = field(default_factory=list)  #: rows that need attention
    publishers: Mapping[str, Publisher] = field(default_factory=dict)  #: thread -> what it does: alerts, metrics
    published: Snapshot | None = None  #: the last snapshot without names
    reloads: int = 0  #: how often a reload was tried
    refused: dict[str, str] = field(default_factory=lambda: {"refused": "", "advice": ""})  #: why the last one failed

    def __post_init__(self) -> None:
        self.ledger_status = LedgerStatus(self._read_ledger, self.ledger.version, self.clock)

    def note_room(self, free: int) -> None:
        """Note how many bytes are free on the disk of the work folder."""
        keep, self.free, self.room = self.settings.limits.keep_free, free, ""
        if free < keep:
            count = self.intake.count_files()
            self.room = f": {as_size(free)} are free, and {as_size(keep)} must stay free"
            self.room += f"; {count} {'file waits' if count == 1 else 'files wait'} in the drop folder"
        self.note_full(full=free < keep)

    def note_full(self, *, full: bool) -> None:
        """Note whether too little room is left, and log it once when it is."""
        if full and not self.full:
            self.log.warning("disk.full", folder="work")
        self.full = full

    def take_snapshot(self) -> Snapshot:
        """Return the status as of now. If the ledger cannot be read, return that of before, with the reason added.

        While nothing changes and nothing is left to send, it is the same object as before, for `SAME_FOR` at most.
        """
        try:
            self.last_snapshot = self._current()
        except LedgerUnusable as error:
            self.machine_errors["snapshot"] = error
            if self.last_snapshot is None:
                raise
            now = self.clock.now().isoformat(timespec="seconds")
            attention = [*self._problems(), *self.last_snapshot["attention"]]
            return {**self.last_snapshot, "said": now, "attention": attention}
        self.machine_errors.pop("snapshot", None)
        return self.last_snapshot

    def ledger_fails(self) -> LedgerUnusable | None:
        """Return why the ledger cannot be used now, or None."""
        return next((error for error in [*self.machine_errors.values()] if isinstance(error, LedgerUnusable)), None)

    def _current(self) -> Snapshot:
        uploads = [{"worker": name, "sent": sent, "size": size} for name, (sent, size) in [*self.uploads.items()]]
        sent = sum(one for one, _ in [*self.uploads.values()])
        heard = self.server.heard
        ledger = self.ledger_status.snapshot()
        daemon = {
            "pid": os.getpid(), "settling": self.intake.settling, "uploads": uploads,
            "sharing": not self._sharing_is_idle(), "heard": heard and heard.isoformat(timespec="seconds"),
            "reloads": self.reloads, **self.refused,
        }  # fmt: skip
        untold = [row for one in self.publishers.values() for row in one.problems()]
        attention = [*self._problems(), *self.login_problems, *untold, *self.idle_check.problems()]
        parts, now = (ledger, daemon, attention), self.clock.monotonic()
        if self.last_snapshot is not None and parts == self.last_parts and now < self.fresh_until:
            return self.last_snapshot
        self.last_parts = parts
        self.fresh_until = 0.0 if ledger["left"]["bytes"] else now + SAME_FOR
        snapshot = with_daemon(ledger, self.clock.now(), daemon=daemon, attention=attention)
        self.rate.add(self.clock.monotonic(), snapshot["today"]["bytes"] + sent)
        rate = round(self.rate.per_second()) if snapshot["left"]["bytes"] else 0
        return {**snapshot, "daemon": {**snapshot["daemon"], "rate": rate}}

    def _read_ledger(self) -> Snapshot:
        return take_snapshot(self.ledger, self.settings.xnat.server, self.clock.now(), running=True, daemon={})

    def wake(self) -> None:
        """Wake the workers, so that they look for studies to carry."""
        for wake_up in self.wake_ups:
            wake_up.set()

    def report(self) -> str:
        """Return what only this station knows of itself, for the others of its ledger."""
        return report_of(self.published, self.free).as_text() if self.published else ""

    def held(self) -> frozenset[int]:
        """Return the keys of the studies that the workers have taken."""
        return frozenset[int]().union(*(pipeline.holds() for pipeline in self.pipelines.values()))

    def may_begin(self) -> bool:
        """Return whether a worker may take another study."""
        return not self.stop.is_set() and self.lease.may_begin()

    def rules(self, project: str) -> ProjectRules:
        """Return the rules for a project by the current settings."""
        return self.settings.rules(project)

    def retention_rules(self) -> RetentionRules:
        """Return how long ZIPs are kept by the current settings."""
        return self.settings.retention.as_keep()

    def is_idle(self) -> bool:
        """Return whether there is nothing to do now, and will be nothing within a minute."""
        now = self.clock.now()
        shut = {scope for scope, gate in self.ledger.gates.all().items() if is_shut_for_long(gate, now)}
        due = self.ledger.studies.next_due(now, shut)
        shut_for_long = "" in shut
        nothing_due = self.paused() or due is None or due > now + ONCE_WAITS or shut_for_long or "work" in self.missing
        settled = self.next_sweep is None and not self.intake.settling
        shared = self.paused() or shut_for_long or self._sharing_is_idle()
        return settled and nothing_due and shared and not self.ledger.studies.any_busy_here()

    def _sharing_is_idle(self) -> bool:
        return "shares" in self.missing or self.sharing.is_idle(ONCE_WAITS)

    def paused(self) -> bool:
        """Return whether a person has paused the sending."""
        return self.ledger.pauses.lasts(Activity.WORK)

    def is_well(self) -> bool:
        """Return whether every thread keeps its promise, and nothing of this machine hinders the work."""
        late = self.liveness.heartbeats.broken(self.clock.monotonic())
        return not (late or self.machine_errors or self.missing or self.full)

    def _problems(self) -> list[dict[str, object]]:
        gone = [attention_row(name, *self._missing_folder(name)) for name in sorted(self.missing)]
        full = [attention_row("disk", *self._no_room())] if self.full else []
        ledger = [attention_row("ledger", str(error), error.advice)] if (error := self.ledger_fails()) else []
        fails = any(isinstance(error, OSError) for error in [*self.machine_errors.values()])
        disk = [attention_row("disk", "a disk of this machine fails, so nothing is done", NO_DISK)] if fails else []
        return [*ledger, *disk, *gone, *full]

    def _no_room(self) -> tuple[str, str]:
        """Return which disk is full, and what to do: it need not be that of the work folder."""
        told = (error for error in [*self.machine_errors.values()] if isinstance(error, NoRoom))
        if (error := next(told, None)) is not None and not self.room:
            return f"{error}, so nothing is taken", error.advice
        return f"too little room is left, so nothing is taken{self.room}", NO_ROOM

    def _missing_folder(self, name: str) -> tuple[str, str]:
        if name in self.unfamiliar:
            return unknown_folder(name, getattr(self.folders, name))
        return f"the {name} folder cannot be reached", NO_FOLDER


def is_shut_for_long(gate: Gate, now: datetime) -> bool:
    """Return whether `run --once` does not wait for this gate: it was tried often enough, or is not due soon.

    A gate that is due now is tried first: a person may have asked for that.
    """
    if gate.until is None or gate.probe_due(now):
        return False
    return gate.until > now + ONCE_WAITS or gate.strikes >= ONCE_ASKS
