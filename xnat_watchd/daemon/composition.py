"""The composition root: it builds every part of the service once, and applies new settings to the parts."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from xnat_watchd.adapters.clock import SystemClock
from xnat_watchd.adapters.credentials import Credential
from xnat_watchd.adapters.dicom.zip_file import is_whole, open_zip, write_clean
from xnat_watchd.adapters.files.folder_marks import FolderMarks
from xnat_watchd.adapters.files.layout import Folders
from xnat_watchd.adapters.files.lock import Claims, Lock
from xnat_watchd.adapters.files.mounts import file_system, is_remote
from xnat_watchd.adapters.files.share_folder import ShareFolder, lock_of_shares
from xnat_watchd.adapters.ledger.database import open_database
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.pauses import Activity
from xnat_watchd.adapters.threads import WakeUp
from xnat_watchd.adapters.xnat.gateway import XnatGateway, XnatServer
from xnat_watchd.core.errors import LedgerUnusable, Refusal, Stopped, WatchdError
from xnat_watchd.core.gate import Gate
from xnat_watchd.core.ports import Log
from xnat_watchd.core.project_rules import ProjectRules
from xnat_watchd.core.retention import RetentionRules
from xnat_watchd.daemon.idle_check import IdleCheck
from xnat_watchd.daemon.thread_context import HeartbeatDisk, KnownProjects, Liveness, ProjectHidingLog
from xnat_watchd.operator.status import Snapshot, attention_row, take_snapshot, unknown_folder
from xnat_watchd.settings import Settings
from xnat_watchd.sharing.rows import Sharer, SharingContext
from xnat_watchd.sharing.service import Sharing, SharingRules
from xnat_watchd.studies.intake import Intake, IntakeRules
from xnat_watchd.studies.late_rows import LateRowCleaner
from xnat_watchd.studies.pipeline import FinishedDeliveries, HeldReporter, Pipeline
from xnat_watchd.studies.retention import Retention
from xnat_watchd.studies.steps.context import Tools
from xnat_watchd.studies.steps.gates import XnatGates
from xnat_watchd.studies.steps.projects import refusal

FOLDERS = ("drop", "shares", "work", "done", "failed")
ONCE_WAITS = timedelta(minutes=1)  #: `run --once` waits for what is due within this time
ONCE_ASKS = 2  #: how often `run --once` asks a server that is down

NO_FOLDER = "Check that its disk is there and mounted; work goes on by itself."
NO_DISK = "Look at the journal of the system (`dmesg`) and at the disk; work goes on by itself."
NO_ROOM = "Free some space on the disk of the work folder, or lower `limits.keep_free`; work goes on by itself."


@dataclass(kw_only=True)
class Daemon:
    """Every part of the service, and what its threads tell each other by single assignments, which need no lock."""

    settings: Settings
    folders: Folders
    marks: FolderMarks
    ledger: Ledger
    server: XnatServer
    clock: SystemClock
    log: Log
    liveness: Liveness
    stop: threading.Event
    projects: KnownProjects
    once: bool = False  #: end when nothing is left to do; then there is no idle time in which to check the server
    gate_lock: threading.RLock = field(default_factory=threading.RLock)  #: one worker at a time decides about a gate
    finished: FinishedDeliveries = field(default_factory=FinishedDeliveries)
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
    machine_errors: dict[str, Exception] = field(default_factory=dict)  #: thread -> the error of its last turn
    last_snapshot: Snapshot | None = None
    login_problems: list[dict[str, object]] = field(default_factory=list)  #: rows that need attention
    reloads: int = 0  #: how often a reload was tried
    refused: dict[str, str] = field(default_factory=lambda: {"refused": "", "advice": ""})  #: why the last one failed

    def note_full(self, *, full: bool) -> None:
        """Note whether too little room is left, and log it once when it is."""
        if full and not self.full:
            self.log.warning("disk.full", folder="work")
        self.full = full

    def take_snapshot(self) -> Snapshot:
        """Return the status as of now. If the ledger cannot be read, return the last one, with the reason added."""
        try:
            self.last_snapshot = self._current()
        except LedgerUnusable as error:
            self.machine_errors["snapshot"] = error
            if self.last_snapshot is None:
                raise
            now = self.clock.now().isoformat(timespec="seconds")
            return {**self.last_snapshot, "at": now, "attention": [*self._problems(), *self.last_snapshot["attention"]]}
        self.machine_errors.pop("snapshot", None)
        return self.last_snapshot

    def ledger_fails(self) -> LedgerUnusable | None:
        """Return why the ledger cannot be used now, or None."""
        return next((error for error in [*self.machine_errors.values()] if isinstance(error, LedgerUnusable)), None)

    def _current(self) -> Snapshot:
        uploads = [{"worker": name, "sent": sent, "size": size} for name, (sent, size) in [*self.uploads.items()]]
        return take_snapshot(
            self.ledger, self.settings.xnat.server, self.clock.now(), running=True,
            daemon={
                "pid": os.getpid(), "settling": self.intake.settling, "uploads": uploads,
                "sharing": not self._sharing_is_idle(),
                "reloads": self.reloads, **self.refused,
            },
            attention=[*self._problems(), *self.login_problems, *self.idle_check.problems()],
        )  # fmt: skip

    def wake(self) -> None:
        """Wake the workers, so that they look for studies to carry."""
        for wake_up in self.wake_ups:
            wake_up.set()

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
        return settled and nothing_due and shared and not self.ledger.studies.any_busy()

    def _sharing_is_idle(self) -> bool:
        return "shares" in self.missing or self.sharing.is_idle(ONCE_WAITS)

    def paused(self) -> bool:
        """Return whether a person has paused the sending."""
        return self.ledger.pauses.lasts(Activity.WORK)

    def _problems(self) -> list[dict[str, object]]:
        gone = [attention_row(name, *self._missing_folder(name)) for name in sorted(self.missing)]
        full = [attention_row("disk", "too little room is left, so nothing is taken", NO_ROOM)] if self.full else []
        ledger = [attention_row("ledger", str(error), error.advice)] if (error := self.ledger_fails()) else []
        fails = any(isinstance(error, OSError) for error in [*self.machine_errors.values()])
        disk = [attention_row("disk", "a disk of this machine fails, so nothing is done", NO_DISK)] if fails else []
        return [*ledger, *disk, *gone, *full]

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


def build(settings: Settings, credential: Credential, log: Log, *, whole: bool = False) -> Daemon:
    """Open the ledger and build every part, without starting any. With `whole`, check all of the ledger first."""
    _refuse_network(settings.ledger.path)
    clock = SystemClock()
    ledger = Ledger(open_database(settings.ledger.path, whole=whole))
    ledger.must_take_writes()
    names = [f"worker-{n + 1}" for n in range(settings.pipeline.workers)]
    liveness = Liveness(["intake", *names, "sharing"], clock)
    projects = KnownProjects(ledger.views.confirmed_projects())
    server = XnatServer.from_settings(settings.xnat, credential, clock, liveness.stop)
    folders = Folders(**{name: getattr(settings.folders, name) for name in FOLDERS})
    daemon = Daemon(
        settings=settings,
        folders=folders, marks=FolderMarks(folders, ledger.marks),
        ledger=ledger,
        server=server, sharer=server.gateway(),
        clock=clock, log=ProjectHidingLog(log, projects), liveness=liveness, stop=liveness.stop, projects=projects,
    )  # fmt: skip
    daemon.tools = {name: _tools(daemon, name) for name in names}
    daemon.retention = Retention(daemon.tools[names[0]], daemon.retention_rules, daemon.log)
    daemon.idle_check = _idle_check(daemon)
    daemon.late_rows = LateRowCleaner(daemon.tools[names[0]], daemon.log)
    daemon.intake = _intake(daemon)
    daemon.sharing = _sharing(daemon)
    held = HeldReporter(ledger, daemon.log)
    daemon.pipelines = {
        name: Pipeline(tools, settings.retry(), daemon.log, daemon.finished, held)
        for name, tools in daemon.tools.items()
    }
    apply_settings(daemon, settings)
    return daemon


def _refuse_network(ledger: Path) -> None:
    """Refuse a ledger on a network disk: SQLite's locks and shared memory do not work there (SQLite's "WAL", 2.2)."""
    if is_remote(kind := file_system(ledger.parent)):
        raise Refusal(
            f"the ledger {ledger} lies on {kind}, where a database is not safe",
            advice="Set `path` in [ledger] to a disk of this machine.",
        )


def apply_settings(daemon: Daemon, settings: Settings) -> None:
    """Apply these settings from the next turn on. No part that has state is built again."""
    daemon.settings = settings
    daemon.projects.configured = frozenset({settings.xnat.project, *settings.projects} - {""})
    daemon.idle_check.due = 0.0  # the projects may be others: check them at once
    daemon.intake.configure(_intake_rules(settings), daemon.clock)
    daemon.sharing.configure(_sharing_rules(settings), settings.retry())
    for pipeline in daemon.pipelines.values():
        pipeline.retry = settings.retry()
    goes_on = {project: settings.rules(project).until for project in daemon.ledger.studies.projects()}
    daemon.ledger.studies.raise_until(goes_on, daemon.clock.now())


def _beat(daemon: Daemon) -> None:
    """Renew this thread's heartbeat; raise `Stopped` if the service is to stop."""
    if daemon.stop.is_set():  # asking renews the heartbeat
        raise Stopped("told to stop in the middle of a ZIP")


