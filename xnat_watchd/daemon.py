"""The composition root: builds every part once, runs the threads, and stops them in order."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from xnat_watchd.adapters.clock import SystemClock
from xnat_watchd.adapters.credentials import Credential
from xnat_watchd.adapters.dicom_zip import is_whole, open_zip, write_clean
from xnat_watchd.adapters.files import Disk
from xnat_watchd.adapters.folders import Folders, lock_of, snapshot_of
from xnat_watchd.adapters.ledger import Ledger, open_database
from xnat_watchd.adapters.lock import Lock
from xnat_watchd.adapters.notify import Notifier
from xnat_watchd.adapters.threads import Bell, Loop
from xnat_watchd.adapters.watcher import Watcher
from xnat_watchd.adapters.xnat_gateway import XnatServer
from xnat_watchd.core.ports import Log
from xnat_watchd.core.pulse import Pulse
from xnat_watchd.intake import Habits, Intake
from xnat_watchd.pipeline import Pipeline, Turns
from xnat_watchd.settings import Settings
from xnat_watchd.status import Exit, Snapshot, snapshot, verdict
from xnat_watchd.steps.tools import Tools

IDLE = 30.0  #: seconds between looks at the ledger when nothing is due: the most that a lost wake-up can cost
ONCE_WAITS = timedelta(minutes=1)  #: `run --once` waits for what is due within this time
ONCE_ASKS = 2  #: times that `run --once` asks a server that is down
LOOKS = 0.5  #: seconds between two looks of the main thread
STOPPING = (signal.SIGTERM, signal.SIGINT)
STEP_TAKES = 600.0  #: seconds that one request may be silent for before the watchdog believes in a hang


@dataclass(kw_only=True)
class Daemon:
    """Everything that was built, and the threads that run it."""

    settings: Settings
    folders: Folders
    ledger: Ledger
    server: XnatServer
    intake: Intake
    clock: SystemClock
    log: Log
    stop: threading.Event
    pulse: Pulse
    pipelines: dict[str, Pipeline] = field(default_factory=dict)
    uploads: dict[str, tuple[int, int]] = field(default_factory=dict)  #: worker -> bytes sent, bytes in all
    next_sweep: float | None = 0.0

    def picture(self) -> Snapshot:
        """Give the status as of now."""
        uploads = [{"worker": name, "sent": sent, "size": size} for name, (sent, size) in [*self.uploads.items()]]
        return snapshot(
            self.ledger, self.settings.xnat.server, self.clock.now(), running=True,
            daemon={"pid": os.getpid(), "settling": self.intake.settling, "uploads": uploads},
        )  # fmt: skip

    def resting(self) -> bool:
        """Say whether nothing is to be done now, and nothing will be within a minute."""
        now = self.clock.now()
        due = self.ledger.studies.next_due(now)
        gate = self.ledger.gates.get()
        shut_for_long = gate.until is not None and (gate.until > now + ONCE_WAITS or gate.strikes >= ONCE_ASKS)
        nothing_due = due is None or due > now + ONCE_WAITS or shut_for_long
        settled = self.next_sweep is None and not self.intake.settling
        return settled and nothing_due and not self.ledger.studies.busy()


def build(settings: Settings, credential: Credential, log: Log) -> Daemon:
    """Open the ledger and build every part; nothing runs yet."""
    clock, stop = SystemClock(), threading.Event()
    folders = Folders(
        **{name: getattr(settings.folders, name) for name in ("drop", "shares", "work", "done", "failed")}
    )
    ledger = Ledger(open_database(settings.ledger.path))
    names = [f"worker-{n + 1}" for n in range(settings.pipeline.workers)]
    pulse = Pulse(["intake", *names])
    server = XnatServer.of(settings.xnat, credential, clock, stop)
    limits, beat = settings.limits.as_limits(), partial(_beat, pulse, clock, "intake")
    intake = Intake(
        ledger=ledger, disk=Disk(), folders=folders, clock=clock, log=log, habits=_habits(settings),
        open_zip=lambda path: open_zip(path, limits, beat), is_whole=is_whole,
    )  # fmt: skip
    daemon = Daemon(
        settings=settings, folders=folders, ledger=ledger, server=server, intake=intake, clock=clock, log=log,
        stop=stop, pulse=pulse,
    )  # fmt: skip
    turns = Turns()
    for name in names:
        daemon.pipelines[name] = Pipeline(_tools(daemon, name), settings.retry(), log, turns)
    return daemon


def run(settings: Settings, credential: Credential, log: Log, *, once: bool) -> tuple[Exit, Snapshot]:
    """Run until we are told to stop, or with `once` until everything that can be done is done."""
    _make_folders(settings)
    with ExitStack() as stack:
        stack.enter_context(Lock(lock_of(settings.ledger.path)))
        daemon = build(settings, credential, log)
        stack.callback(daemon.ledger.close)
        stack.enter_context(_signals_waited_for())
        notifier = Notifier.from_environment()
        _recover(daemon)
        nudge = Bell()
        watcher = Watcher(daemon.folders.drop, nudge.ring, mode=settings.intake.watch)
        loops = _loops(daemon, watcher, nudge)
        stack.callback(watcher.stop)
        stack.callback(_stop, daemon, loops)
        stack.callback(notifier.stopping)
        watcher.start()
        for loop in loops.values():
            loop.start()
        _attend(daemon, notifier, once=once)
        failed = any(loop.failed and not loop.is_alive() for loop in loops.values())
        picture = daemon.picture()
    return (Exit.FAULT if failed else verdict(picture, resting=True)), picture


def remains(picture: Snapshot) -> list[str]:
    """Say what is not complete, and why: the last words of `run --once`."""
    waiting = [
        f"{one['item']} {one['progress']}, {one['standing']}: {one['why'] or 'not done'}"
        for one in picture["under_way"]
    ]
    held = [f"{one['item']} needs attention: {one['why']}. {one['advice']}" for one in picture["attention"]]
    gate = picture["gate"]
    shut = [] if gate["open"] else [f"XNAT: {gate['why']}. {gate['advice']}"]
    return [*shut, *held, *waiting] or ["everything is complete"]


# The threads.


def _loops(daemon: Daemon, watcher: Watcher, nudge: Bell) -> dict[str, Loop]:
    loops: dict[str, Loop] = {}

    def wake_workers() -> None:
        for name in daemon.pipelines:
            loops[name].bell.ring()

    end = partial(_all_stop, daemon, loops)
    loops["intake"] = Loop("intake", partial(_intake_turn, daemon, watcher, wake_workers), daemon.stop, end, nudge)
    for name, pipeline in daemon.pipelines.items():
        loops[name] = Loop(name, partial(_worker_turn, daemon, name, pipeline, wake_workers), daemon.stop, end)
    return loops


def _intake_turn(daemon: Daemon, watcher: Watcher, wake: Callable[[], None]) -> float:
    _beat(daemon.pulse, daemon.clock, "intake")
    daemon.next_sweep = 0.0
    if not watcher.alive():
        watcher.start()
        daemon.log.info("watch.restarted")
    try:
        daemon.next_sweep = daemon.intake.sweep()
    except OSError as error:  # the folder is gone, or its disk: nothing is concluded from that (design 7)
        daemon.next_sweep = None
        daemon.log.warning("folder.missing", folder="drop", error=type(error).__name__)
    wake()
    wait = _until_sweep(daemon, polling=watcher.polling)
    daemon.pulse.promise("intake", daemon.clock.monotonic() + wait + STEP_TAKES)
    return wait


def _until_sweep(daemon: Daemon, *, polling: bool) -> float:
    """Seconds until the folder is looked into again, with jitter so that many machines do not do it at once."""
    intake = daemon.settings.intake
    regular = intake.poll_every if polling else intake.rescan_every
    wait = regular.total_seconds() * random.uniform(0.75, 1.0)  # noqa: S311 - jitter
    return wait if daemon.next_sweep is None else min(wait, daemon.next_sweep)


def _worker_turn(daemon: Daemon, name: str, pipeline: Pipeline, wake: Callable[[], None]) -> float:
    _beat(daemon.pulse, daemon.clock, name)
    while not daemon.stop.is_set() and pipeline.step():
        daemon.uploads.pop(name, None)
        wake()
        _beat(daemon.pulse, daemon.clock, name)
    if not daemon.stop.is_set() and pipeline.retire():
        wake()
    daemon.pulse.promise(name, daemon.clock.monotonic() + IDLE + STEP_TAKES)
    return _until_due(daemon)


def _until_due(daemon: Daemon) -> float:
    """Seconds until something may be done; at least one, since what is ready may be barred by what is busy."""
    now = daemon.clock.now()
    due, gate = daemon.ledger.studies.next_due(now), daemon.ledger.gates.get()
    times = [moment for moment in (due, gate.until) if moment is not None]
    wait = min(((moment - now).total_seconds() for moment in times), default=IDLE)
    return min(max(wait, 1.0), IDLE)


def _attend(daemon: Daemon, notifier: Notifier, *, once: bool) -> None:
    """Keep the main thread's watch: publish, notify, ping while every promise is kept; end when it is time."""
    ready, published = False, ""
    while not daemon.stop.is_set():
        picture = daemon.picture()
        published = _publish(daemon, picture, published)
        if not ready and daemon.next_sweep != 0.0:
            notifier.ready()
            daemon.log.info("daemon.ready")
            ready = True
        broken = daemon.pulse.broken(daemon.clock.monotonic())
        if broken:
            daemon.log.error("daemon.hangs", reason=", ".join(broken))
        else:
            notifier.watchdog()
        notifier.status(_sentence(picture))
        if once and daemon.resting() and not daemon.ledger.deliveries.retirable():
            return
        if signal.sigtimedwait(STOPPING, LOOKS) is not None:
            return


