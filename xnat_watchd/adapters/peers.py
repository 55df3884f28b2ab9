"""Which user's process holds the other end of a connection within this machine, by what the kernel says."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

_CREDENTIALS = struct.Struct("=iII")  #: process, user and group (unix(7), SO_PEERCRED)
_CONNECTIONS = Path("/proc/self/net/tcp")
_ESTABLISHED = "01"
_NO_INODE = "0"


def uid_over_unix(connection: socket.socket) -> int:
    """Return the user who opened a connection of a Unix socket."""
    said = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(said)
    return int(uid)


def uid_over_loopback(connection: socket.socket) -> int | None:
    """Return the user whose process holds the other end of an IPv4 connection; None if that cannot be told.

    A socket that its process has closed is listed as root's, with no inode: of such a one nothing is believed.
    """
    here, there = _as_listed(connection.getsockname()), _as_listed(connection.getpeername())
    try:
        lines = _CONNECTIONS.read_text("ascii").splitlines()[1:]
    except (OSError, UnicodeDecodeError):
        return None
    for line in lines:
        _, local, remote, state, _, _, _, uid, _, inode, *_ = line.split()
        if (local, remote) == (there, here):
            return int(uid) if state == _ESTABLISHED and inode != _NO_INODE else None
    return None


def _as_listed(address: tuple[str, int]) -> str:
    """Return an address as the kernel lists it: the bytes of the number in this machine's order, and the port."""
    (number,) = struct.unpack("=I", socket.inet_aton(address[0]))
    return f"{number:08X}:{address[1]:04X}"
