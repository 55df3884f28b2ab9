"""The line itself: streaming, early answers, breaks in mid-body, stopping at once, TLS, and whose turn it is."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.gateway.gateway_kit import HERE, IMPORT, PLACE, Site, failure, quiet, server_at
from tests.adapters.gateway.scripted_xnat import Asked, ScriptedXnat, scripted_xnat
from tests.station import Time
from xnat_watchd.adapters.clock import SystemClock
from xnat_watchd.adapters.xnat import transport
from xnat_watchd.adapters.xnat.gateway import XnatGateway
from xnat_watchd.adapters.xnat.turns import IMPORT_GAP, Turns, locked
from xnat_watchd.core.errors import InDoubt, Permanent, Stopped, Transient, Unavailable, WatchdError

MIB = 1 << 20
NO_ROW = '{"ResultSet": {"Result": []}}'


class Progress:
    """How far an upload came; may do something when it is under way."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.sent = 0
        self._then = then

    def __call__(self, sent: int, _: int) -> None:
        self.sent = sent
        if sent:
            self._then()


def drain(asked: Asked) -> None:
    """Read the body and forget it."""
    left = asked.length
    while left:
        left -= len(asked.rfile.read(min(left, MIB)))


def take(asked: Asked) -> None:
    drain(asked)
    asked.answer(200, f"{HERE}\r\n")


def stand_still(asked: Asked) -> None:
    asked.scripted.over.wait()


def answer_early(status: int) -> Callable[[Asked], None]:
    def reply(asked: Asked) -> None:
        asked.answer(status, "<html><body><h3>no</h3></body></html>")
        asked.scripted.over.wait()  # and read nothing, as a proxy may

    return reply


# -- early answers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "kind"), [(413, Permanent), (401, Transient), (503, Unavailable)])
def test_an_early_answer_stops_the_upload(
    scripted: ScriptedXnat, gateway: XnatGateway, large: str, status: int, kind: type[WatchdError]
) -> None:
    scripted.on("POST", IMPORT, answer_early(status))
    progress = Progress()
    failure(kind, lambda: gateway.upload(PLACE, large, progress, alone=False))
    assert progress.sent < 32 * MIB
    scripted.replies.clear()
    scripted.on("GET", HERE, content=NO_ROW)
    assert gateway.look(PLACE) is None
    assert scripted.logins == (2 if status == 401 else 1)


def test_an_early_answer_of_a_server_that_hangs_up_is_heard(either: Site, large: str) -> None:  # F282
    either.xnat.faults.on("POST", IMPORT).answer_early(413)
    failure(Permanent, lambda: either.gateway.upload(PLACE, large, quiet, alone=False))
    assert either.gateway.look(PLACE) is None


@pytest.mark.parametrize("seconds", [2, 4])
def test_an_upload_asks_who_we_are_on_its_own_connection_unless_it_knows(
    scripted: ScriptedXnat, a_zip: str, seconds: int
) -> None:
    time = Time()
    server = server_at(scripted.url, clock=time)
    gateway = server.gateway()
    ports: list[int] = []

    def who(asked: Asked) -> None:
        ports.append(asked.client_address[1])
        asked.answer(200, "User 'tech' is logged in")

    def import_(asked: Asked) -> None:
        ports.append(asked.client_address[1])
        take(asked)

    scripted.on("GET", "/data/auth", who)
    scripted.on("POST", IMPORT, import_)
    gateway.probe()
    before = len(scripted.asked)
    time.pass_(seconds=seconds)
    gateway.upload(PLACE, a_zip, quiet, alone=False)
    assert len(set(ports)) == 1
    asked = [path.partition("?")[0] for _, path in scripted.asked[before:]]
    assert asked == ([IMPORT] if seconds < 3 else ["/data/auth", IMPORT])
    server.close()