def _publish(daemon: Daemon, picture: Snapshot, before: str) -> str:
    """Replace the published status where it has changed; a reader sees the old one or the new one, never a part."""
    told = json.dumps({**picture, "at": ""})
    if told != before:
        path = snapshot_of(daemon.settings.ledger.path)
        part = path.with_name(f".{path.name}.part")
        part.write_text(json.dumps(picture), encoding="utf-8")
        part.replace(path)
    return told


def _stop(daemon: Daemon, loops: dict[str, Loop]) -> None:
    """Stop intake first, workers next: what is taken is recorded, what is busy is given back."""
    daemon.stop.set()
    for loop in loops.values():
        loop.bell.ring()
    for loop in loops.values():
        if loop.ident is not None:
            loop.join()
    daemon.server.close()
    Disk().remove(snapshot_of(daemon.settings.ledger.path))


def _all_stop(daemon: Daemon, loops: dict[str, Loop]) -> None:
    daemon.stop.set()
    for loop in loops.values():
        loop.bell.ring()


# Building.


def _make_folders(settings: Settings) -> None:
    for name in ("drop", "shares", "work", "done", "failed"):
        getattr(settings.folders, name).mkdir(parents=True, exist_ok=True)
    settings.ledger.path.parent.mkdir(parents=True, exist_ok=True)


