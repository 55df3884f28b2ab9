"""One policy for whatever ends a turn of a thread, or of a command's worker: what becomes of the loop.

Only a fault of ours ends the program. What this machine or its ledger refuses is told once, stands in the status, and
is tried again; nothing is concluded meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum

from xnat_watchd.core.disk_errors import is_failing
from xnat_watchd.core.errors import LedgerUnusable, NoRoom, Refusal, Stopped
from xnat_watchd.daemon.composition import Daemon

AGAIN = 30.0  #: seconds until a turn is taken again that this machine has ended


class TurnOutcome(Enum):
    """What becomes of a loop whose turn was ended by an error."""

    WAITS_FOR_ROOM = "waits for room"
    WAITS_FOR_THE_DISK = "waits for the disk"
    WAITS_FOR_THE_LEDGER = "waits for the ledger"
    IS_TAKEN_AGAIN = "is taken again"  #: we are to stop, or another program is at it


FATES: tuple[tuple[type[Exception], TurnOutcome], ...] = (
    (NoRoom, TurnOutcome.WAITS_FOR_ROOM),
    (LedgerUnusable, TurnOutcome.WAITS_FOR_THE_LEDGER),
    (Stopped, TurnOutcome.IS_TAKEN_AGAIN),
    (Refusal, TurnOutcome.IS_TAKEN_AGAIN),
    (OSError, TurnOutcome.WAITS_FOR_THE_DISK),
)
"""First match wins. Whatever is not here, and an `OSError` that says nothing of a disk, is a fault of ours."""

CAUGHT = tuple(kind for kind, _ in FATES)


def supervised(daemon: Daemon, turn: Callable[[], float], *, again: float = AGAIN) -> float:
    """Take a turn, and return the seconds until the next one; raise only what is a fault of ours."""
    name = threading.current_thread().name
    try:
        wait = turn()
    except CAUGHT as error:
        if isinstance(error, OSError) and not is_failing(error):
            raise
        _note(daemon, name, next(fate for kind, fate in FATES if isinstance(error, kind)), error)
        return again
    daemon.troubles.pop(name, None)
    return wait


def _note(daemon: Daemon, name: str, fate: TurnOutcome, error: Exception) -> None:
    match fate:
        case TurnOutcome.WAITS_FOR_ROOM:
            daemon.fill(full=True)
        case TurnOutcome.WAITS_FOR_THE_LEDGER | TurnOutcome.WAITS_FOR_THE_DISK:
            told = type(daemon.troubles.get(name)) is type(error)
            daemon.troubles[name] = error
            if not told and fate is TurnOutcome.WAITS_FOR_THE_LEDGER:
                daemon.log.error("ledger.failing", error=type(error).__name__)
            elif not told:
                daemon.log.error("disk.failing", error=type(error).__name__)
        case TurnOutcome.IS_TAKEN_AGAIN:
            pass
