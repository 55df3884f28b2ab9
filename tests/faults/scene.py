"""A workstation joined to a practice XNAT by the real gateway: real HTTP on loopback, and a clock that a test moves."""

from __future__ import annotations

import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED

import pytest

from tests.adapters.gateway.gateway_kit import server_at
from tests.faults.asked import Asked
from tests.station import Station, Time
from xnat_watchd.adapters.xnat import connection, sockets, transport
from xnat_watchd.adapters.xnat.answers import Answer
from xnat_watchd.core.retry import RetryPolicy
from xnat_watchd.sandbox import Options, Sandbox
from xnat_watchd.sandbox.faults import PlannedFault
from xnat_watchd.sandbox.samples import Member, write_zip

Certificates = Sequence[tuple[Path, Path]]  #: each with its key
ENDLESS = 1_000_000  #: requests
READ_TIMEOUT = 600.0  #: seconds
GLANCE = 0.05  #: seconds: how exactly the waits of a row are kept
STEPS = 20_000  #: more than any row needs
PLACES = ("archive", "prearchive", "unassigned")
CALM = ("received", "taken", "advanced", "parked", "finished", "creates subject")  #: events that are no trouble


class Hours(Time):
    """A clock that a test moves, with what shall happen at which moment."""

    def __init__(self) -> None:
        super().__init__()
        self._agenda: list[tuple[datetime, Callable[[], object]]] = []

    def after(self, do: Callable[[], object], **span: float) -> None:
        self._agenda.append((self.at + timedelta(**span), do))

    def pass_(self, **span: float) -> None:
        super().pass_(**span)
        due = [do for moment, do in self._agenda if moment <= self.at]
        self._agenda = [(moment, do) for moment, do in self._agenda if moment > self.at]
        for do in due:
            do()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is otherwise than usual at a site and its workstation."""

    options: Mapping[str, Any] = field(default_factory=dict)  #: of the practice XNAT
    code: int = 0  #: of the projects' prearchive
    projects: tuple[str, ...] = ("P1",)
    folders: bool = False  #: the first folder names the project
    server: Mapping[str, Any] = field(default_factory=dict)  #: of the gateway's server
    deadline: timedelta = timedelta(minutes=20)  #: how long XNAT may be at work on one step
    tls: bool = False  #: over TLS, with the first of the certificates
    slowest_piece: float = transport.SLOWEST_PIECE  #: seconds that one piece of an upload may take


class Scene:
    """The whole of it. Requests are counted from 0 as the gateway makes them."""

    def __init__(self, root: Path, dialect: str, port: int, setting: Setting, certificates: Certificates) -> None:
        self.root, self.dialect, self.setting, self.time = root, dialect, setting, Hours()
        self.certificates = certificates  #: the one that is trusted, and one that nobody vouches for
        self.asked: list[Asked] = []
        self.sent_at_once = 0  #: bytes of the first upload that went out before it ended
        self.others: list[bool] = []  #: whether other workers found something to do
        self.resolves = True  #: this machine's resolver works
        self._moments: dict[int, Callable[[], object]] = {}
        self._occasions: list[tuple[str, Callable[[], object]]] = []
        self._endless: list[PlannedFault] = []
        self._expected: Counter[str] = Counter()
        self.xnat = Sandbox(
            root / "xnat", dialect, users={"tech": "secret"}, port=port, clock=lambda: self.time.at,
            options=Options(**{name: _as_option(value) for name, value in setting.options.items()}),
        )  # fmt: skip
        for project in setting.projects:
            self.xnat.add_project(project, setting.code)
            self.xnat.grant("tech", project, "member")
        self.xnat.tls = _context(*certificates[0]) if setting.tls else None
        self.xnat.start()
        ca = {"ca_file": certificates[0][0]} if setting.tls else {}
        address = self.xnat.url.replace("127.0.0.1", "localhost")
        self.server = server_at(address, clock=self.time, **{"read_timeout": READ_TIMEOUT, **ca, **setting.server})
        self.gateway = self.server.gateway()
        self.station = self._begin()

    def _begin(self) -> Station:
        station = Station(
            self.root / "station", self.gateway, self.time, project="" if self.setting.folders else "P1",
            progressed=self._progressed, retry=RetryPolicy(deadline=self.setting.deadline),
        )  # fmt: skip
        station.start()
        return station

    def close(self) -> None:
        self.station.close()
        self.server.close()
        self.xnat.stop()

    # What arrives.

    def drop(self, name: str, members: Iterable[Member]) -> None:
        """Drop a ZIP, of which XNAT shall hold each instance once."""
        content = list(members)
        path = self.station.folders.drop / name
        path.parent.mkdir(exist_ok=True)
        write_zip(path, content, ZIP_STORED)
        self._expected |= Counter({_sop_uid(data) for _, data in content})

    def carry(self, *, hours: float = 48, lives: int = 1) -> None:
        """Take what was dropped, and work until it rests; perhaps in several lives of the service."""
        self.station.take_in()
        for life in range(lives):
            if life:
                self.restart()
            self.station.work(hours=hours / lives, steps=STEPS)

    def restart(self) -> None:
        """End this life of the service and begin another one on the same ledger."""
        self.station.close()
        self.server.close()
        self.gateway = self.server.gateway()
        self.station = self._begin()

    # What goes wrong.

    def on(self, number: int, *, times: int = 1) -> PlannedFault:
        """Plan a fault for this request; `times` counts what comes next, whatever it is."""
        return self.xnat.faults.on("*", "", times=times, skip=number)

    def always(self, method: str, pattern: str) -> PlannedFault:
        """Plan a fault for all such requests, until it is lifted."""
        self._endless.append(self.xnat.faults.on(method, pattern, times=ENDLESS))
        return self._endless[-1]

    def lift(self) -> None:
        """End what was planned for ever, which must have come to pass."""
        for plan in self._endless:
            assert plan.times < ENDLESS, f"{plan.method} {plan.pattern}: {plan.name} never came to pass"
            plan.times = 0

    def at(self, number: int, do: Callable[[], object]) -> None:
        """Do something just before this request is made."""
        self._moments[number] = do

    def when(self, line: str, do: Callable[[], object], *, skip: int = 0) -> None:
        """Do something just before a request whose method and path begin so: the next, or one after that."""
        self._occasions.append((line, do) if not skip else (line, lambda: self.when(line, do, skip=skip - 1)))

    def down(self, **span: float) -> None:
        """Stop the server so that connections are refused, and start it again after a while."""
        self.xnat.stop()
        self.time.after(self.xnat.start, **span)

    def back(self, certificate: int = 0) -> None:
        """Start the server anew, with this one of the certificates."""
        self.xnat.stop()
        if self.setting.tls:
            self.xnat.tls = _context(*self.certificates[certificate])
        self.xnat.start()

    def later(self, plan: PlannedFault, **span: float) -> None:
        """Have the request of this plan done a while after the client has gone."""
        until = threading.Event()
        plan.late_effect(until)

        def happen() -> None:
            answered = len(self.xnat.requests)
            until.set()
            self.xnat.wait_for_requests(answered + 1)

        self.time.after(happen, **span)

    def another_worker_tries(self) -> None:
        """Let another worker look for work in the middle of ours."""
        self.others.append(self.station.pipeline.step())

    def _progressed(self, sent: int, _: int) -> None:
        if self.count("POST /data/services/import") == 1:
            self.sent_at_once = max(self.sent_at_once, sent)

    def heard(self, call: transport.XnatRequest) -> None:
        """Note a request that is about to be made."""
        before = self.asked[-1] if self.asked else None
        self.asked.append(Asked.after(before, self.time.at, f"{call.method} {call.path}"))
        line = self.asked[-1].line
        due = [do for start, do in self._occasions if line.startswith(start)]
        self._occasions = [(start, do) for start, do in self._occasions if not line.startswith(start)]
        for do in (self._moments.pop(len(self.asked) - 1, None), *due):
            if do is not None:
                do()

    # What became of it.

    def told(self, item: str = "1.1") -> list[str]:
        """Return a study's troubles from the ledger: event and reason, each once, in the order in which they began."""
        delivery, _, number = item.partition(".")
        found = self.station.ledger.views.delivery(int(delivery)) or {"events": []}
        story = [row for row in found["events"] if row["number"] == int(number) and row["standing"]]
        return list(dict.fromkeys(f"{row['event']}: {row['why']}" for row in story if row["event"] not in CALM))

    def where(self) -> Mapping[str, Counter[str]]:
        """Return how often each instance is in the archive, in the prearchive and in Unassigned."""
        found = [(one.where, one.sop_uid) for one in self.xnat.instances()]
        return {place: Counter(sop for where, sop in found if where == place) for place in PLACES}

    def whole(self) -> Counter[str]:
        """Return what the archive must hold in the end."""
        return self._expected

    def twice(self) -> set[str]:
        """Return the instances that XNAT holds more than once, in whichever places."""
        total = sum(self.where().values(), Counter[str]())
        return {sop for sop, n in total.items() if n > 1}

    def count(self, line: str) -> int:
        """Count the requests whose method and path begin so."""
        return sum(one.line.startswith(line) for one in self.asked)


