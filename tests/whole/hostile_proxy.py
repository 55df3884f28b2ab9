"""A proxy before the practice XNAT that answers some questions itself, as a server does that means us ill."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from socketserver import StreamRequestHandler
from threading import Event, Thread
from typing import Self, cast

from tests.proxies import ProxyServer, asked

SIZE = 63 << 20  #: bytes of a long answer
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
Pieces = Iterator[tuple[bytes, float]]  #: what is sent, and seconds to wait after it
_COOKIES = count()


def _whole(body: bytes) -> Pieces:
    yield OK + b"Content-Length: %d\r\n\r\n" % len(body) + body, 0.0


def _again(head: bytes, piece: bytes, pause: float) -> Pieces:
    yield head, 0.0
    while True:
        yield piece, pause


def _cookies() -> Pieces:
    names = (b"Set-Cookie: c%d=%s; Path=/\r\n" % (next(_COOKIES), b"v" * 3000) for _ in range(80))
    yield OK + b"".join(names) + b'Content-Length: 27\r\n\r\n{"ResultSet":{"Result":[]}}', 0.0


def _table(row: bytes) -> Pieces:
    return _whole(b'{"ResultSet":{"Result":[' + (row + b",") * (SIZE // (len(row) + 1)) + row + b"]}}")


KINDS: dict[str, Callable[[], Pieces]] = {
    "objects": lambda: _table(b'{"a":""}'),
    "rows": lambda: _table(b'{"ID":"XNAT_E00000000","label":"a","UID":"1.2","project":"EVIL"}'),
    "lists": lambda: _table(b"[]"),
    "attributes": lambda: _whole(b"<x " + b" ".join(b'a%d=""' % n for n in range(3_000_000)) + b"/>"),
    "cookies": _cookies,
    "a body, byte by byte": lambda: _again(OK + b"Content-Length: 100000\r\n\r\n", b" ", 1.0),
    "preliminary answers": lambda: _again(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 0.0),
    "preliminary answers, now and then": lambda: _again(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.5),
}


class HostileProxy:
    """Passes everything on, but for what is asked below `pattern` once there is one."""

    def __init__(self, upstream: str) -> None:
        self.upstream = int(upstream.rsplit(":", 1)[1])
        self.kind, self.pattern = "", ""
        self.hits = 0
        self.over = Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ProxyServer):
    proxy: HostileProxy


class _Handler(StreamRequestHandler):
    def handle(self) -> None:
        proxy = cast("_Server", self.server).proxy
        with suppress(OSError):
            request = asked(self.rfile)
            if request is None:
                return
            if proxy.kind and re.search(proxy.pattern, request.first.decode()):
                proxy.hits += 1
                for piece, pause in KINDS[proxy.kind]():
                    self.wfile.write(piece)
                    if proxy.over.wait(pause):
                        return
                return
            with request.passed_on(proxy.upstream) as answer:
                self.wfile.write(answer.readline() + b"Connection: close\r\n")
                while piece := answer.read1(1 << 16):
                    self.wfile.write(piece)