def _recover(daemon: Daemon) -> None:
    now = daemon.clock.now()
    for item in daemon.ledger.studies.recover(now):
        daemon.log.warning("study.recovered", item=item)
    daemon.intake.recover()
    goes_on = {project: daemon.settings.rules(project).until for project in daemon.ledger.studies.projects()}
    daemon.ledger.studies.raise_until(goes_on, now)


def _habits(settings: Settings) -> Habits:
    intake = settings.intake
    return Habits(
        quiet_for=intake.quiet_for.total_seconds(),
        incomplete_after=intake.incomplete_after.total_seconds(),
        ignore=intake.ignore,
        project=settings.xnat.project,
        projects=frozenset(settings.projects),
    )


def _tools(daemon: Daemon, name: str) -> Tools:
    def progressed(sent: int, size: int) -> None:
        daemon.uploads[name] = (sent, size)
        _beat(daemon.pulse, daemon.clock, name)

    return Tools(
        ledger=daemon.ledger, gateway=daemon.server.gateway(), clock=daemon.clock, disk=Disk(),
        folders=daemon.folders, rules=daemon.settings.rules, chance=random.SystemRandom().random,
        write_clean=partial(write_clean, beat=partial(_beat, daemon.pulse, daemon.clock, name)),
        progressed=progressed,
    )  # fmt: skip


def _beat(pulse: Pulse, clock: SystemClock, name: str) -> None:
    pulse.promise(name, clock.monotonic() + STEP_TAKES)


def _sentence(picture: Snapshot) -> str:
    """Say in one line what is going on."""
    standings = [n for counts in picture["studies"].values() for n in counts.items()]
    total = {standing: sum(n for name, n in standings if name == standing) for standing, _ in standings}
    under_way = sum(total.get(name, 0) for name in ("ready", "busy", "waiting"))
    gate = "" if picture["gate"]["open"] else f"; waiting for XNAT: {picture['gate']['why']}"
    return f"{under_way} under way, {total.get('held', 0)} held, {total.get('done', 0)} complete{gate}"


@contextmanager
def _signals_waited_for() -> Iterator[None]:
    """Keep the signals that stop us for the main thread to fetch: a handler could run inside any lock."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
