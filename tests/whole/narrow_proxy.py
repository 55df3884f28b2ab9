"""A proxy before the practice XNAT that takes no large body, as nginx does from 1 MB on if nobody has told it more."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

PAGE = b"<html><head><title>413 Request Entity Too Large</title></head></html>"
HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "content-length", "date", "server"})
PIECE = 65536


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    behind: tuple[str, int]
    largest: int

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _pass_on(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        if size > self.largest:
            self._refuse(size)
            return
        line = http.client.HTTPConnection(*self.behind, timeout=60)
        named = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        line.request(self.command, self.path, self.rfile.read(size) or None, named)
        answer = line.getresponse()
        self._answer(answer.status, answer.read(), answer.getheaders())
        line.close()

    def _refuse(self, size: int) -> None:
        self.close_connection = True
        self._answer(413, PAGE, [("Content-Type", "text/html"), ("Connection", "close")])
        while size > 0 and (piece := self.rfile.read(min(size, PIECE))):
            size -= len(piece)

    def _answer(self, status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in HOP_BY_HOP - {"connection"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _pass_on  # noqa: N815 - as the base class looks for them


@contextmanager
def narrow_proxy(server: str, largest: int) -> Iterator[str]:
    """Yield the address of a proxy that answers 413 to a body of more than `largest` bytes."""
    where = urlsplit(server)
    kind = type("Proxy", (_Proxy,), {"behind": (where.hostname, where.port), "largest": largest})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{proxy.server_port}"
        finally:
            proxy.shutdown()
            thread.join()
