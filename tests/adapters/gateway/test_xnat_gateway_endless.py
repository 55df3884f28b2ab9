"""A server that never comes to an end: neither our time nor our memory is its to take, and a stop is obeyed at once."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.adapters.gateway.gateway_kit import PLACE, failure, server_at
from tests.adapters.gateway.hostile_answers import BODIES
from tests.adapters.gateway.scripted_xnat import Asked, ScriptedXnat
from xnat_watchd.adapters.xnat import sockets
from xnat_watchd.adapters.xnat.answers import Answer, document, session_xml, table
from xnat_watchd.adapters.xnat.gateway import XnatGateway
from xnat_watchd.core.errors import Stopped, Transient, Unavailable

MOST_MEMORY = 250  #: MB, of the whole process
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
QUICK = ("letters of four bytes", "lists in lists", "attributes")


def again(piece: bytes, pause: float = 0.0) -> Callable[[], Iterator[tuple[bytes, float]]]:
    """Return a function whose generator sends one piece for ever."""

    def pieces() -> Iterator[tuple[bytes, float]]:
        while True:
            yield piece, pause

    return pieces


ENDLESS: dict[str, tuple[bytes, Callable[[], Iterator[tuple[bytes, float]]]]] = {
    "preliminary answers": (b"", again(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)),
    "preliminary answers, now and then": (b"", again(b"HTTP/1.1 100 Continue\r\n\r\n", 0.1)),
    "a head, byte by byte": (OK + b"X-A: ", again(b"a", 0.1)),
    "a body, byte by byte": (OK + b"Content-Length: 100000\r\n\r\n", again(b" ", 0.1)),
    "chunks, byte by byte": (OK + b"Transfer-Encoding: chunked\r\n\r\n", again(b"1\r\n \r\n", 0.1)),
    "a chunk's length": (OK + b"Transfer-Encoding: chunked\r\n\r\n", again(b"0", 0.1)),
    "trailers": (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", again(b"X-A: a\r\n", 0.1)),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", again(b"10000\r\n" + b"x" * 65536 + b"\r\n")),
    "a body without a length": (OK + b"\r\n", again(b"x" * 65536)),
    "a head": (OK, again(b"X-A: " + b"a" * 60_000 + b"\r\n")),
}
AT_ONCE = ("chunks", "a body without a length", "a head")  #: too long before a second is over


def send(scripted: ScriptedXnat, pattern: str, name: str) -> None:
    head, pieces = ENDLESS[name]

    def reply(asked: Asked) -> None:
        asked.body()
        asked.wfile.write(head)
        for piece, pause in pieces():
            asked.wfile.write(piece)
            if scripted.over.wait(pause):
                return

    scripted.on("GET", pattern, reply)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a minute take half a second."""
    monkeypatch.setattr(sockets, "LONGEST_PAUSE", 0.5)
    monkeypatch.setattr(sockets, "LONGEST_ANSWER", 2.0)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", ENDLESS)
def test_an_answer_without_end_is_left(scripted: ScriptedXnat, gateway: XnatGateway, name: str) -> None:
    send(scripted, "/data/prearchive", name)
    begun = time.monotonic()
    failure(Transient, lambda: gateway.look(PLACE))
    assert time.monotonic() - begun < 10
    assert gateway.whoami() == "tech"  # the server is not blamed for one question


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", ["preliminary answers", "a body, byte by byte"])
def test_a_login_without_end_is_the_servers_trouble(scripted: ScriptedXnat, gateway: XnatGateway, name: str) -> None:
    send(scripted, "/data/auth", name)
    failure(Unavailable, gateway.probe)


@pytest.mark.parametrize("name", [name for name in ENDLESS if name not in AT_ONCE])
@pytest.mark.parametrize("where", ["/data/prearchive", "/data/auth"])
def test_a_stop_ends_an_answer_without_end(
    scripted: ScriptedXnat, name: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "LARGEST_HEAD", 1 << 60)
    send(scripted, where, name)
    stop = threading.Event()
    gateway = server_at(scripted.url, stop=stop).gateway()
    threading.Timer(0.7, stop.set).start()
    begun = time.monotonic()
    failure(Stopped, lambda: gateway.look(PLACE))
    assert 0.5 < time.monotonic() - begun < 3


# -- before anything is said -------------------------------------------------------------------------------


def stopped_soon(address: str) -> None:
    """See that whoever connects there stops when it is told to."""
    stop = threading.Event()
    gateway = server_at(address, stop=stop, connect_timeout=30.0).gateway()
    threading.Timer(0.5, stop.set).start()
    begun = time.monotonic()
    failure(Stopped, gateway.probe)
    assert 0.4 < time.monotonic() - begun < 3


def test_a_stop_ends_the_wait_for_a_connection() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:  # so that the kernel lets nobody else in
            one.setblocking(False)  # noqa: FBT003 - the method's own argument
            one.connect_ex(full.getsockname())
        stopped_soon(f"http://127.0.0.1:{full.getsockname()[1]}")
        for one in waiting:
            one.close()


