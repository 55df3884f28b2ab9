"""The outermost layer of the command line: an error becomes a sentence, advice and an exit code."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import TextIO

from xnat_watchd.core.errors import FAILURES
from xnat_watchd.interfaces.cli import commands
from xnat_watchd.interfaces.cli.passing_on import pass_on
from xnat_watchd.operator.status import Exit


def main() -> None:
    """Run a command and exit with its code. A fault of the program is 70, whatever the command's code would be."""
    sys.excepthook = _fault
    _open_missing_streams()
    try:
        code = pass_on(sys.argv[1:])
        if code is not None:
            sys.exit(code)
        commands(prog_name="xnat-watchd")
    except FAILURES as error:
        from xnat_watchd.adapters.systemd import journal
        from xnat_watchd.interfaces.cli.failures import code_of, text_of

        _takes(sys.stderr, text_of(error, journal.mark("error", sys.stderr, os.environ)))
        sys.exit(code_of(error))
    except OSError as error:
        if _takes(sys.stdout, "\n") and _takes(sys.stderr, "\n"):  # what failed before may be gone from their buffers
            raise
        _takes(sys.stderr, f"the output cannot be written: {error.strerror}\n")
        sys.exit(Exit.WAITING)


def _open_missing_streams() -> None:
    """Let a standard stream that is closed lead to nowhere: its number must not become that of the ledger's file."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - open to the end


def _takes(stream: TextIO, text: str) -> bool:
    """Return whether a stream takes a text. If not, it leads nowhere from then on.

    What is left in its buffer could not be written at the end either, of which Python 3.14 makes an exit code, 120.
    """
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return False
    return True


def _fault(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.__excepthook__(kind, error, trace)
    sys.exit(Exit.FAULT)


if __name__ == "__main__":
    main()
