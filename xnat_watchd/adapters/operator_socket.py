"""The socket through which users of this machine ask its service, and what the kernel says about who asks.

systemd accepts each connection and starts a process of its own for it. One request and one output are exchanged, each
a JSON object that ends with the sender's side of the connection. The daemon takes no part in it.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xnat_watchd.adapters.peers import uid_over_unix
from xnat_watchd.core.access import UserAccess, access_of

SOCKET = Path("/run/xnat-watchd-operator.socket")  #: as the unit names it (`ListenStream=`)
LONGEST_REQUEST = 16 << 10  #: bytes
LONGEST_OUTPUT = 8 << 20  #: bytes
PATIENCE = 5.0  #: seconds in which a request must have come, and an output must have been taken
WIDEST = 1000  #: columns

_PIECE = 64 << 10


class BadMessage(Exception):
    """What came over the socket is no request, or no output: too long, too late, cut, or of another form."""


@dataclass(frozen=True, slots=True)
class Requester:
    """The user at the other end of the connection, by what the kernel says of who opened it."""

    uid: int
    name: str
    access: UserAccess


@dataclass(frozen=True, slots=True)
class UserRequest:
    """A command as it was typed, and the terminal on which its output will be shown."""

    words: tuple[str, ...]
    columns: int
    terminal: bool


@dataclass(frozen=True, slots=True)
class CommandOutput:
    """What the command has printed, and its exit code."""

    code: int
    stdout: str
    stderr: str


def requester_at(connection: socket.socket) -> Requester:
    """Return who opened the connection."""
    return requester_of(uid_over_unix(connection))


def requester_of(uid: int) -> Requester:
    """Return a user by number. The groups are those of the user database, so a change counts at once."""
    try:
        return _requester(pwd.getpwuid(uid))
    except KeyError:  # a user without a name is in no group
        return Requester(uid, f"number {uid}", access_of(uid, ()))


def requester_named(name: str) -> Requester | None:
    """Return a user by login name; None if this machine knows none of that name."""
    try:
        return _requester(pwd.getpwnam(name))
    except (KeyError, ValueError):  # no such name; one with a zero byte
        return None


def _requester(user: pwd.struct_passwd) -> Requester:
    groups = {*_named(os.getgrouplist(user.pw_name, user.pw_gid))}
    return Requester(user.pw_uid, user.pw_name, access_of(user.pw_uid, groups))


def _named(groups: Iterable[int]) -> Iterator[str]:
    for group in groups:
        with suppress(KeyError):  # a group without a name
            yield grp.getgrgid(group).gr_name


def receive_request(connection: socket.socket) -> UserRequest:
    """Return the request. Raise `BadMessage` if none comes in time."""
    sent = _received(connection, LONGEST_REQUEST, PATIENCE)
    match sent:
        case {"words": [*words], "columns": int(columns), "terminal": bool(terminal)} if (
            all(isinstance(word, str) for word in words) and 0 < columns <= WIDEST
        ):
            return UserRequest(tuple(words), columns, terminal)
        case _:
            raise BadMessage("this is no request")


def send_output(connection: socket.socket, output: CommandOutput) -> None:
    """Send the output. Raise `OSError` if nobody takes it in time. A very long output becomes a refusal."""
    sent = _encoded(asdict(output))
    if len(sent) > LONGEST_OUTPUT:
        sent = _encoded(asdict(CommandOutput(1, "", "This is too long to be passed on. Put `sudo` in front.\n")))
    _send(connection, sent, PATIENCE)


def ask(request: UserRequest, path: Path = SOCKET) -> CommandOutput | None:
    """Have a command carried out, and return its output; None if the other side gives none, since it is too busy.

    Raise `OSError` if this user may not ask, or nobody listens.
    """
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
        try:
            _send(connection, _encoded(asdict(request)), PATIENCE)
            sent = _received(connection, LONGEST_OUTPUT, None)
        except (BadMessage, OSError):
            return None
    match sent:
        case {"code": int(code), "stdout": str(stdout), "stderr": str(stderr)}:
            return CommandOutput(code, stdout, stderr)
        case _:
            return None


def _encoded(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode("ascii")


def _send(connection: socket.socket, content: bytes, seconds: float) -> None:
    connection.settimeout(seconds)  # of all of it: see `socket.sendall`
    connection.sendall(content)
    connection.shutdown(socket.SHUT_WR)


def _received(connection: socket.socket, longest: int, seconds: float | None) -> Any:
    """Return the object that the other side sends until it ends. Raise `BadMessage` if it sends anything else."""
    end = None if seconds is None else time.monotonic() + seconds
    content = bytearray()
    try:
        while piece := _piece(connection, end):
            content += piece
            if len(content) > longest:
                raise BadMessage("it is too long")
        return json.loads(content)
    except TimeoutError:
        raise BadMessage("it did not end in time") from None
    except (ValueError, RecursionError):
        raise BadMessage("it is not JSON") from None


def _piece(connection: socket.socket, end: float | None) -> bytes:
    connection.settimeout(None if end is None else max(end - time.monotonic(), 0.001))
    return connection.recv(_PIECE)
