"""The threads that work: one takes ZIPs in, workers carry studies, one applies share tables, one tells people."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping
from functools import partial

from xnat_watchd.adapters.files.folder_marks import UnknownFolder
from xnat_watchd.adapters.files.root_id import root_id, worked_root
from xnat_watchd.adapters.files.watcher import Watcher
from xnat_watchd.adapters.threads import Loop, WakeUp
from xnat_watchd.core.errors import NoRoom, Refusal
from xnat_watchd.daemon.login_renewal import LoginRenewal
from xnat_watchd.daemon.state import Daemon, Publisher
from xnat_watchd.daemon.supervisor import supervised
from xnat_watchd.daemon.thread_context import STEP_TAKES

UNHEARD = 2.0  #: seconds after which a station looks again whether it was heard of
IDLE = 30.0  #: seconds between two looks at the ledger when nothing is due: the most that a lost wake-up costs


def make_threads(
    daemon: Daemon, watcher: Watcher, login: LoginRenewal, intake_wake_up: WakeUp, publishers: Mapping[str, Publisher]
) -> dict[str, Loop]:
    """Return all threads by name, none of them started. A thread that ends stops all others."""
    made: dict[str, Loop] = {}

    def work(name: str) -> float:
        wait = worker_turn(daemon, name, login)
        made["sharing"].wake_up.set()  # a share table may ask for what has just been archived
        return wait

    def all_stop() -> None:
        daemon.stop.set()
        for loop in made.values():
            loop.wake_up.set()

    turns: dict[str, Callable[[], float]] = {
        "intake": partial(intake_turn, daemon, watcher),
        **{name: partial(work, name) for name in daemon.tools},
        "sharing": partial(sharing_turn, daemon),
        # They make no promise: a message may take its time, and what hangs there is cut off.
        **{name: partial(supervised, daemon, one.turn) for name, one in publishers.items()},
    }
    for name, turn in turns.items():
        made[name] = Loop(
            name,
            partial(_with_heartbeat, daemon, turn),
            daemon.stop,
            all_stop,
            intake_wake_up if name == "intake" else None,
        )
    daemon.wake_ups = [made[name].wake_up for name in daemon.tools]
    return made


def _with_heartbeat(daemon: Daemon, turn: Callable[[], float]) -> float:
    """Take a turn, with a heartbeat before it and one that lasts until the next."""
    daemon.liveness.beat()
    wait = turn()
    daemon.liveness.beat(wait + STEP_TAKES)
    return wait


# -- intake ------------------------------------------------------------------------------------------------


def intake_turn(daemon: Daemon, watcher: Watcher) -> float:
    """Sweep the drop folder once and return the seconds until the next sweep."""
    return supervised(daemon, partial(_take_in, daemon, watcher))


def _take_in(daemon: Daemon, watcher: Watcher) -> float:
    daemon.next_sweep = 0.0
    _restart_watcher(daemon, watcher)
    try:
        daemon.next_sweep = _sweep(daemon)
    except NoRoom:
        daemon.next_sweep = None  # nothing will change shortly, and the service counts as started
        raise
    daemon.wake()
    intake, hurried = daemon.settings.intake, watcher.polling or daemon.missing or daemon.full
    regular = intake.poll_every if hurried else intake.rescan_every
    # With jitter, so that many machines do not read one network folder at the same moment.
    wait = regular.total_seconds() * random.uniform(0.75, 1.0)  # noqa: S311 - jitter
    return wait if daemon.next_sweep is None else min(wait, daemon.next_sweep)


def _restart_watcher(daemon: Daemon, watcher: Watcher) -> None:
    if not watcher.alive():
        watcher.start()
        if watcher.alive():
            daemon.log.info("watch.restarted")
    if watcher.polling and not daemon.polling:
        daemon.log.warning("watch.polling", reason=watcher.why)
    daemon.polling = watcher.polling


def _sweep(daemon: Daemon) -> float | None:
    """Take in what has settled, if every folder that this needs is there: a missing folder proves nothing.

    A station that others may take for gone touches no file: it looks again once it was heard of.
    """
    if not daemon.lease.may_begin():
        return UNHEARD
    try:
        if not (_is_there(daemon, "work") and _has_room(daemon) and _recover(daemon)):
            return None
        wait = daemon.intake.sweep()
    except OSError as error:  # of this folder alone; the supervisor handles every other error
        _note_missing(daemon, "drop", error)
        return None
    _is_there(daemon, "drop")
    return wait


def _recover(daemon: Daemon) -> bool:
    """Put in order, once, what an earlier run left in the work folder. Return whether that is done."""
    try:
        daemon.claims.claim(daemon.folders.work)  # the folder or its disk may not have been there before
        if not daemon.recovered:
            if daemon.ledger.stations.shared:
                daemon.ledger.stations.must_know(worked_root(daemon.folders))
                root = root_id(daemon.folders.work)
                with daemon.ledger.together():
                    daemon.ledger.moves.must_be_here(root)
                    daemon.ledger.stations.serve(root)
            daemon.intake.recover()
    except (OSError, Refusal) as error:
        _note_missing(daemon, "work", error)
        return False
    daemon.recovered = True
    return True


def _has_room(daemon: Daemon) -> bool:
    """Return whether the work folder's disk has more room than `limits.keep_free`."""
    try:
        free = shutil.disk_usage(daemon.folders.work).free
    except OSError as error:
        _note_missing(daemon, "work", error)
        return False
    daemon.note_room(free)
    return not daemon.full


