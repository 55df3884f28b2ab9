"""The HTTP server of the practice XNAT: HTTP/1.1 with persistent connections, on loopback only."""

from __future__ import annotations

import socket
import ssl
import struct
import sys
from collections.abc import Callable
from errno import EINVAL
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Lock, Thread
from typing import Any, BinaryIO, cast
from urllib.parse import unquote, urlsplit

from .answers import Reply
from .application import Application
from .effects import ConnectionCut, Exchange
from .faults import Faults
from .request import Body, Parameters, Request

LOOPBACK = "127.0.0.1"
PIECE = 1024 * 1024
RecordedRequest = tuple[str, str, str, int]


class RequestHandler(BaseHTTPRequestHandler):
    """Answers the requests of one connection, one after the other."""

    protocol_version = "HTTP/1.1"
    server_version = "Noelios-Restlet-Engine/1.1.6"
    sys_version = ""
    disable_nagle_algorithm = True
    rbufsize = 256 * 1024

    def handle_one_request(self) -> None:
        """Read one request and answer it; a broken connection is not an error of the sandbox."""
        try:
            super().handle_one_request()
        except ConnectionCut as cut:
            self._end(breaks=cut.breaks)
        except ConnectionError:
            self.close_connection = True

    def answer_request(self) -> None:
        """Answer a request with any method."""
        server = cast("Server", self.server)
        effect = server.faults.take(self.command, self.path)
        request = self._request(lambda taken: effect.reading(exchange, taken), effect.count)
        exchange = Exchange(request, server.application, lambda early: self._send(request, early), self._hang_up)
        try:
            answer = effect.before(exchange) or server.application.answer(request)
            answer = effect.after(exchange, answer)
            request.body.drain()
        except ConnectionError:
            server.note(request, 0)
            raise
        server.note(request, answer.status)
        self._send(request, answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = answer_request  # noqa: N815 - the base class's names

    def _request(self, watch: Callable[[int], None], stop_at: int | None) -> Request:
        parts = urlsplit(self.path)
        chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
        length = None if chunked else _length(self.headers.get("Content-Length", ""))
        return Request(
            self.command,
            unquote(parts.path),
            tuple(unquote(part) for part in parts.path.split("/") if part),
            Parameters.of(parts.query),
            cast("Any", self.headers),
            Body(cast("BinaryIO", self.rfile), length, watch, stop_at),
            raw_query=parts.query,
        )

    def _send(self, request: Request, answer: Reply) -> None:
        self.send_response(answer.status)
        for name, value in self._headers(request, answer):
            self.send_header(name, value)
        self.end_headers()
        if request.method == "HEAD":
            return
        if isinstance(answer.body, Path):
            with answer.body.open("rb") as file:
                if answer.passes:
                    answer.body.unlink()
                self.connection.sendfile(file)
        else:
            self.wfile.write(answer.body)

    def _headers(self, request: Request, answer: Reply) -> list[tuple[str, str]]:
        site = cast("Server", self.server).application.site
        seconds = int(site.options.session_timeout.total_seconds())
        expiry = f'"{int(site.now().timestamp() * 1000)},{seconds * 1000}"'
        found = [("Set-Cookie", f"SESSION_EXPIRATION_TIME={expiry}; Version=1; Path=/")]
        if request.new_cookie:
            found.insert(0, ("Set-Cookie", f"JSESSIONID={request.new_cookie}; Path=/; HttpOnly"))
        if answer.media:
            found.append(("Content-Type", answer.media))
        given = dict(answer.headers)
        length = given.pop("X-Content-Length", str(answer.size))  # a cut answer states more than it has
        return [*found, *given.items(), ("Content-Length", length)]

    def _hang_up(self) -> None:
        """Close the connection while the work goes on."""
        _hang_up(self.connection)

    def _end(self, *, breaks: bool) -> None:
        """End the connection, where `breaks` with a reset."""
        if breaks:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Write no log: the tests and the demo read the list of requests instead."""


class Server(ThreadingHTTPServer):
    """Listens on loopback, and keeps a list of its connections so that it can end them all."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, application: Application, faults: Faults, port: int, tls: ssl.SSLContext | None = None) -> None:
        super().__init__((LOOPBACK, port), RequestHandler)
        self._scheme = "https" if tls else "http"
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.application, self.faults = application, faults
        self.requests: list[RecordedRequest] = []
        self.failures: list[BaseException] = []
        self._connections: set[socket.socket] = set()
        self._lock = Condition(Lock())
        self._thread = Thread(target=self._accept, name="sandbox")

    @property
    def url(self) -> str:
        """The URL at which it listens."""
        return f"{self._scheme}://{LOOPBACK}:{self.server_address[1]}"

    def start(self) -> None:
        """Start to listen."""
        self._thread.start()

    def stop(self) -> None:
        """End every connection and thread."""
        _hang_up(self.socket)
        self._thread.join()
        with self._lock:
            for connection in self._connections:
                _hang_up(connection)
        self.server_close()

    def _accept(self) -> None:
        """Accept connections until `stop`; `serve_forever` would poll for it, which costs time in every test."""
        while True:
            try:
                connection, address = self.get_request()
            except OSError as error:
                if error.errno == EINVAL:  # Linux, after the listening socket was shut down
                    return
                continue  # the client went away before it was accepted
            self.process_request(connection, address)

    def note(self, request: Request, status: int) -> None:
        """Record a request and the status of its answer, 0 where it was not answered."""
        with self._lock:
            self.requests.append((request.method, request.path, request.raw_query, status))
            self._lock.notify_all()

    def wait_for_requests(self, count: int, seconds: float) -> bool:
        """Wait until `count` requests were answered or broken off, and return whether they were in time."""
        with self._lock:
            return self._lock.wait_for(lambda: len(self.requests) >= count, seconds)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Record a connection until it ends, and serve it."""
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Remove a connection that ends from the list."""
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's names
        """Record an error of the sandbox itself, which `Sandbox.stop` raises."""
        error = sys.exc_info()[1]
        if error and not isinstance(error, ConnectionError):
            self.failures.append(error)


def _length(value: str) -> int:
    return int(value) if value.isascii() and value.isdigit() else 0


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the client has closed it already
