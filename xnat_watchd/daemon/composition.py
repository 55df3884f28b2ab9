"""The composition root: builds every part once, and anew those that new settings change."""

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
from xnat_watchd.adapters.ledger import Activity, Ledger, open_database
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
ONCE_ASKS = 2  #: times that `run --once` asks a server that is down

NO_FOLDER = "Check that its disk is there and mounted; work goes on by itself."
NO_DISK = "Look at the journal of the system (`dmesg`) and at the disk; work goes on by itself."
NO_ROOM = "Free some space on the disk of the work folder, or lower `limits.keep_free`; work goes on by itself."


@dataclass(kw_only=True)
class Daemon:
    """Everything that was built, and what its threads tell each other: by single assignments, which need no lock."""

    settings: Settings
    folders: Folders
    marks: FolderMarks
    ledger: Ledger
    server: XnatServer
    clock: SystemClock
    log: Log
    heart: Liveness
    stop: threading.Event
    projects: KnownProjects
    once: bool = False  #: to end when nothing is left to do: nobody is there to be told what an idle server says
    door_lock: threading.RLock = field(default_factory=threading.RLock)  #: see `steps.door`
    rest: FinishedDeliveries = field(default_factory=FinishedDeliveries)
    sharer: XnatGateway  #: by which share tables are applied
    intake: Intake = field(init=False)
    sharing: Sharing = field(init=False)
    retention: Retention = field(init=False)
    asking: IdleCheck = field(init=False)  #: belongs to the thread that applies share tables
    late: LateRowCleaner = field(init=False)
    claims: Claims = field(default_factory=Claims)  #: the folders that are ours alone
    tools: dict[str, Tools] = field(default_factory=dict)  #: worker -> its hands
    pipelines: dict[str, Pipeline] = field(default_factory=dict)  #: worker -> what it does
    uploads: dict[str, tuple[int, int]] = field(default_factory=dict)  #: worker -> bytes sent, bytes in all
    wake_ups: list[WakeUp] = field(default_factory=list)  #: of the workers
    next_sweep: float | None = 0.0  #: seconds until the next sweep may take more; 0: not swept yet
    recovered: bool = False  #: the work folder has been seen, and what was under way there is in order
    missing: set[str] = field(default_factory=set)  #: folders that cannot be reached
    unfamiliar: set[str] = field(default_factory=set)  #: those of them that are there, and not the ones that we know
    polling: bool = False  #: the kernel gives no hints, and that was said
    full: bool = False  #: too little room is left to take anything
    troubles: dict[str, Exception] = field(default_factory=dict)  #: thread -> what of this machine ended its last turn
    last: Snapshot | None = None  #: the last picture that was taken
    worries: list[dict[str, object]] = field(default_factory=list)  #: what else needs attention
    reloads: int = 0  #: how often settings were read anew
    refused: dict[str, str] = field(default_factory=lambda: {"refused": "", "advice": ""})  #: why the last were not

    def fill(self, *, full: bool) -> None:
        """Note whether too little room is left; that there is too little is told once."""
        if full and not self.full:
            self.log.warning("disk.full", folder="work")
        self.full = full

    def picture(self) -> Snapshot:
        """Return the status as of now; where the ledger cannot be read, as it was, with what is in the way."""
        try:
            self.last = self._taken()
        except LedgerUnusable as error:
            self.troubles["picture"] = error
            if self.last is None:
                raise
            now = self.clock.now().isoformat(timespec="seconds")
            return {**self.last, "at": now, "attention": [*self._worries(), *self.last["attention"]]}
        self.troubles.pop("picture", None)
        return self.last

    def ledger_fails(self) -> LedgerUnusable | None:
        """Return why the ledger cannot be used now."""
        return next((error for error in [*self.troubles.values()] if isinstance(error, LedgerUnusable)), None)

    def _taken(self) -> Snapshot:
        uploads = [{"worker": name, "sent": sent, "size": size} for name, (sent, size) in [*self.uploads.items()]]
        return take_snapshot(
            self.ledger, self.settings.xnat.server, self.clock.now(), running=True,
            daemon={
                "pid": os.getpid(), "settling": self.intake.settling, "uploads": uploads,
                "sharing": not self._shared(),
                "reloads": self.reloads, **self.refused,
            },
            attention=[*self._worries(), *self.worries, *self.asking.worries()],
        )  # fmt: skip

    def wake(self) -> None:
        """Have the workers look for what there is to carry."""
        for wake_up in self.wake_ups:
            wake_up.set()

    def rules(self, project: str) -> ProjectRules:
        """Return what holds for a project by the settings of this moment."""
        return self.settings.rules(project)

    def keep(self) -> RetentionRules:
        """Return how long ZIPs are kept by the settings of this moment."""
        return self.settings.retention.as_keep()

    def resting(self) -> bool:
        """Return whether nothing is to be done now, and nothing will be within a minute."""
        now = self.clock.now()
        shut = {scope for scope, gate in self.ledger.gates.all().items() if is_shut_for_long(gate, now)}
        due = self.ledger.studies.next_due(now, shut)
        shut_for_long = "" in shut
        nothing_due = self.paused() or due is None or due > now + ONCE_WAITS or shut_for_long or "work" in self.missing
        settled = self.next_sweep is None and not self.intake.settling
        shared = self.paused() or shut_for_long or self._shared()
        return settled and nothing_due and shared and not self.ledger.studies.busy()

    def _shared(self) -> bool:
        return "shares" in self.missing or self.sharing.is_idle(ONCE_WAITS)

    def paused(self) -> bool:
        """Return whether a person wants nothing to be sent."""
        return self.ledger.pauses.lasts(Activity.WORK)

    def _worries(self) -> list[dict[str, object]]:
        gone = [attention_row(name, *self._gone(name)) for name in sorted(self.missing)]
        full = [attention_row("disk", "too little room is left, so nothing is taken", NO_ROOM)] if self.full else []
        ledger = [attention_row("ledger", str(error), error.advice)] if (error := self.ledger_fails()) else []
        fails = any(isinstance(error, OSError) for error in [*self.troubles.values()])
        disk = [attention_row("disk", "a disk of this machine fails, so nothing is done", NO_DISK)] if fails else []
        return [*ledger, *disk, *gone, *full]

    def _gone(self, name: str) -> tuple[str, str]:
        if name in self.unfamiliar:
            return unknown_folder(name, getattr(self.folders, name))
        return f"the {name} folder cannot be reached", NO_FOLDER