def _intake(daemon: Daemon) -> Intake:
    beat = partial(_beat, daemon)

    def _is_whole(path: Path) -> bool:
        beat()
        return is_whole(path)

    return Intake(
        ledger=daemon.ledger, disk=HeartbeatDisk(daemon.liveness), folders=daemon.folders, marks=daemon.marks,
        clock=daemon.clock, log=daemon.log, rules=_intake_rules(daemon.settings), is_whole=_is_whole,
        open_zip=lambda path: open_zip(path, daemon.settings.limits.as_limits(), beat), recorded=daemon.wake,
    )  # fmt: skip


def _intake_rules(settings: Settings) -> IntakeRules:
    intake = settings.intake
    return IntakeRules(
        quiet_for=intake.quiet_for.total_seconds(),
        incomplete_after=intake.incomplete_after.total_seconds(),
        ignore=intake.ignore,
        project=settings.xnat.project,
        projects=frozenset(settings.projects),
    )


def _sharing(daemon: Daemon) -> Sharing:
    settings, ledger, gateway = daemon.settings, daemon.ledger, daemon.sharer
    clock, log, chance = daemon.clock, daemon.log, random.SystemRandom().random
    context = SharingContext(
        gateway=gateway, shares=ledger.shares, clock=clock, log=log, retry=settings.retry(), chance=chance,
        beat=daemon.liveness.beat,
    )  # fmt: skip
    return Sharing(
        folder=ShareFolder(daemon.folders.shares, partial(daemon.marks.must_be_known, "shares")),
        sharer=Sharer(context), shares=ledger.shares,
        gates=_gates(daemon, gateway),
        clock=clock, log=log, rules=_sharing_rules(settings),
        exclusive=lambda: Lock(lock_of_shares(settings.ledger.path)),
    )  # fmt: skip