@pytest.mark.parametrize(
    ("status", "content", "header"),
    [
        (200, "{}", {"Connection": "close"}),
        (200, "<html><body>Please log in</body></html>", {}),
        (404, "<html><head><title>HTTP Status 404</title></head></html>", {}),
        (500, "<html><body><h3>no</h3></body></html>", {}),
    ],
)
def test_an_upload_asks_who_we_are_where_the_last_answer_proves_nothing(
    scripted: ScriptedXnat, gateway: XnatGateway, a_zip: str, status: int, content: str, header: dict[str, Any]
) -> None:
    scripted.on("POST", IMPORT, take)
    scripted.on("GET", "/data/projects/P1/experiments/E1", status=status, content=content, **header)
    with suppress(WatchdError):
        gateway.session_named("P1", "E1")
    gateway.upload(PLACE, a_zip, quiet, alone=False)
    assert [path.partition("?")[0] for _, path in scripted.asked[-2:]] == ["/data/auth", IMPORT]


# -- breaks ----------------------------------------------------------------------------------------------------


def test_a_break_in_mid_body_is_a_doubt(either: Site, large: str) -> None:
    either.xnat.faults.on("POST", IMPORT).reset(after=40 * MIB)
    progress = Progress()
    error = failure(InDoubt, lambda: either.gateway.upload(PLACE, large, progress, alone=False))
    assert str(error) == "the connection to XNAT broke in the middle of the upload"
    assert f"{progress.sent} of {256 * MIB} bytes sent" in error.detail


def test_a_break_before_the_first_piece_was_gone_is_a_doubt_too(either: Site) -> None:
    either.xnat.faults.on("POST", IMPORT).reset()
    assert failure(InDoubt, either.upload).spoke


def test_a_reader_that_stands_still_is_left(
    scripted: ScriptedXnat, large: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "SLOWEST_PIECE", 0.5)
    server = server_at(scripted.url, connect_timeout=0.5)
    scripted.on("POST", IMPORT, stand_still)
    failure(InDoubt, lambda: server.gateway().upload(PLACE, large, quiet, alone=False))
    scripted.over.set()
    server.close()


def test_a_zip_that_shrinks_while_it_is_sent_is_a_doubt(
    scripted: ScriptedXnat, gateway: XnatGateway, large: str
) -> None:
    scripted.on("POST", IMPORT, take)

    def shrink() -> None:
        with Path(large).open("r+b") as file:
            file.truncate(10 * MIB)

    error = failure(InDoubt, lambda: gateway.upload(PLACE, large, Progress(shrink), alone=False))
    assert str(error) == "the ZIP could not be read to its end"


# -- stopping --------------------------------------------------------------------------------------------------


def test_a_stop_ends_an_upload_that_nobody_reads(scripted: ScriptedXnat, large: str) -> None:
    server = server_at(scripted.url)

    def read_nothing(asked: Asked) -> None:
        server.stop.set()
        asked.scripted.over.wait()

    scripted.on("POST", IMPORT, read_nothing)
    assert failure(Stopped, lambda: server.gateway().upload(PLACE, large, quiet, alone=False)).spoke
    server.close()


def test_a_stop_ends_the_wait_for_an_answer(scripted: ScriptedXnat, a_zip: str) -> None:
    server = server_at(scripted.url)

    def say_nothing(asked: Asked) -> None:
        drain(asked)
        server.stop.set()
        asked.scripted.over.wait()

    scripted.on("POST", IMPORT, say_nothing)
    assert failure(Stopped, lambda: server.gateway().upload(PLACE, a_zip, quiet, alone=False)).spoke
    server.close()


def test_a_stop_ends_the_wait_for_our_turn(scripted: ScriptedXnat, a_zip: str) -> None:
    server = server_at(scripted.url)
    with server.turns.importing(alone=True, waiting=lambda: None):
        waiting: Callable[[int, int], None] = lambda _, __: server.stop.set()  # noqa: E731 - it is handed over
        error = failure(Stopped, lambda: server.gateway().upload(PLACE, a_zip, waiting, alone=False))
    assert not error.spoke
    assert scripted.count("POST", IMPORT) == 0


def test_a_stop_ends_the_wait_for_a_lock() -> None:
    lock, stop = threading.Lock(), threading.Event()
    with locked(lock, stop):
        stop.set()
        assert not failure(Stopped, lambda: locked(lock, stop).__enter__()).spoke
    assert not lock.locked()


# -- turns -----------------------------------------------------------------------------------------------------