def is_shut_for_long(gate: Gate, now: datetime) -> bool:
    """Return whether `run --once` does not wait for this gate: it was asked often enough, or is not due soon.

    What is due at this moment, as a person may want it, is asked first.
    """
    if gate.until is None or gate.probe_due(now):
        return False
    return gate.until > now + ONCE_WAITS or gate.strikes >= ONCE_ASKS


def build(settings: Settings, credential: Credential, log: Log, *, whole: bool = False) -> Daemon:
    """Open the ledger and build every part; nothing runs yet. `whole`: all of the ledger is read and checked."""
    _refuse_network(settings.ledger.path)
    clock = SystemClock()
    ledger = Ledger(open_database(settings.ledger.path, whole=whole))
    ledger.must_take_writes()
    names = [f"worker-{n + 1}" for n in range(settings.pipeline.workers)]
    heart = Liveness(["intake", *names, "sharing"], clock)
    projects = KnownProjects(ledger.views.confirmed_projects())
    server = XnatServer.of(settings.xnat, credential, clock, heart.stop)
    folders = Folders(**{name: getattr(settings.folders, name) for name in FOLDERS})
    daemon = Daemon(
        settings=settings,
        folders=folders, marks=FolderMarks(folders, ledger.marks),
        ledger=ledger,
        server=server, sharer=server.gateway(),
        clock=clock, log=ProjectHidingLog(log, projects), heart=heart, stop=heart.stop, projects=projects,
    )  # fmt: skip
    daemon.tools = {name: _tools(daemon, name) for name in names}
    daemon.retention = Retention(daemon.tools[names[0]], daemon.keep, daemon.log)
    daemon.asking = _asking(daemon)
    daemon.late = LateRowCleaner(daemon.tools[names[0]], daemon.log)
    daemon.intake = _intake(daemon)
    daemon.sharing = _sharing(daemon)
    held = HeldReporter(ledger, daemon.log)
    daemon.pipelines = {
        name: Pipeline(tools, settings.retry(), daemon.log, daemon.rest, held) for name, tools in daemon.tools.items()
    }
    settle(daemon, settings)
    return daemon


