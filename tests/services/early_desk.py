"""Stations that send ZIPs while they are checked, before a practice XNAT; and ZIPs that must not go as they are."""

from __future__ import annotations

import io
import random
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

from tests.adapters.zips import Part, local_of, zip_of
from tests.dicom import instance, sop_uid
from tests.saboteur import Crash, Moments
from tests.services.test_crash_sweep_sandbox import Hasty
from tests.station import Station, Time, as_is
from xnat_watchd.adapters.credentials import Secret
from xnat_watchd.adapters.dicom.zip_file import no_beat
from xnat_watchd.adapters.dicom.zip_glance import members_of_tidy_zip
from xnat_watchd.adapters.xnat.gateway import XnatServer
from xnat_watchd.core.errors import LedgerUnusable
from xnat_watchd.core.lease import StationLease
from xnat_watchd.core.ports import UPLOAD_PIECE, CheckObserver
from xnat_watchd.sandbox import Sandbox
from xnat_watchd.studies.early_sending import EarlySendings

IMPORT = "/data/services/import"
IMAGES = 10
BEATS = 3  #: after so many without a byte the worker waits for the check
Members = list[tuple[str, bytes]]


def image(number: int, study: int = 1, series: int = 1, **how: str) -> bytes:
    """Return an image that takes a third of a piece, however it is packed."""
    return instance(study, series, number, **how) + random.Random(number).randbytes(400_000)


def images(count: int = IMAGES) -> Members:
    return [(f"{number}.dcm", image(number)) for number in range(1, count + 1)]


def packed(members: Members) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def flipped(content: bytes) -> bytes:
    """Return the ZIP with one byte of its last image changed."""
    at = content.rindex(b"PK\3\4") + 200_000
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def hidden() -> bytes:
    """Return an image of another person as a member that no directory names."""
    return local_of(Part(b"x.dcm", image(1, study=9, name="Other^One", patient="ZQ-9")))


def crafted(count: int, last: Part) -> bytes:
    """Return a ZIP of so many images and a member that is not written as it should be."""
    return zip_of([*(Part(name.encode(), data) for name, data in images(count)), last])


SOUND = packed(images())
WHOLE = Counter(sop_uid(1, 1, n) for n in range(1, IMAGES + 1))
SPOILT: dict[str, Callable[[], bytes]] = {
    "another study": lambda: packed([*images(), ("x.dcm", image(1, study=2, date="20240301"))]),
    "another study amid it": lambda: packed([*images(6), ("x.dcm", image(1, study=2, date="20240301")), *images()[6:]]),
    "another person": lambda: packed([*images(), ("x.dcm", image(11, name="Other^One", patient="ZQ-9"))]),
    "a damaged image": lambda: flipped(SOUND),
    "an image cut short": lambda: packed([*images(), ("x.dcm", image(11)[:700])]),
    "an image twice": lambda: packed([*images(), ("x.dcm", image(1))]),
    "two images of one UID": lambda: packed([*images(), ("x.dcm", image(1) + b"!")]),
    "one name twice": lambda: packed([*images(), ("a/1.dcm", image(11))]),
    "a text": lambda: packed([*images(), ("x.dcm", b"Dear colleague, " * 100)]),
    "something unexplained": lambda: packed([*images(), ("x.dcm", bytes(range(256)) * 100)]),
    "a ZIP in the ZIP": lambda: packed([*images(), ("x.dcm", packed([("1.dcm", image(3, study=3))]))]),
    "an image that only the stream shows": lambda: crafted(6, Part(b"7.dcm", image(7), gap=hidden())),
    "another name in the stream": lambda: crafted(10, Part(b"x.dcm", image(11), local_name=b"y.dcm")),
    "a gap": lambda: crafted(10, Part(b"x.dcm", image(11), gap=bytes(30))),
}