def _is_there(daemon: Daemon, name: str) -> bool:
    try:
        daemon.marks.must_be_known(name)
    except OSError as error:
        _note_missing(daemon, name, error)
        return False
    _note_found(daemon, name)
    return True


def _note_missing(daemon: Daemon, name: str, error: OSError | Refusal) -> None:
    (daemon.unfamiliar.add if isinstance(error, UnknownFolder) else daemon.unfamiliar.discard)(name)
    if name not in daemon.missing:
        daemon.missing.add(name)
        daemon.log.warning("folder.missing", folder=name, error=type(error).__name__)


def _note_found(daemon: Daemon, name: str) -> None:
    if name in daemon.missing:
        daemon.missing.discard(name)
        daemon.log.info("folder.found", folder=name)


# -- workers -----------------------------------------------------------------------------------------------


def worker_turn(daemon: Daemon, name: str, login: LoginRenewal) -> float:
    """Carry studies while there are any, move finished ZIPs away, and return the seconds until there may be more."""
    return supervised(daemon, partial(_work, daemon, name, login), again=IDLE)


def _work(daemon: Daemon, name: str, login: LoginRenewal) -> float:
    if not daemon.recovered or "work" in daemon.missing:
        return IDLE  # the intake wakes the workers when it has found the work folder
    login.renew()
    version = daemon.ledger.version()
    is_idle = daemon.idle_since.get(name) == version and not daemon.early.is_offered
    if not is_idle:
        _carry_all(daemon, name, login)
    if daemon.may_begin() and name == next(iter(daemon.tools), None):
        daemon.retention.sweep()
        daemon.late_rows.sweep()
    if is_idle:
        return IDLE
    wait = _seconds_until_due(daemon)
    if wait is None and not daemon.finished.to_be_moved():
        daemon.idle_since[name] = version  # until it changes, nothing needs to be asked
    return IDLE if wait is None else wait


def _carry_all(daemon: Daemon, name: str, login: LoginRenewal) -> None:
    try:
        while daemon.may_begin() and any((_carry_one(daemon, name, login), _retire(daemon, name))):
            daemon.idle_check.put_off()
            daemon.wake()
    finally:  # also after an error of this machine: the next turn may be long in coming
        daemon.pipelines[name].release()


def _retire(daemon: Daemon, name: str) -> bool:
    """Move a finished ZIP out of the work folder, and return whether there was one. One that cannot be moved stays."""
    try:
        moved = daemon.pipelines[name].retire()
    except OSError as error:  # of this folder alone: it is gone, or its disk is full; the studies go on
        _note_missing(daemon, "done", error)
        return False
    if moved:
        _note_found(daemon, "done")
    return moved


def _carry_one(daemon: Daemon, name: str, login: LoginRenewal) -> bool:
    login.renew()
    carried = daemon.pipelines[name].step()
    daemon.uploads.pop(name, None)
    return carried


def _seconds_until_due(daemon: Daemon) -> float | None:
    """Return the seconds until something may be due: at least 1, since a busy study may bar one that is ready.

    None if nothing waits for a time.
    """
    now = daemon.clock.now()
    gates = daemon.ledger.gates.all()
    due = daemon.ledger.studies.next_due(now, [scope for scope, gate in gates.items() if gate.shut])
    times = [moment for moment in (due, *(gate.until for gate in gates.values())) if moment is not None]
    if not times:
        return None
    return min(max((min(times) - now).total_seconds(), 1.0), IDLE)


# -- share tables ------------------------------------------------------------------------------------------


def sharing_turn(daemon: Daemon) -> float:
    """Apply the share tables that are due, and return the seconds until the next turn.

    This thread also runs the idle check, so that no study waits for an answer that never comes.
    """
    return supervised(daemon, partial(_share, daemon))


def _share(daemon: Daemon) -> float:
    if not daemon.may_begin():
        return daemon.sharing.poll_interval
    if not daemon.once:
        daemon.idle_check.ask_if_due(sorted(daemon.projects.configured))
    try:
        wait = daemon.sharing.turn()
    except OSError as error:
        _note_missing(daemon, "shares", error)
        return daemon.sharing.poll_interval
    _note_found(daemon, "shares")
    return wait
