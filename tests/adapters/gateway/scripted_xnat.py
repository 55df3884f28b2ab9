"""A server on loopback that logs us in as XNAT does and answers everything else as a test says, down to the socket."""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any, cast

Reply = Callable[["Asked"], None]


class Asked(BaseHTTPRequestHandler):
    """One request. A reply may answer, wait, or do worse to the connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.scripted.connections.append(self.connection)

    @property
    def scripted(self) -> ScriptedXnat:
        return cast("Server", self.server).scripted

    @property
    def length(self) -> int:
        return int(self.headers.get("Content-Length") or 0)

    def body(self) -> bytes:
        return self.rfile.read(self.length)

    def answer(self, status: int = 200, content: bytes | str = b"", **headers: str) -> None:
        """Answer; `_` in a header's name stands for `-`."""
        content = content.encode() if isinstance(content, str) else content
        self.send_response(status)
        for name, value in {"Content_Type": "text/plain", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def answer_json(self, value: object) -> None:
        self.answer(200, json.dumps(value), Content_Type="application/json")

    def handle_request(self) -> None:
        self.scripted.note(self)
        for method, pattern, reply in (*self.scripted.replies, *LOGIN):
            if self.command == method and re.search(pattern, self.path):
                reply(self)
                return
        self.body()
        self.answer(404, "<html><head><title>Status page</title></head><body><h3>not found</h3></body></html>")

    do_GET = do_POST = do_PUT = do_DELETE = handle_request  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Print nothing."""


def _log_in(asked: Asked) -> None:
    asked.body()
    scripted = asked.scripted
    with scripted.lock:
        scripted.logins += 1
        cookie = f"SESSION{scripted.logins:04}"
    asked.answer(200, cookie, Set_Cookie=f"JSESSIONID={cookie}; Path=/; HttpOnly")


LOGIN: tuple[tuple[str, str, Reply], ...] = (
    ("PUT", r"/data/services/auth$", _log_in),
    ("GET", r"/data/JSESSION$", _log_in),
    ("GET", r"/data/auth$", lambda asked: asked.answer(200, "User 'tech' is logged in")),
    ("GET", r"/xapi/siteConfig/buildInfo$", lambda asked: asked.answer_json({"version": asked.scripted.version})),
    ("DELETE", r"/data/JSESSION$", lambda asked: asked.answer(200)),
)


class Server(ThreadingHTTPServer):
    """Keeps no thread alive for a client that is gone."""

    daemon_threads = True
    scripted: ScriptedXnat

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Take a connection that breaks for what the test wanted."""


@dataclass
class ScriptedXnat:
    """What the server says, and what it was asked."""

    url: str = ""
    version: str = "1.8.10"
    replies: list[tuple[str, str, Reply]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    cookies: list[str] = field(default_factory=list)
    logins: int = 0
    connections: list[socket.socket] = field(default_factory=list)
    over: Event = field(default_factory=Event)  #: the test is over: whoever waits may go
    lock: Lock = field(default_factory=Lock)

    def on(self, method: str, pattern: str, reply: Reply | None = None, **answer: Any) -> None:
        """Reply to requests that fit; those said first come first."""
        self.replies.append((method, pattern, reply or (lambda asked: _plain(asked, answer))))

    def note(self, asked: Asked) -> None:
        with self.lock:
            self.asked.append((asked.command, asked.path))
            self.cookies.append(asked.headers.get("Cookie", ""))

    def count(self, method: str, pattern: str) -> int:
        with self.lock:
            return sum(one == method and re.search(pattern, path) is not None for one, path in self.asked)


def _plain(asked: Asked, answer: dict[str, Any]) -> None:
    asked.body()
    asked.answer(**answer)


@contextmanager
def scripted_xnat(context: ssl.SSLContext | None = None) -> Iterator[ScriptedXnat]:
    """Yield a running server, with TLS if a context is given."""
    scripted = ScriptedXnat()
    server = Server(("127.0.0.1", 0), Asked)
    server.scripted = scripted
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scripted.url = f"{'https' if context else 'http'}://localhost:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield scripted
    finally:
        scripted.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
        for connection in scripted.connections:
            with suppress(OSError):  # closed already
                connection.shutdown(socket.SHUT_RDWR)
