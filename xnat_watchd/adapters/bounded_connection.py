"""A connection that is cut off after some time, whatever the other side does: hang, drip, or answer without an end."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Timer
from time import monotonic

SILENCE = 10.0  #: seconds without an answer
LONGEST = 20.0  #: seconds for everything together


_Address = tuple[
    socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
]


@contextmanager
def connected(host: str, port: int, tls: ssl.SSLContext | None, longest: float = LONGEST) -> Iterator[socket.socket]:
    """Open a connection, with TLS if a context is given. It fails with `OSError` after `longest`.

    All addresses of the host are tried within that time. How long its name may take is the resolver's to bound.
    """
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    end = monotonic() + longest
    with _opened(addresses, end) as plain, plain.dup() as same:
        plain.settimeout(min(SILENCE, longest))
        # Through a second handle of the same connection: TLS takes the first one over.
        timer = Timer(end - monotonic(), _cut, (same,))
        timer.daemon = True
        timer.start()
        try:
            if tls is None:
                yield plain
            else:
                with tls.wrap_socket(plain, server_hostname=host) as wrapped:
                    yield wrapped
        finally:
            timer.cancel()
            timer.join()  # so that it cuts nothing off that has got the same number since


def _opened(addresses: Iterable[_Address], end: float) -> socket.socket:
    """Return a connection to the first address that takes one. All share the time until the end."""
    failed = OSError("the host has no address")
    for address in addresses:
        left = end - monotonic()
        if left <= 0:
            break
        try:
            return _to(address, min(SILENCE, left))
        except OSError as error:
            failed = error
    raise failed


def _to(address: _Address, longest: float) -> socket.socket:
    family, kind, protocol, _, where = address
    plain = socket.socket(family, kind, protocol)
    try:
        plain.settimeout(longest)
        plain.connect(where)
    except OSError:
        plain.close()
        raise
    return plain


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
