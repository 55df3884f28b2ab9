"""The outermost layer of the command line: an error becomes a sentence, advice and an exit code."""

from __future__ import annotations

import os
import sys
from types import TracebackType

from xnat_watchd.core.errors import FAILURES
from xnat_watchd.interfaces.cli import commands
from xnat_watchd.interfaces.cli.passing_on import pass_on
from xnat_watchd.operator.status import Exit


def main() -> None:
    """Run a command and exit with its code. A fault of the program is 70, whatever the command's code would be."""
    sys.excepthook = _fault
    try:
        code = pass_on(sys.argv[1:])
        if code is not None:
            sys.exit(code)
        commands(prog_name="xnat-watchd")
    except FAILURES as error:
        from xnat_watchd.adapters.systemd import journal
        from xnat_watchd.interfaces.cli.failures import code_of, text_of

        sys.stderr.write(text_of(error, journal.mark("error", sys.stderr, os.environ)))
        sys.exit(code_of(error))
    except OSError as error:
        if not _is_of_output():
            raise
        sys.stderr.write(f"the output cannot be written: {error.strerror}\n")
        sys.exit(Exit.WAITING)


def _is_of_output() -> bool:
    """Return whether standard output is what cannot be written to; then nothing more is written there."""
    try:
        sys.stdout.write("\n")  # what failed before may be gone from its buffer
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _fault(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.__excepthook__(kind, error, trace)
    sys.exit(Exit.FAULT)


if __name__ == "__main__":
    main()