@dataclass
class Crowd:
    """Uploads that begin at once, each in a thread and gateway of its own."""

    scripted: ScriptedXnat
    zip: str
    alone: tuple[bool, ...]
    polls: Counter[int | None] = field(default_factory=Counter)
    waiting: threading.Event = field(default_factory=threading.Event)  #: all but one wait for their turn

    def run(self) -> None:
        server = server_at(self.scripted.url)
        threads = [threading.Thread(target=self._upload, args=(server.gateway(), one)) for one in self.alone]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _upload(self, gateway: XnatGateway, alone: bool) -> None:  # noqa: FBT001 - a thread's argument
        gateway.upload(PLACE, self.zip, self._progressed, alone=alone)

    def _progressed(self, sent: int, _: int) -> None:
        """See who waits: he says again and again that nothing was sent, who sends says so once."""
        self.polls[threading.get_ident()] += not sent
        if sum(times > 2 for times in self.polls.values()) == len(self.alone) - 1:
            self.waiting.set()


@pytest.mark.parametrize("version", ["1.6.5", "1.8.10"])
def test_imports_go_side_by_side(scripted: ScriptedXnat, a_zip: str, version: str) -> None:  # F94, F149
    scripted.version = version
    if version.startswith("1.6"):
        scripted.on("GET", "/data/version", content=version)
    together = threading.Barrier(3, timeout=20)

    def meet(asked: Asked) -> None:
        drain(asked)
        together.wait()
        asked.answer(200, HERE)

    scripted.on("POST", IMPORT, meet)
    Crowd(scripted, a_zip, (False, False, False)).run()
    assert not together.broken


@pytest.mark.parametrize("version", ["1.6.5", "1.8.10"])
def test_imports_that_must_be_alone_are(scripted: ScriptedXnat, a_zip: str, version: str) -> None:
    crowd = Crowd(scripted, a_zip, (True, False, True))
    running = threading.Semaphore(1)
    met: list[bool] = []

    def count(asked: Asked) -> None:
        met.append(not running.acquire(blocking=False))
        drain(asked)
        crowd.waiting.wait(10)
        running.release()
        asked.answer(200, HERE)

    scripted.version = version
    scripted.on("POST", IMPORT, count)
    if version.startswith("1.6"):
        scripted.on("GET", "/data/version", content=version)
    crowd.run()
    assert met == [False, False, False]


class Told(threading.Event):
    """A stop that never comes, and writes down how long it is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(round(timeout or 0.0, 3))
        return False


class Still(SystemClock):
    """A clock whose seconds do not pass."""

    def monotonic(self) -> float:
        return 100.0


def test_starts_are_fifty_milliseconds_apart() -> None:  # F61, F68
    stop = Told()
    turns = Turns(Still(), stop)
    for _ in range(4):
        turns.wait_for_gap(among_stations=True)
    assert stop.waits == [0.0, 0.05, 0.1, 0.15]
    assert IMPORT_GAP.total_seconds() == 0.05


def test_a_start_is_free_at_all_stations_where_imports_may_mix() -> None:  # F96
    stop = Told()
    turns = Turns(Still(), stop)
    turns.among_stations = iter((0.0, 0.7)).__next__
    turns.wait_for_gap(among_stations=True)
    turns.wait_for_gap(among_stations=False)
    turns.wait_for_gap(among_stations=True)
    assert stop.waits == [0.0, 0.05, 0.7]


def test_who_wants_to_be_alone_is_not_passed_by() -> None:
    turns = Turns(SystemClock(), threading.Event())
    order: list[str] = []
    at_the_door, inside = threading.Event(), threading.Event()

    def alone() -> None:
        with turns.importing(alone=True, waiting=at_the_door.set):
            order.append("alone")

    def another() -> None:
        with turns.importing(alone=False, waiting=inside.set):
            order.append("another")

    with turns.importing(alone=False, waiting=lambda: None):
        threads = [threading.Thread(target=alone)]
        threads[0].start()
        assert at_the_door.wait(10)
        threads.append(threading.Thread(target=another))
        threads[1].start()
        assert inside.wait(10)  # it waits, although imports may go side by side
        assert order == []
    for thread in threads:
        thread.join()
    assert order == ["alone", "another"]


class CountingLock:
    """A lock that others hold for a while, and that sees how often XNAT was asked meanwhile."""

    def __init__(self, scripted: ScriptedXnat) -> None:
        self.asked: list[int] = []
        self._count = partial(scripted.count, "GET", "/data/services/dicomdump")

    def acquire(self, *, blocking: bool) -> bool:
        assert not blocking
        self.asked.append(self._count())
        return len(self.asked) > 3

    def release(self) -> None:
        self.asked.append(self._count())


def test_header_dumps_are_asked_one_at_a_time(scripted: ScriptedXnat) -> None:  # F210
    server = server_at(scripted.url)
    lock = server.dump_lock = CountingLock(scripted)  # type: ignore[assignment]  # as much of a lock as is used
    assert server.gateway().header("P1", "XNAT_E1", "1.2") is None
    assert lock.asked == [0, 0, 0, 0, 1]
    server.close()


def test_a_turn_ends_with_its_error() -> None:
    turns = Turns(SystemClock(), threading.Event())
    for alone in (True, False):
        with pytest.raises(KeyError), turns.importing(alone=alone, waiting=lambda: None):
            raise KeyError
    with turns.importing(alone=True, waiting=lambda: pytest.fail("nobody is here")):
        pass


# -- memory ----------------------------------------------------------------------------------------------------

UPLOAD = """
import sys, threading
from pathlib import Path
from xnat_watchd.adapters.clock import SystemClock
from xnat_watchd.adapters.credentials import Secret
from xnat_watchd.adapters.xnat.gateway import XnatServer
from xnat_watchd.core.delivery import Place

