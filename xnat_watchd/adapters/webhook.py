"""Messages as JSON by HTTP. A redirect is not followed, and of the answer only the status is read."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from json import dumps
from urllib.parse import urlsplit

from xnat_watchd.adapters.bounded_connection import LONGEST, connected
from xnat_watchd.core.errors import NotSent


def post(url: str, fields: Mapping[str, str], longest: float = LONGEST, tls: ssl.SSLContext | None = None) -> None:
    """Post these fields as JSON; nothing if there are none. Raise `NotSent`, whose text does not repeat the path.

    The path may hold a token. `longest`: seconds for everything. `tls`: instead of the authorities of the machine.
    """
    parts = urlsplit(url)
    host, safe = parts.hostname or "", parts.scheme == "https"
    body = dumps(fields).encode() if fields else b""
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    context = (tls or ssl.create_default_context()) if safe else None
    try:
        with connected(host, parts.port or (443 if safe else 80), context, longest) as line:
            status = _asked(parts.netloc, line, path, body)
    except (OSError, HTTPException, UnicodeError) as error:
        raise NotSent(f"{host} cannot be reached or does not answer ({type(error).__name__})") from error
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise NotSent(f"{host} does not take it: it answered {status}")


def _asked(address: str, line: object, path: str, body: bytes) -> int:
    connection = HTTPConnection(address)
    connection.sock = line
    connection.request("POST", path, body, {"Content-Type": "application/json", "Connection": "close"})
    return connection.getresponse().status