@contextmanager
def a_scene(
    root: Path, dialect: str, setting: Setting, certificates: Certificates, patch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    """Yield a scene, and check at its end that each fault happened."""
    with socket.socket() as reserved:  # nobody else gets the port while the server is down
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        scene = Scene(root, dialect, reserved.getsockname()[1], setting, certificates)
        _listen(scene, patch)
        patch.setattr(transport, "SLOWEST_PIECE", setting.slowest_piece)
        patch.setattr(connection, "POLL_INTERVAL", GLANCE)
        patch.setattr(sockets, "POLL_INTERVAL", GLANCE)
        try:
            yield scene
            scene.lift()
            scene.xnat.faults.check()
        finally:
            scene.close()


def _listen(scene: Scene, patch: pytest.MonkeyPatch) -> None:
    """Hear of each request before it is made, and stand where this machine asks for addresses."""
    ask, resolve = transport.Transport.ask, socket.getaddrinfo

    def heard(line: transport.Transport, call: transport.XnatRequest) -> Answer:
        scene.heard(call)
        return ask(line, call)

    def resolved(host: Any, *args: Any, **named: Any) -> Any:
        if scene.resolves:
            return resolve(host, *args, **named)
        return resolve("xnat.invalid", 80, flags=socket.AI_NUMERICHOST)  # fails for real, and at once

    patch.setattr(transport.Transport, "ask", heard)
    patch.setattr(socket, "getaddrinfo", resolved)


def _as_option(value: Any) -> Any:
    """Return a value as an option takes it: a float is a number of seconds and becomes a timedelta."""
    return timedelta(seconds=value) if isinstance(value, float) else value


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def _sop_uid(data: bytes) -> str:
    from io import BytesIO

    from pydicom import dcmread

    return str(dcmread(BytesIO(data), specific_tags=["SOPInstanceUID"]).SOPInstanceUID)