def _sharing_rules(settings: Settings) -> SharingRules:
    return SharingRules(
        quiet_for=settings.intake.quiet_for.total_seconds(),
        apply_every=settings.shares.apply_every.total_seconds(),
        chance=random.SystemRandom().random,
    )


def _tools(daemon: Daemon, name: str) -> Tools:
    def progressed(sent: int, size: int) -> None:
        daemon.uploads[name] = (sent, size)
        daemon.liveness.beat()

    gateway = daemon.server.gateway()
    return Tools(
        ledger=daemon.ledger, gateway=gateway, gates=_gates(daemon, gateway, partial(refusal, gateway=gateway)),
        clock=daemon.clock, disk=HeartbeatDisk(daemon.liveness), folders=daemon.folders, marks=daemon.marks,
        rules=daemon.rules, chance=random.SystemRandom().random,
        write_clean=partial(write_clean, beat=partial(_beat, daemon)), progressed=progressed,
    )  # fmt: skip


def _idle_check(daemon: Daemon) -> IdleCheck:
    gateway = daemon.sharer  # so no study waits for an answer that does not come
    return IdleCheck(
        gates=_gates(daemon, gateway), reachable=gateway.reachable, ledger=daemon.ledger, clock=daemon.clock
    )  # fmt: skip


def _gates(daemon: Daemon, gateway: XnatGateway, asked: Callable[[str], WatchdError | None] | None = None) -> XnatGates:
    return XnatGates(
        ledger=daemon.ledger, prober=gateway, clock=daemon.clock, log=daemon.log,
        chance=random.SystemRandom().random, lock=daemon.gate_lock, refusal=asked,
    )  # fmt: skip
