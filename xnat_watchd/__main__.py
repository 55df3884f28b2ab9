"""The outermost layer of the command line: an error becomes a sentence, advice and an exit code."""

from __future__ import annotations

import os
import sys
from types import TracebackType

from xnat_watchd.cli import commands
from xnat_watchd.cli.terminal import plain
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
from xnat_watchd.operator.status import Exit


def main() -> None:
    """Run a command and exit with its code. A fault of the program is 70, whatever the command's code would be."""
    sys.excepthook = _fault
    try:
        commands(prog_name="xnat-watchd")
    except (WatchdError, LedgerUnusable) as error:
        from xnat_watchd.adapters.systemd import journal

        mark = journal.mark("error", sys.stderr, os.environ)
        problems = error.problems if isinstance(error, WrongSettings) else [str(error)]
        sys.stderr.writelines(f"{mark}{plain(line)}\n" for line in [*problems, error.advice])
        sys.exit(_code(error))


def _fault(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.__excepthook__(kind, error, trace)
    sys.exit(Exit.FAULT)


def _code(error: WatchdError | LedgerUnusable) -> Exit:
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


if __name__ == "__main__":
    main()