class Paced:
    """A `CheckObserver` before another: at the second MiB it waits until the first was sent.

    What is found unsound after that waits until the sending waits for the check.
    """

    def __init__(self, real: CheckObserver, desk: Desk) -> None:
        self._real, self._desk = real, desk
        self._is_begun = False

    def sound(self, end: int, study_uid: str) -> None:
        self._real.sound(end, study_uid)
        self._desk.goes_on()
        if end >= 2 * UPLOAD_PIECE and not self._is_begun:
            self._is_begun = True
            assert self._desk.begun.wait(30)
            self._desk.amid()

    def unsound(self) -> None:
        if self._is_begun:
            self._desk.wait_until_it_waits()
            self._is_begun = False
        self._real.unsound()


class Desk:
    """Stations before one practice XNAT, each with a worker that runs beside the intake while a ZIP is checked."""

    def __init__(self, folder: Path, xnat: Sandbox, time: Time, lease: StationLease | None = None) -> None:
        self.xnat, self.time, self._folder = xnat, time, folder
        self.server = XnatServer(
            xnat.url, user="tech", password=Secret("secret"), clock=Hasty(), stop=Event(), lease=lease
        )
        self.amid: Callable[[], object] = lambda: None  #: comes when the first MiB was sent, and the second checked
        self.sending: Callable[[], object] = lambda: None  #: comes before each later piece, and where it is sent
        self.sent: list[int] = []  #: bytes, before each piece
        self.begun, self._waits = Event(), Event()
        self._is_over = False  #: the worker has ended
        self._beats = 0  #: since something was sent, or found sound
        self._threads: list[Thread] = []

    def station(self, around: Callable[[str, Any], Any] = as_is, *, early: bool = True, seed: int = 1) -> Station:
        """Return a station, in which early sendings begin before the check is at its end."""

        def paced(part: str, thing: Any) -> Any:
            if part != "zip.open":
                return around(part, thing)
            return around(part, lambda path, seen: thing(path, seen and Paced(seen, self)))

        made: list[Station] = []
        sendings = EarlySendings(
            lambda path: members_of_tidy_zip(path, no_beat), lambda: self._wake(made[0]), smallest=1
        )
        made.append(Station(
            self._folder, self.server.gateway(), self.time, around=paced, seed=seed, progressed=self._progressed,
            early=sendings if early else None,
        ))  # fmt: skip
        return made[0]

    def live(self, station: Station) -> None:
        """Let a station start, work until it rests, and then live for a day."""
        try:
            station.start()
            self.go_on(station)
        finally:
            self.join()
            station.close()

    def go_on(self, station: Station, *, looks: int = 6, hours: float = 4) -> None:
        """Let a station work until it rests, and then look a few times for what is left."""
        try:
            station.take_in()
            self.join()
            station.work()
            for _ in range(looks):
                self.time.pass_(hours=hours)
                station.late.sweep()
        finally:
            self.join()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()
        self._threads.clear()

    def _progressed(self, sent: int, size: int) -> None:
        if size:
            self._beats = self._beats + 1 if self.sent[-1:] == [sent] else 0
            self.sent.append(sent)
            if self._beats > BEATS:
                self._waits.set()
        if sent >= UPLOAD_PIECE:
            self.begun.set()
            self.sending()

    def _wake(self, station: Station) -> None:
        self.begun.clear()
        self._is_over = False

        def work() -> None:
            try:
                with suppress(Crash, LedgerUnusable):
                    station.pipeline.step()
            finally:
                self._is_over = True
                self.begun.set()
                self._waits.set()

        self._threads.append(Thread(target=work))
        self._threads[-1].start()

    def goes_on(self) -> None:
        """Note that more may be sent now."""
        self._beats = 0
        if not self._is_over:
            self._waits.clear()

    def wait_until_it_waits(self) -> None:
        """Return once the worker has sent all that it may, or has ended."""
        assert self._waits.wait(30)

    def imports(self) -> int:
        return sum((method, path) == ("POST", IMPORT) for method, path, *_ in self.xnat.requests)

    def archived(self) -> Counter[str]:
        return Counter(one.sop_uid for one in self.xnat.instances() if one.where.startswith("archive"))


def at(name: str, then: Callable[[], object]) -> Callable[[str, Any], Any]:
    """Return what does something at a moment of a station's life."""

    def moment(found: str) -> None:
        if found == name:
            then()

    return Moments(moment).around