def test_a_stop_ends_the_wait_for_the_handshake() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        stopped_soon(f"https://127.0.0.1:{silent.getsockname()[1]}")


def test_a_server_that_never_shakes_hands_is_left_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        gateway = server_at(f"https://127.0.0.1:{silent.getsockname()[1]}", connect_timeout=0.6).gateway()
        begun = time.monotonic()
        failure(Unavailable, gateway.probe)
        assert 0.5 < time.monotonic() - begun < 3


def test_a_stop_ends_the_wait_for_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def asleep(*_: object, **__: object) -> list[object]:
        released.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", asleep)
    stopped_soon("http://xnat.example.org")
    released.set()


def test_a_name_that_is_not_resolved_in_time_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [released.wait(30)])
    gateway = server_at("http://xnat.example.org", connect_timeout=0.6).gateway()
    failure(Unavailable, gateway.probe)
    released.set()


# -- memory ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.thorough) for name in BODIES]
)
def test_64_megabytes_of_anything_do_not_fill_the_memory(scripted: ScriptedXnat, name: str) -> None:
    scripted.on("GET", "/data/(prearchive|projects|experiments)", content=BODIES[name]())
    asking = [sys.executable, "-m", "tests.adapters.gateway.hostile_answers", scripted.url]
    done = subprocess.run(asking, capture_output=True, text=True, timeout=300, check=False)  # noqa: S603 - our own
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < MOST_MEMORY


def test_a_stop_ends_the_reading_of_a_long_answer() -> None:
    def stopped() -> None:
        raise Stopped("told to")

    body = b'{"ResultSet": {"Result": [' + b"[]," * 1000 + b"[]]}}"
    answer = Answer(200, body, {}, None, stopped)
    for reading in (partial(table, answer), partial(document, answer), partial(session_xml, answer)):
        failure(Stopped, reading)


def test_a_long_table_is_read_to_its_end_from_the_disk(scripted: ScriptedXnat, gateway: XnatGateway) -> None:
    others = [{"folderName": f"other-{n}", "status": "READY", "words": "x" * 100} for n in range(20_000)]
    ours = {"project": "P1", "timestamp": PLACE.timestamp, "folderName": PLACE.folder, "status": "READY"}
    content = json.dumps({"ResultSet": {"Result": [*others, ours], "title": ["ö", {"a": None}]}}, ensure_ascii=False)
    scripted.on("GET", "/data/prearchive", content=content)
    row = gateway.look(PLACE)
    assert row is not None
    assert row.status == "READY"
    assert len(content) > 2 << 20


# -- cookies -----------------------------------------------------------------------------------------------


def test_a_flood_of_cookies_is_not_sent_back(scripted: ScriptedXnat, gateway: XnatGateway) -> None:
    asked = 0

    def reply(one: Asked) -> None:
        nonlocal asked
        asked += 1
        one.body()
        one.wfile.write(OK)
        for n in range(40):
            one.wfile.write(b"Set-Cookie: c%d_%d=%s; Path=/\r\n" % (asked, n, b"v" * 5000 if n % 2 else b"v" * 100))
        one.wfile.write(b'Content-Length: 27\r\n\r\n{"ResultSet":{"Result":[]}}')

    scripted.on("GET", "/data/prearchive", reply)
    for _ in range(20):
        gateway.look(PLACE)
    assert max(map(len, scripted.cookies)) < 5000
    assert "JSESSIONID" in scripted.cookies[-1]


def test_a_cookie_that_a_proxy_renews_is_sent_back(scripted: ScriptedXnat, gateway: XnatGateway) -> None:
    content, route = '{"ResultSet":{"Result":[]}}', iter("abc")

    def reply(asked: Asked) -> None:
        asked.body()
        asked.answer(200, content, Set_Cookie=f"ROUTE={next(route)}; Path=/")

    scripted.on("GET", "/data/prearchive", reply)
    for _ in range(3):
        gateway.look(PLACE)
    assert "ROUTE=b" in scripted.cookies[-1]


class Looks(threading.Event):
    """A stop that never comes, and how often somebody looked whether it had, once a connection was there."""

    def __init__(self) -> None:
        super().__init__()
        self.connected, self.several = threading.Event(), threading.Event()
        self._looks = 0

    def is_set(self) -> bool:
        self._looks += self.connected.is_set()
        if self._looks >= 3:
            self.several.set()
        return super().is_set()


def test_a_handshake_may_take_several_looks(tmp_path: Path) -> None:
    """A server that is slow and honest is waited for."""
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    subprocess.run(  # noqa: S603 - constants
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",  # noqa: S607
         "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    looks = Looks()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1)

        def serve() -> None:
            taken, _ = listening.accept()
            looks.connected.set()
            looks.several.wait(30)
            with context.wrap_socket(taken, server_side=True) as speaking:
                speaking.recv(65536)
                speaking.sendall(b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        server = server_at(f"https://localhost:{listening.getsockname()[1]}", ca_file=certificate, stop=looks)
        failure(Unavailable, server.gateway().probe)
        thread.join()
    assert looks.several.is_set()
