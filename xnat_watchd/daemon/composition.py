"""The composition root: it builds every part of the service once, and applies new settings to the parts."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from xnat_watchd.adapters.clock import SystemClock
from xnat_watchd.adapters.credentials import Credential
from xnat_watchd.adapters.dicom.zip_file import is_whole, open_zip, write_clean
from xnat_watchd.adapters.dicom.zip_glance import members_of_tidy_zip
from xnat_watchd.adapters.files.folder_marks import FolderMarks
from xnat_watchd.adapters.files.layout import Folders
from xnat_watchd.adapters.files.lock import Claims
from xnat_watchd.adapters.files.mounts import file_system, is_remote
from xnat_watchd.adapters.files.root_id import known_root, worked_root
from xnat_watchd.adapters.files.share_folder import ShareFolder
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.adapters.xnat.gateway import XnatGateway, XnatServer
from xnat_watchd.core.errors import Refusal, Stopped, WatchdError
from xnat_watchd.core.lease import StationLease
from xnat_watchd.core.ports import Log
from xnat_watchd.daemon.idle_check import IdleCheck
from xnat_watchd.daemon.state import FOLDERS, Daemon
from xnat_watchd.daemon.thread_context import HeartbeatDisk, KnownProjects, Liveness, ProjectHidingLog
from xnat_watchd.settings import Settings
from xnat_watchd.sharing.applying_alone import applying_alone
from xnat_watchd.sharing.rows import Sharer, SharingContext
from xnat_watchd.sharing.service import Sharing, SharingRules
from xnat_watchd.studies.drop_folder import IntakeRules
from xnat_watchd.studies.early_sending import EarlySendings
from xnat_watchd.studies.held_reporter import HeldReporter
from xnat_watchd.studies.intake import Intake
from xnat_watchd.studies.late_rows import LateRowCleaner
from xnat_watchd.studies.pipeline import Pipeline
from xnat_watchd.studies.retention import Retention
from xnat_watchd.studies.steps.context import Tools
from xnat_watchd.studies.steps.gates import XnatGates
from xnat_watchd.studies.steps.projects import refusal
from xnat_watchd.studies.steps.recent import RecentAnswers


def build(settings: Settings, credential: Credential, log: Log, *, whole: bool = False) -> Daemon:
    """Open the ledger and build every part, without starting any. With `whole`, check all of the ledger first."""
    _refuse_network(settings.ledger.path)
    clock = SystemClock()
    folders = Folders(**{name: getattr(settings.folders, name) for name in FOLDERS})
    served = worked_root(folders)
    ledger = Ledger(open_database(settings.ledger.location, make=not served, whole=whole))
    _must_be_usable(ledger, folders.work, served)
    names = [f"worker-{n + 1}" for n in range(settings.pipeline.workers)]
    liveness = Liveness(["intake", *names, "sharing"], clock)
    projects = KnownProjects(ledger.views.confirmed_projects())
    server = XnatServer.from_settings(
        settings.xnat, credential, clock, liveness.stop, lease := StationLease(clock.uptime)
    )
    if ledger.stations.shared:
        server.turns.among_stations = ledger.import_starts.reserve
    daemon = Daemon(
        settings=settings,
        folders=folders, marks=FolderMarks(folders, ledger.marks),
        ledger=ledger,
        server=server, sharer=server.gateway(), lease=lease, claims=Claims(shared=ledger.stations.shared),
        clock=clock, log=ProjectHidingLog(log, projects), liveness=liveness, stop=liveness.stop, projects=projects,
    )  # fmt: skip
    daemon.early = EarlySendings(lambda path: members_of_tidy_zip(path, partial(_beat, daemon)), daemon.wake)
    recent = RecentAnswers(clock)
    daemon.tools = {name: _tools(daemon, name, recent) for name in names}
    daemon.retention = Retention(daemon.tools[names[0]], daemon.retention_rules, daemon.log)
    daemon.idle_check = _idle_check(daemon)
    daemon.late_rows = LateRowCleaner(daemon.tools[names[0]], daemon.log)
    daemon.intake = _intake(daemon)
    daemon.sharing = _sharing(daemon)
    held = HeldReporter(ledger, daemon.log)
    daemon.pipelines = {
        name: Pipeline(
            tools,
            settings.retry(),
            daemon.log,
            daemon.finished,
            held,
            early=daemon.early,
            goes_on=daemon.may_begin,
        )
        for name, tools in daemon.tools.items()
    }
    apply_settings(daemon, settings)
    return daemon


def _must_be_usable(ledger: Ledger, work: Path, served: str) -> None:
    """Refuse a ledger that takes no writes, was moved away, or does not know the root that was `served` before.

    The root of a missing work folder is looked at later.
    """
    with ExitStack() as otherwise:
        otherwise.callback(ledger.close)
        ledger.must_take_writes()
        ledger.moves.must_be_here()
        if ledger.stations.shared:
            ledger.moves.must_be_here(known_root(work))
            ledger.stations.must_know(served)
        otherwise.pop_all()


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
        open_zip=lambda path, observer: open_zip(path, daemon.settings.limits.as_limits(), beat, observer),
        recorded=daemon.wake, early=daemon.early,
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
        gateways=(gateway, *(daemon.server.gateway() for _ in range(1, settings.pipeline.workers))),
        shares=ledger.shares, clock=clock, log=log, retry=settings.retry(), chance=chance,
        beat=daemon.liveness.beat,
    )  # fmt: skip
    return Sharing(
        folder=ShareFolder(daemon.folders.shares, partial(daemon.marks.must_be_known, "shares")),
        sharer=Sharer(context), shares=ledger.shares,
        gates=_gates(daemon, gateway),
        clock=clock, log=log, rules=_sharing_rules(settings),
        exclusive=lambda: applying_alone(ledger.shares, settings.ledger.path),
    )  # fmt: skip


def _sharing_rules(settings: Settings) -> SharingRules:
    return SharingRules(
        quiet_for=settings.intake.quiet_for.total_seconds(),
        apply_every=settings.shares.apply_every.total_seconds(),
        chance=random.SystemRandom().random,
    )


def _tools(daemon: Daemon, name: str, recent: RecentAnswers) -> Tools:
    def progressed(sent: int, size: int) -> None:
        daemon.uploads[name] = (sent, size)
        daemon.liveness.beat()

    gateway = daemon.server.gateway()
    asked = partial(refusal, gateway=gateway, afresh=True)
    return Tools(
        ledger=daemon.ledger, gateway=gateway, gates=_gates(daemon, gateway, asked),
        clock=daemon.clock, disk=HeartbeatDisk(daemon.liveness), folders=daemon.folders, marks=daemon.marks,
        rules=daemon.rules, chance=random.SystemRandom().random,
        write_clean=partial(write_clean, beat=partial(_beat, daemon)), progressed=progressed,
        recent=recent,
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
