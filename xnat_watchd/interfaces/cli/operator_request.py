"""`operator-request`: carry out one command for a user of this machine, who has connected to the service's socket.

systemd starts it for each connection, as the service's user, with the connection as standard input. Nothing counts of
what users say about themselves, only what the kernel says. Their words are read in bounds, and only those that
`user_commands` permits are carried out.
"""

from __future__ import annotations

import io
import os
import socket
import sys
from contextlib import closing, redirect_stderr, redirect_stdout, suppress

import click

from xnat_watchd.adapters.operator_socket import (
    BadMessage,
    CommandOutput,
    Requester,
    UserRequest,
    receive_request,
    requester_at,
    send_output,
)
from xnat_watchd.adapters.systemd import journal
from xnat_watchd.core.access import HOW_TO_JOIN, WHO_DECIDES, UserAccess
from xnat_watchd.core.errors import FAILURES, Refusal
from xnat_watchd.interfaces.cli.failures import code_of, text_of
from xnat_watchd.interfaces.cli.options import CommandOptions
from xnat_watchd.interfaces.cli.user_commands import NotPermitted, UserCommand
from xnat_watchd.operator.status import Exit

NOT_PERMITTED = CommandOutput(Exit.USAGE, "", "The service does not carry this out for others.\n")
FAULT = CommandOutput(Exit.FAULT, "", "This is a fault of the program. Ask root to look at the service's journal.\n")


@click.command(hidden=True)
def operator_request() -> None:
    """Carry out the command that comes over standard input, a socket. The unit xnat-watchd-operator@ runs this."""
    with closing(_connection()) as connection:
        try:
            request = receive_request(connection)
        except (BadMessage, OSError):
            return  # no `xnat-watchd` has sent this, and nobody waits for a sentence
        output = FAULT
        try:
            output = output_for(request, requester_at(connection))
        finally:
            with suppress(OSError):  # nobody waits for it any more
                send_output(connection, output)


def output_for(request: UserRequest, requester: Requester) -> CommandOutput:
    """Carry out what a user asks for, if that is permitted, and return what the user is to see."""
    try:
        command = UserCommand.of(request.words)
    except NotPermitted:
        return NOT_PERMITTED
    may = requester.access >= command.access
    output = _carried_out(command, request, requester) if may else _refused(command)
    if may and command.looks_again:  # who watches is in the journal once, and not every few seconds
        return output
    said = f"user={requester.name} command={command.name} items={','.join(command.items)} exit={output.code}"
    sys.stderr.write(f"{journal.mark('info', sys.stderr, os.environ)}operator.request {said}\n")
    return output


def _refused(command: UserCommand) -> CommandOutput:
    what = f"look for names with `{command.name}`" if command.names else f"type `{command.name}`"
    advice = HOW_TO_JOIN if command.access is UserAccess.LOOK else WHO_DECIDES
    error = Refusal(f"this user may not {what}", advice=advice)
    return CommandOutput(code_of(error), "", text_of(error))


def _carried_out(command: UserCommand, request: UserRequest, requester: Requester) -> CommandOutput:
    from xnat_watchd.interfaces.cli import commands

    os.environ["COLUMNS"] = str(request.columns)
    stdout, stderr, code = _Screen(terminal=request.terminal), io.StringIO(), 0
    with redirect_stdout(stdout), redirect_stderr(stderr):
        try:
            commands.main(command.words(), prog_name="xnat-watchd", obj=CommandOptions(requester=requester))
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except FAILURES as error:
            stderr.write(text_of(error))
            code = code_of(error)
    return CommandOutput(code, stdout.getvalue(), stderr.getvalue())


class _Screen(io.StringIO):
    """Text that will be shown on the user's terminal, or will go into a file or a program."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def _connection() -> socket.socket:
    """Return the connection. No command finds it as its standard input."""
    try:
        connection = socket.socket(fileno=os.dup(sys.stdin.fileno()))
        connection.getpeername()
    except OSError:
        raise click.UsageError("a unit of systemd runs this command, with a connection as standard input") from None
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a device
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    return connection
