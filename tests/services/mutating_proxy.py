"""A proxy before the practice XNAT that changes answers on their way: status, bytes, types in JSON, sizes, headers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from socketserver import StreamRequestHandler
from threading import Lock, Thread
from typing import Any, Self, cast
from zlib import crc32

from tests.proxies import ProxyServer, asked

STATUSES = (200, 201, 204, 206, 301, 302, 304, 400, 401, 403, 404, 405, 409, 410, 413, 417, 422, 423, 429, 500, 502,
            503, 504, 505, 599, 999)  # fmt: skip
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><form><h3>Log in</h3></form></body></html>"
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 10**400, 1.5, "", " ", "\ud800", "\0", "x" * 5000, "../../etc", "P1", [], {}, [[]],
    {"ID": None}, "20240101_101010101", "Quokka&#8217;s", "1.2.3", "/data/archive/experiments/XNAT_E00001",
)  # fmt: skip
HEADERS = (b"Set-Cookie: JSESSIONID=0123456789ABCDEF; Path=/", b"Content-Type: text/html; charset=utf-16",
           b"X-A: \xff\xfe",
           b"Retry-After: 99999999999", b"Retry-After: Wed, 01 Jan 9999 00:00:00 GMT", b"Location: http://127.0.0.1:9/",
           b'Set-Cookie: SESSION_EXPIRATION_TIME="x,0"; Path=/', b"Date: never")  # fmt: skip


@dataclass(slots=True)
class Reply:
    """An answer on its way. `length` is what its header says; None: what the body has."""

    status: int
    headers: list[bytes]
    body: bytes
    length: int | None = None

    def packed(self) -> bytes:
        length = len(self.body) if self.length is None else self.length
        lines = (b"HTTP/1.1 %d Said" % self.status, *self.headers, b"Content-Length: %d" % length, b"Connection: close")
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body


def _status(reply: Reply, chance: Random) -> None:
    reply.status = chance.choice(STATUSES)


def _bytes(reply: Reply, chance: Random) -> None:
    body = bytearray(reply.body)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(body) + 1)
        match chance.randrange(4):
            case 0:
                body[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del body[at : at + chance.randint(1, 40)]
            case 2:
                body[at:at] = chance.randbytes(chance.randint(1, 40))
            case _:
                body[at:at] = body[max(at - 30, 0) : at]
    reply.body = bytes(body)


def _cut(reply: Reply, chance: Random) -> None:
    whole = len(reply.body)
    reply.body = reply.body[: chance.randrange(whole + 1)]
    reply.length = whole if chance.random() < 0.5 else None


def _types(reply: Reply, chance: Random) -> None:
    try:
        told = json.loads(reply.body)
    except ValueError:
        reply.body = chance.choice([b"", b"null", b"[]", b"{}", b'""', b"0", PAGE])
        return
    for _ in range(chance.randint(1, 3)):
        holders = list(_holders(told))
        if not holders:
            told = chance.choice(VALUES)
            break
        holder, key = chance.choice(holders)
        holder[key] = chance.choice(VALUES)
    reply.body = json.dumps(told).encode()


def _holders(value: Any) -> list[tuple[Any, Any]]:
    """Return every place in a document where a value stands."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [found for key in keys for found in _holders(value[key])]


def _size(reply: Reply, chance: Random) -> None:
    match chance.randrange(3):
        case 0:
            reply.body += b" " * (3 << 20)
        case 1:
            reply.body = b"[" * 100_000
        case _:
            reply.body = reply.body * 200


def _page(reply: Reply, _: Random) -> None:
    reply.body = PAGE


def _header(reply: Reply, chance: Random) -> None:
    reply.headers.append(chance.choice(HEADERS))


def _none(reply: Reply, _: Random) -> None:
    reply.body, reply.headers = b"", []


MUTATIONS: tuple[Callable[[Reply, Random], None], ...] = (
    _status,
    _bytes,
    _cut,
    _types,
    _types,
    _size,
    _page,
    _header,
    _none,
)


class MutatingProxy:
    """Passes everything on; once it is `on`, changes so many of the answers, or each one to some of the questions."""

    def __init__(self, upstream: str, seed: int) -> None:
        self.upstream = int(upstream.rsplit(":", 1)[1])
        self.on = False
        self.changed: list[str] = []  #: what was done to which answer, for who looks into a failure
        self._chance, self._seed, self._lock = Random(seed), seed, Lock()
        self._share = self._chance.choice([0.05, 0.2, 0.5])
        self._always = self._chance.random() < 0.4  #: the same question is answered badly whenever it is asked
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def told(self, asked: str, reply: Reply) -> bytes:
        """Return an answer as it goes on."""
        with self._lock:
            if self.on and self._is_chosen(asked):
                mutation = self._chance.choice(MUTATIONS)
                mutation(reply, self._chance)
                self.changed.append(f"{mutation.__name__} {reply.status} {asked}")
            return reply.packed()

    def _is_chosen(self, asked: str) -> bool:
        if not self._always:
            return self._chance.random() < self._share
        kind = re.sub(r"[0-9]+|watchd-[^/&?]*", "", asked.partition("?")[0])
        return crc32(f"{self._seed} {kind}".encode()) % 1000 < 1000 * self._share


class _Server(ProxyServer):
    proxy: MutatingProxy


class _Handler(StreamRequestHandler):
    def handle(self) -> None:
        proxy = cast("_Server", self.server).proxy
        with suppress(OSError):
            request = asked(self.rfile)
            if request is None:
                return
            with request.passed_on(proxy.upstream) as answer:
                whole = answer.read()
            self.wfile.write(proxy.told(request.first.decode().rsplit(" ", 1)[0], _parsed(whole)))


def _parsed(whole: bytes) -> Reply:
    head, _, body = whole.partition(b"\r\n\r\n")
    first, *headers = head.split(b"\r\n")
    kept = [one for one in headers if not one.lower().startswith((b"content-length:", b"connection:", b"transfer-"))]
    if any(b"chunked" in one.lower() for one in headers):
        body = _dechunked(body)
    return Reply(int(first.split()[1]), kept, body)


def _dechunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        whole, body = whole + body[: int(size, 16)], body[int(size, 16) + 2 :]
    return whole
