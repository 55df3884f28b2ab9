"""Messages as JSON by HTTP. A redirect is not followed, and of the answer only the status is read."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from json import dumps
from urllib.parse import SplitResult, urlsplit

from xnat_watchd.adapters.bounded_connection import LONGEST, connected
from xnat_watchd.core.errors import NotSent


def post(url: str, fields: Mapping[str, str], longest: float = LONGEST, tls: ssl.SSLContext | None = None) -> None:
    """Post these fields as JSON; nothing if there are none. Raise `NotSent`, whose text does not repeat the path.

    The path may hold a token. `longest`: seconds for everything. `tls`: instead of the authorities of the machine.
    """
    parts = urlsplit(url)
    body = dumps(fields).encode() if fields else b""
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with _line_to(parts, longest, tls) as line:
        status = _asked(parts.netloc, line, path, body)
    host = parts.hostname
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise NotSent(f"{host} does not take it: it answered {status}")


def host_of(url: str) -> str:
    """Return the host of an address: all of it that may be shown."""
    return urlsplit(url).hostname or ""


def reach(url: str, longest: float = LONGEST, tls: ssl.SSLContext | None = None) -> None:
    """Connect, with TLS if the address says so, and ask nothing. Raise `NotSent` as `post` does."""
    with _line_to(urlsplit(url), longest, tls):
        pass


@contextmanager
def _line_to(parts: SplitResult, longest: float, tls: ssl.SSLContext | None) -> Iterator[socket.socket]:
    """Open a connection, on which errors become `NotSent`."""
    host, safe = parts.hostname or "", parts.scheme == "https"
    context = (tls or ssl.create_default_context()) if safe else None
    try:
        with connected(host, parts.port or (443 if safe else 80), context, longest) as line:
            yield line
    except (OSError, HTTPException, UnicodeError) as error:
        raise NotSent(f"{host} cannot be reached or does not answer ({type(error).__name__})") from error


def _asked(address: str, line: socket.socket, path: str, body: bytes) -> int:
    connection = HTTPConnection(address)
    connection.sock = line
    connection.request("POST", path, body, {"Content-Type": "application/json", "Connection": "close"})
    return connection.getresponse().status
