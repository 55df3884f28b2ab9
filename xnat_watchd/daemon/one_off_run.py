"""A one-off run: a command carries studies itself while no service runs, under the same lock, by the same steps."""

from __future__ import annotations

import sys
from collections.abc import Collection
from contextlib import ExitStack
from functools import partial

from xnat_watchd.adapters.credentials import Credential
from xnat_watchd.adapters.files.lock import Lock, lock_of
from xnat_watchd.adapters.files.root_id import root_id
from xnat_watchd.adapters.threads import Loop
from xnat_watchd.core.ports import Log
from xnat_watchd.daemon.composition import build
from xnat_watchd.daemon.idle import are_idle
from xnat_watchd.daemon.service import STOPPING, ShowUploads, blocked_signals, enrolled, fetched
from xnat_watchd.daemon.state import Daemon
from xnat_watchd.daemon.supervisor import supervised
from xnat_watchd.operator.status import Exit
from xnat_watchd.settings import Settings

LOOKS = 0.2  #: seconds between two checks
SHORTLY = 1.0  #: seconds after which a worker that found nothing to do looks again


def carry(settings: Settings, credential: Credential, log: Log, keys: Collection[int], show: ShowUploads) -> None:
    """Carry these studies and no others, until nothing more is to be done for them soon or we are told to stop.

    Raise `Occupied` if a service runs, and the ledger's own error if it can no longer be used. A fault of the program
    ends it with exit code 70.
    """
    workers: list[Loop] = []
    with ExitStack() as stack:
        lock = stack.enter_context(Lock(lock_of(settings.ledger.path)))
        stack.enter_context(blocked_signals())
        daemon = build(settings, credential, log)
        stack.callback(daemon.ledger.close)
        stack.callback(daemon.claims.close)
        daemon.claims.claim(daemon.folders.work)
        enrollment = enrolled(daemon, lock, credential)
        stack.callback(enrollment.end)
        if daemon.ledger.stations.shared:
            daemon.ledger.stations.serve(root_id(daemon.folders.work))
        workers += [
            Loop(name, partial(_turn, daemon, name, frozenset(keys)), daemon.stop, daemon.stop.set)
            for name in daemon.pipelines
        ]
        stack.callback(_stop, daemon, workers)
        for worker in workers:
            worker.start()
        while not daemon.stop.is_set():
            show(daemon.uploads)
            enrollment.check()
            if error := daemon.ledger_fails():
                raise error
            if are_idle(daemon.ledger, daemon.ledger.existing_sessions.standings(keys), daemon.clock.now()):
                break
            if fetched(STOPPING, LOOKS):
                break
    if any(worker.failed for worker in workers):
        sys.exit(Exit.FAULT)


def _turn(daemon: Daemon, name: str, keys: frozenset[int]) -> float:
    return supervised(daemon, partial(_work, daemon, name, keys), again=SHORTLY)


def _work(daemon: Daemon, name: str, keys: frozenset[int]) -> float:
    while daemon.may_begin() and daemon.pipelines[name].step(keys):
        daemon.uploads.pop(name, None)
    if daemon.stop.is_set():
        daemon.pipelines[name].release()
    if not daemon.stop.is_set():
        try:
            daemon.pipelines[name].retire()
        except OSError:  # its folder is gone or full: the next command or the service moves it
            return SHORTLY
    return SHORTLY


def _stop(daemon: Daemon, workers: Collection[Loop]) -> None:
    daemon.stop.set()
    for worker in workers:
        worker.wake_up.set()
    for worker in workers:
        if worker.ident is not None:
            worker.join()
    daemon.server.close()
