"""The threads that work: one that takes ZIPs in, workers that carry studies, and one that applies share tables."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from functools import partial

from xnat_watchd.adapters.files.folder_marks import UnknownFolder
from xnat_watchd.adapters.files.watcher import Watcher
from xnat_watchd.adapters.threads import Loop, WakeUp
from xnat_watchd.core.errors import NoRoom, Occupied
from xnat_watchd.daemon.composition import Daemon
from xnat_watchd.daemon.login_renewal import LoginRenewal
from xnat_watchd.daemon.supervisor import supervised
from xnat_watchd.daemon.thread_context import STEP_TAKES

IDLE = 30.0  #: seconds between looks at the ledger when nothing is due: the most that a lost wake-up can cost


def loops(daemon: Daemon, watcher: Watcher, keeper: LoginRenewal, nudge: WakeUp) -> dict[str, Loop]:
    """Return all threads by name, none of them started. A thread that dies takes the others with it."""
    made: dict[str, Loop] = {}

    def work(name: str) -> float:
        wait = worker_turn(daemon, name, keeper)
        made["sharing"].wake_up.set()  # what has been archived may be asked for by a share table
        return wait

    def all_stop() -> None:
        daemon.stop.set()
        for loop in made.values():
            loop.wake_up.set()

    turns: dict[str, Callable[[], float]] = {
        "intake": partial(intake_turn, daemon, watcher),
        **{name: partial(work, name) for name in daemon.tools},
        "sharing": partial(sharing_turn, daemon),
    }
    for name, turn in turns.items():
        made[name] = Loop(
            name, partial(_kept, daemon, turn), daemon.stop, all_stop, nudge if name == "intake" else None
        )
    daemon.wake_ups = [made[name].wake_up for name in daemon.tools]
    return made


def _kept(daemon: Daemon, turn: Callable[[], float]) -> float:
    """Take a turn, and promise to be back for the next one."""
    daemon.heart.beat()
    wait = turn()
    daemon.heart.beat(wait + STEP_TAKES)
    return wait


# -- intake ------------------------------------------------------------------------------------------------


def intake_turn(daemon: Daemon, watcher: Watcher) -> float:
    """Look into the drop folder once; return the seconds until the next look."""
    return supervised(daemon, partial(_look_around, daemon, watcher))


def _look_around(daemon: Daemon, watcher: Watcher) -> float:
    daemon.next_sweep = 0.0
    _see_to_watch(daemon, watcher)
    try:
        daemon.next_sweep = _sweep(daemon)
    except NoRoom:
        daemon.next_sweep = None  # there is nothing to wait for shortly, and the service stands
        raise
    daemon.wake()
    intake, hurried = daemon.settings.intake, watcher.polling or daemon.missing or daemon.full
    regular = intake.poll_every if hurried else intake.rescan_every
    # With jitter, so that many machines do not look at once into one folder on a network.
    wait = regular.total_seconds() * random.uniform(0.75, 1.0)  # noqa: S311 - jitter
    return wait if daemon.next_sweep is None else min(wait, daemon.next_sweep)


def _see_to_watch(daemon: Daemon, watcher: Watcher) -> None:
    if not watcher.alive():
        watcher.start()
        if watcher.alive():
            daemon.log.info("watch.restarted")
    if watcher.polling and not daemon.polling:
        daemon.log.warning("watch.polling", reason=watcher.why)
    daemon.polling = watcher.polling


def _sweep(daemon: Daemon) -> float | None:
    """Take what is whole, where all that this needs is there: nothing is concluded from what is not (design 7)."""
    try:
        if not (_is_there(daemon, "work") and _has_room(daemon) and _recover(daemon)):
            return None
        wait = daemon.intake.sweep()
    except OSError as error:  # of this folder alone; whatever else ends a turn is the supervisor's
        _miss(daemon, "drop", error)
        return None
    _is_there(daemon, "drop")
    return wait


def _recover(daemon: Daemon) -> bool:
    """Set right, once, what was under way in the work folder when the service stopped."""
    try:
        daemon.claims.claim(daemon.folders.work)  # it may have come late, or its disk be well only now
        if not daemon.recovered:
            daemon.intake.recover()
    except (OSError, Occupied) as error:
        _miss(daemon, "work", error)
        return False
    daemon.recovered = True
    return True


def _has_room(daemon: Daemon) -> bool:
    """Return whether the disk keeps for others what it is to keep."""
    try:
        free = shutil.disk_usage(daemon.folders.work).free
    except OSError as error:
        _miss(daemon, "work", error)
        return False
    daemon.fill(full=free < daemon.settings.limits.keep_free)
    return not daemon.full


def _is_there(daemon: Daemon, name: str) -> bool:
    try:
        daemon.marks.must_be_known(name)
    except OSError as error:
        _miss(daemon, name, error)
        return False
    _find(daemon, name)
    return True


def _miss(daemon: Daemon, name: str, error: OSError | Occupied) -> None:
    (daemon.unfamiliar.add if isinstance(error, UnknownFolder) else daemon.unfamiliar.discard)(name)
    if name not in daemon.missing:
        daemon.missing.add(name)
        daemon.log.warning("folder.missing", folder=name, error=type(error).__name__)


def _find(daemon: Daemon, name: str) -> None:
    if name in daemon.missing:
        daemon.missing.discard(name)
        daemon.log.info("folder.found", folder=name)


# -- workers -----------------------------------------------------------------------------------------------


def worker_turn(daemon: Daemon, name: str, keeper: LoginRenewal) -> float:
    """Carry studies while there are any, put to rest what is finished; return the seconds until there may be more."""
    return supervised(daemon, partial(_work, daemon, name, keeper), again=IDLE)


def _work(daemon: Daemon, name: str, keeper: LoginRenewal) -> float:
    if not daemon.recovered or "work" in daemon.missing:
        return IDLE  # the intake rings when it has found what we work on
    while not daemon.stop.is_set() and any((_carry_one(daemon, name, keeper), _retire(daemon, name))):
        daemon.asking.put_off()
        daemon.wake()
    if not daemon.stop.is_set() and name == next(iter(daemon.tools), None):
        daemon.retention.sweep()
        daemon.late.sweep()
    return _until_due(daemon)


def _retire(daemon: Daemon, name: str) -> bool:
    """Put finished ZIPs to rest. One that cannot be moved now lies in the work folder until it can."""
    try:
        rested = daemon.pipelines[name].retire()
    except OSError as error:  # of this folder alone, and studies go on: the folder is gone, or its disk is full
        _miss(daemon, "done", error)
        return False
    if rested:
        _find(daemon, "done")
    return rested


def _carry_one(daemon: Daemon, name: str, keeper: LoginRenewal) -> bool:
    keeper.renew()
    carried = daemon.pipelines[name].step()
    daemon.uploads.pop(name, None)
    return carried


def _until_due(daemon: Daemon) -> float:
    """Seconds until something may be done; at least one, since what is ready may be barred by what is busy."""
    now = daemon.clock.now()
    gates = daemon.ledger.gates.all()
    due = daemon.ledger.studies.next_due(now, [scope for scope, gate in gates.items() if gate.shut])
    times = [moment for moment in (due, *(gate.until for gate in gates.values())) if moment is not None]
    wait = min(((moment - now).total_seconds() for moment in times), default=IDLE)
    return min(max(wait, 1.0), IDLE)


# -- share tables ------------------------------------------------------------------------------------------


def sharing_turn(daemon: Daemon) -> float:
    """Look at the share tables and make true what is due; return the seconds until the next look.

    While nothing is under way this is who asks XNAT how it is: no study is kept waiting by an answer that never comes.
    """
    return supervised(daemon, partial(_share, daemon))


def _share(daemon: Daemon) -> float:
    if not daemon.once:
        daemon.asking.look(sorted(daemon.projects.configured))
    try:
        wait = daemon.sharing.turn()
    except OSError as error:
        _miss(daemon, "shares", error)
        return daemon.sharing.poll_interval
    _find(daemon, "shares")
    return wait
