"""The one rule by which a command of an ordinary user is passed on to the service of this machine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from xnat_watchd.core.access import HOW_TO_JOIN
from xnat_watchd.core.errors import NoReadAccess, Occupied, Refusal
from xnat_watchd.core.printable import plain
from xnat_watchd.interfaces.cli.user_commands import NotPermitted, UserCommand

if TYPE_CHECKING:
    from xnat_watchd.adapters.operator_socket import CommandOutput

PUBLISHED = "status"  #: what can be seen without an answer, too: the service publishes it
ASKED_EVERY = 5.0  #: seconds between two looks of a user who watches
BUSY = "the service's socket for users gives no answer"
LATER = "Try again in a moment. If that does not help, ask root for `journalctl --unit 'xnat-watchd-operator*'`."


def pass_on(words: Sequence[str], environ: Mapping[str, str] = os.environ) -> int | None:
    """Have the service carry out these words, print the output and return the exit code; None if it is not asked."""
    output = output_of(words, environ)
    if output is None:
        return None
    if _watches(words) and output.stdout:
        return _watch(words, environ)
    for stream, said in ((sys.stdout, output.stdout), (sys.stderr, output.stderr)):
        _print(stream, "\n".join(map(plain, said.split("\n"))))
    return output.code


def _print(stream: TextIO, said: str) -> None:
    try:
        stream.write(said)
        stream.flush()
    except BrokenPipeError:  # whoever reads it has had enough; Python flushes once more when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _watches(words: Sequence[str]) -> bool:
    return UserCommand.of(words).watches and "--json" not in words


def _watch(words: Sequence[str], environ: Mapping[str, str]) -> int:
    """Ask again and again for what is to be watched, and show it, until Ctrl-C; return the last exit code.

    Each question starts a process of the service, so it is not put every second.
    """
    from xnat_watchd.interfaces.cli.watching import Look, watch

    last = Look("", "", 0)

    def take(height: int | None, page: int, known: str) -> Look:
        nonlocal last
        told = {"--height": height, "--page": page, "--seen": known}
        output = output_of([*words, *(f"{name}={value}" for name, value in told.items() if value)], environ)
        if output is None:  # what was seen last stays on the screen, and the next answer is shown whatever it says
            seen = "" if known else f"{last.text}\n\n"
            return Look(f"{seen}{BUSY}\n{LATER}", BUSY, last.code)
        state, _, text = output.stdout.partition("\n")
        shown = "\n".join(map(plain, (text or output.stderr).split("\n"))).rstrip()
        last = Look(shown, state or shown, output.code)
        return last

    try:
        return watch(take, ASKED_EVERY)
    except BrokenPipeError:  # as in `_print`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return last.code


def output_of(words: Sequence[str], environ: Mapping[str, str] = os.environ) -> CommandOutput | None:
    """Return the output of these words if the service carries them out; None if this process is to do it.

    Passed on is a command that the service carries out for users, about the service of this machine, from a user who
    may not open its ledger. Nothing names another service: no option before the command, and no variable of ours.
    """
    try:
        command = UserCommand.of(words)
    except NotPermitted:
        return None
    if os.geteuid() == 0 or _names_another(environ) or _owns_ledger(environ):
        return None
    return _asked(words, command)


def _names_another(environ: Mapping[str, str]) -> bool:
    from xnat_watchd.adapters.config import PREFIX

    return any(name.startswith(PREFIX) for name in environ)


def _owns_ledger(environ: Mapping[str, str]) -> bool:
    from xnat_watchd.interfaces.cli.locations import find_locations

    try:
        return find_locations(None, environ).ledger.path.parent.stat().st_uid == os.geteuid()
    except (Refusal, OSError):  # this user may not even read where it is
        return False


def _asked(words: Sequence[str], command: UserCommand) -> CommandOutput | None:
    from xnat_watchd.adapters.operator_socket import WIDEST, UserRequest, ask

    columns = max(1, min(shutil.get_terminal_size().columns, WIDEST))
    try:
        output = ask(UserRequest(tuple(words), columns, sys.stdout.isatty()))
    except PermissionError:
        raise NoReadAccess("this user may not ask the service of this machine", advice=HOW_TO_JOIN) from None
    except OSError:  # nobody listens there: the command tells what it can without the ledger
        return None
    if output is None and command.name != PUBLISHED:
        raise Occupied(BUSY, advice=LATER)
    return output