def peak():  # what getrusage says begins with the peak of the process that started us
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("VmHWM:"))

server = XnatServer(sys.argv[1], user="tech", password=Secret("x"), clock=SystemClock(), stop=threading.Event())
gateway = server.gateway()
gateway.probe()
before = peak()
gateway.upload(Place("P1", "20240229_101112130", "xw-1"), sys.argv[2], lambda sent, size: None, alone=False)
server.close()
print(before, peak())
"""


def test_the_size_of_a_zip_costs_no_memory(scripted: ScriptedXnat, large: str) -> None:
    scripted.on("POST", IMPORT, take)
    command = [sys.executable, "-c", UPLOAD, scripted.url, large]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603 - our own code
    before, after = (int(kib) * 1024 for kib in done.stdout.split())
    assert after - before < 8 * MIB
    assert after < 100 * MIB


# -- TLS -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a self-signed certificate for localhost, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = [
        openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert),
    ]  # fmt: skip
    subprocess.run(command, capture_output=True, check=True, timeout=60)  # noqa: S603 - as written
    return cert, key


@pytest.fixture
def context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def test_a_server_that_nobody_vouches_for_is_told_nothing(context: ssl.SSLContext) -> None:  # F285
    with scripted_xnat(context) as over_tls:
        error = failure(Unavailable, server_at(over_tls.url).gateway().probe)
        assert ("ca_file" in error.advice, error.spoke) == (True, False)
        assert over_tls.asked == []


def test_plain_http_to_a_tls_port_is_unavailable(context: ssl.SSLContext) -> None:
    with scripted_xnat(context) as over_tls:
        failure(Unavailable, server_at(over_tls.url.replace("https", "http")).gateway().probe)


def test_a_site_with_its_own_authority_is_trusted_by_its_file(
    context: ssl.SSLContext, certificate: tuple[Path, Path], a_zip: str, large: str
) -> None:
    with scripted_xnat(context) as over_tls:
        server = server_at(over_tls.url, ca_file=certificate[0])
        gateway = server.gateway()
        over_tls.on("POST", IMPORT, take)
        gateway.upload(PLACE, a_zip, quiet, alone=False)
        over_tls.replies[:] = [("POST", IMPORT, answer_early(413))]
        progress = Progress()
        failure(Permanent, lambda: gateway.upload(PLACE, large, progress, alone=False))
        assert progress.sent < 32 * MIB
        server.close()


def test_a_stop_ends_an_upload_over_tls(context: ssl.SSLContext, certificate: tuple[Path, Path], large: str) -> None:
    with scripted_xnat(context) as over_tls:
        server = server_at(over_tls.url, ca_file=certificate[0])

        def read_nothing(asked: Asked) -> None:
            server.stop.set()
            asked.scripted.over.wait()

        over_tls.on("POST", IMPORT, read_nothing)
        assert failure(Stopped, lambda: server.gateway().upload(PLACE, large, quiet, alone=False)).spoke
        server.close()