def _refuse_network(ledger: Path) -> None:
    """Refuse a ledger on a network: its locks and its shared memory are not kept there (SQLite's "WAL", 2.2)."""
    if is_remote(kind := file_system(ledger.parent)):
        raise Refusal(
            f"the ledger {ledger} lies on {kind}, where a database is not safe",
            advice="Set `path` in [ledger] to a disk of this machine.",
        )


def settle(daemon: Daemon, settings: Settings) -> None:
    """Let these settings hold from the next turn on. Nothing that holds a state is built anew."""
    daemon.settings = settings
    daemon.projects.configured = frozenset({settings.xnat.project, *settings.projects} - {""})
    daemon.asking.due = 0.0  # other projects are asked about at once
    daemon.intake.configure(_habits(settings), daemon.clock)
    daemon.sharing.configure(_share_habits(settings), settings.retry())
    for pipeline in daemon.pipelines.values():
        pipeline.retry = settings.retry()
    goes_on = {project: settings.rules(project).until for project in daemon.ledger.studies.projects()}
    daemon.ledger.studies.raise_until(goes_on, daemon.clock.now())


def _beat(daemon: Daemon) -> None:
    """Show that we live; `Stopped` when we are not to."""
    if daemon.stop.is_set():  # each look is a sign of life
        raise Stopped("told to stop in the middle of a ZIP")


def _intake(daemon: Daemon) -> Intake:
    go_on = partial(_beat, daemon)

    def _is_whole(path: Path) -> bool:
        go_on()
        return is_whole(path)

    return Intake(
        ledger=daemon.ledger, disk=HeartbeatDisk(daemon.heart), folders=daemon.folders, marks=daemon.marks,
        clock=daemon.clock, log=daemon.log, rules=_habits(daemon.settings), is_whole=_is_whole,
        open_zip=lambda path: open_zip(path, daemon.settings.limits.as_limits(), go_on), recorded=daemon.wake,
    )  # fmt: skip


def _habits(settings: Settings) -> IntakeRules:
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
    hands = SharingContext(
        gateway=gateway, shares=ledger.shares, clock=clock, log=log, retry=settings.retry(), chance=chance,
        beat=daemon.heart.beat,
    )  # fmt: skip
    return Sharing(
        folder=ShareFolder(daemon.folders.shares, partial(daemon.marks.must_be_known, "shares")),
        sharer=Sharer(hands), shares=ledger.shares,
        gates=_door(daemon, gateway),
        clock=clock, log=log, rules=_share_habits(settings),
        exclusive=lambda: Lock(lock_of_shares(settings.ledger.path)),
    )  # fmt: skip


def _share_habits(settings: Settings) -> SharingRules:
    return SharingRules(
        quiet_for=settings.intake.quiet_for.total_seconds(),
        apply_every=settings.shares.apply_every.total_seconds(),
        chance=random.SystemRandom().random,
    )


def _tools(daemon: Daemon, name: str) -> Tools:
    def progressed(sent: int, size: int) -> None:
        daemon.uploads[name] = (sent, size)
        daemon.heart.beat()

    gateway = daemon.server.gateway()
    return Tools(
        ledger=daemon.ledger, gateway=gateway, gates=_door(daemon, gateway, partial(refusal, gateway=gateway)),
        clock=daemon.clock, disk=HeartbeatDisk(daemon.heart), folders=daemon.folders, marks=daemon.marks,
        rules=daemon.rules, chance=random.SystemRandom().random,
        write_clean=partial(write_clean, beat=partial(_beat, daemon)), progressed=progressed,
    )  # fmt: skip


def _asking(daemon: Daemon) -> IdleCheck:
    gateway = daemon.sharer  # no study is kept waiting by an answer that does not come
    return IdleCheck(
        door=_door(daemon, gateway), reachable=gateway.reachable, ledger=daemon.ledger, clock=daemon.clock
    )  # fmt: skip


def _door(daemon: Daemon, gateway: XnatGateway, asked: Callable[[str], WatchdError | None] | None = None) -> XnatGates:
    return XnatGates(
        ledger=daemon.ledger, prober=gateway, clock=daemon.clock, log=daemon.log,
        chance=random.SystemRandom().random, lock=daemon.door_lock, refusal=asked,
    )  # fmt: skip
