"""The one policy for errors that end a turn of a thread, or of a command's worker: what becomes of its loop.

Only a fault of the program ends the loop. An error of this machine or of its ledger is logged once and shown in the
status, and the turn is tried again. Until it succeeds, nothing is concluded from what could not be read.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum

from xnat_watchd.core.disk_errors import is_failing
from xnat_watchd.core.errors import LedgerUnusable, NoRoom, Refusal, Stopped
from xnat_watchd.daemon.state import Daemon

AGAIN = 30.0  #: seconds until a turn that an error has ended is tried again


class TurnOutcome(Enum):
    """What happens to a loop after an error has ended its turn."""

    WAITS_FOR_ROOM = "waits for room"
    WAITS_FOR_THE_DISK = "waits for the disk"
    WAITS_FOR_THE_LEDGER = "waits for the ledger"
    IS_TAKEN_AGAIN = "is taken again"  #: the service is to stop, or another program uses what we need


OUTCOMES: tuple[tuple[type[Exception], TurnOutcome], ...] = (
    (NoRoom, TurnOutcome.WAITS_FOR_ROOM),
    (LedgerUnusable, TurnOutcome.WAITS_FOR_THE_LEDGER),
    (Stopped, TurnOutcome.IS_TAKEN_AGAIN),
    (Refusal, TurnOutcome.IS_TAKEN_AGAIN),
    (OSError, TurnOutcome.WAITS_FOR_THE_DISK),
)
"""The first match counts. Any other error, and an `OSError` that is not about a disk, is a fault of the program."""

CAUGHT = tuple(kind for kind, _ in OUTCOMES)


def supervised(daemon: Daemon, turn: Callable[[], float], *, again: float = AGAIN) -> float:
    """Take a turn and return the seconds until the next one. Raise only what is a fault of the program."""
    name = threading.current_thread().name
    try:
        wait = turn()
    except CAUGHT as error:
        if isinstance(error, OSError) and not is_failing(error):
            raise
        _note(daemon, name, next(outcome for kind, outcome in OUTCOMES if isinstance(error, kind)), error)
        return again
    daemon.machine_errors.pop(name, None)
    return wait


def _note(daemon: Daemon, name: str, outcome: TurnOutcome, error: Exception) -> None:
    match outcome:
        case TurnOutcome.WAITS_FOR_ROOM:
            daemon.machine_errors[name] = error
            daemon.note_full(full=True)
        case TurnOutcome.WAITS_FOR_THE_LEDGER | TurnOutcome.WAITS_FOR_THE_DISK:
            told = type(daemon.machine_errors.get(name)) is type(error)
            daemon.machine_errors[name] = error
            if not told and outcome is TurnOutcome.WAITS_FOR_THE_LEDGER:
                daemon.log.error("ledger.failing", error=type(error).__name__)
            elif not told:
                daemon.log.error("disk.failing", error=type(error).__name__)
        case TurnOutcome.IS_TAKEN_AGAIN:
            pass
