"""A connection that is cut off after some time, whatever the other side does: hang, drip, or answer without an end."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Timer

SILENCE = 10.0  #: seconds without an answer
LONGEST = 20.0  #: seconds for everything together


@contextmanager
def connected(host: str, port: int, tls: ssl.SSLContext | None, longest: float = LONGEST) -> Iterator[socket.socket]:
    """Open a connection, with TLS if a context is given. Everything on it fails with `OSError` after `longest`."""
    with socket.create_connection((host, port), min(SILENCE, longest)) as plain, plain.dup() as same:
        # Through a second handle of the same connection: TLS takes the first one over.
        timer = Timer(longest, _cut, (same,))
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


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
