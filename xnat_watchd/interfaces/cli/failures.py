"""What a command says when it fails: a sentence, advice, and the exit code."""

from __future__ import annotations

from xnat_watchd.core.errors import (
    AuthRefused,
    LedgerUnusable,
    NoRoom,
    Occupied,
    Refusal,
    Transient,
    Unavailable,
    WatchdError,
    WrongSettings,
)
from xnat_watchd.core.printable import plain
from xnat_watchd.operator.status import Exit


def text_of(error: WatchdError | LedgerUnusable, mark: str = "") -> str:
    """Return the lines that tell of an error, each after `mark`."""
    problems = error.problems if isinstance(error, WrongSettings) else [str(error)]
    return "".join(f"{mark}{plain(line)}\n" for line in (*problems, error.advice))


def code_of(error: WatchdError | LedgerUnusable) -> Exit:
    """Return the exit code for an error."""
    match error:
        case Occupied() | LedgerUnusable(passes=True):
            return Exit.WAITING
        case Refusal() | LedgerUnusable():
            return Exit.CONFIGURATION
        case AuthRefused():
            return Exit.LOGIN
        case Unavailable():
            return Exit.UNAVAILABLE
        case Transient() | NoRoom():
            return Exit.WAITING
        case _:
            return Exit.ATTENTION
