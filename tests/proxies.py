"""What proxies before the practice XNAT have in common: a server that bears anything, and a request passed on whole."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase, BufferedReader
from socketserver import ThreadingTCPServer
from typing import Any


class ProxyServer(ThreadingTCPServer):
    """A server whose clients may hang up at any moment."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report nothing: a client that is sent nonsense hangs up."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came."""

    first: bytes
    headers: list[bytes]
    body: bytes

    @contextmanager
    def passed_on(self, upstream: int) -> Iterator[BufferedReader]:
        """Send it to this port of our machine, and provide the answer to be read."""
        kept = [one for one in self.headers if not one.lower().startswith(b"connection:")]
        with socket.create_connection(("127.0.0.1", upstream)) as xnat:
            xnat.sendall(self.first + b"".join(kept) + b"Connection: close\r\n\r\n" + self.body)
            with xnat.makefile("rb") as answer:
                yield answer


def asked(stream: BufferedIOBase) -> Asked | None:
    """Read one request; None where the client has hung up."""
    first, headers = stream.readline(), list(iter(stream.readline, b"\r\n"))
    if not first:
        return None
    lengths = [int(one.split(b":")[1]) for one in headers if one.lower().startswith(b"content-length:")]
    return Asked(first, headers, stream.read(sum(lengths)))
