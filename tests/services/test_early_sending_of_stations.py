"""Two stations serve one root, and one of them falls silent while it sends a ZIP that it still checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.saboteur import Crash, Moments
from tests.services.early_desk import SOUND, WHOLE, Desk, at
from tests.station import Station, Time, as_is
from xnat_watchd.adapters.ledger.stations import StationProcess
from xnat_watchd.core.lease import LEASE, StationLease
from xnat_watchd.sandbox import Sandbox

LATENESS = timedelta(hours=1)  #: for as long something that a station has asked of XNAT may appear there


@dataclass
class Root:
    """A root, and the stations that serve it, each with a login of its own."""

    folder: Path
    xnat: Sandbox
    time: Time
    desks: dict[str, Desk] = field(default_factory=dict)
    stations: list[Station] = field(default_factory=list)

    def station(
        self, name: str, around: Callable[[str, Any], Any] = as_is, lease: StationLease | None = None
    ) -> Station:
        """Start the service of a station."""
        desk = self.desks[name] = Desk(self.folder, self.xnat, self.time, lease)
        station = desk.station(around, seed=len(self.desks))
        station.ledger.stations.shared = True
        station.ledger.stations.enroll(StationProcess(name, "0.2.0", name))
        station.ledger.stations.renew(LATENESS)
        station.start()
        self.stations.append(station)
        return station

    def asked_of_rows(self) -> list[tuple[str, str]]:
        """Return what was asked to change of rows of the prearchive: to remove one, or to build it."""
        changes = ((method, path) for method, path, *_ in self.xnat.requests if "/prearchive/" in path)
        return [one for one in changes if one[0] in {"POST", "DELETE"}]

    def close(self) -> None:
        for station in self.stations:
            station.close()
        for desk in self.desks.values():
            desk.server.close()


@pytest.fixture
def root(quick_path: Path) -> Iterator[Root]:
    time = Time()
    time.at = datetime.now(UTC)  # that of the database
    with Sandbox(quick_path / "xnat", "1.8", users={"tech": "secret"}, projects=["P1"], clock=time.now) as xnat:
        one = Root(quick_path / "root", xnat, time)
        yield one
        one.close()


def takes_over(root: Root, station: Station) -> None:
    """Find the other station gone, take what it had, and carry it to its end; look then for what is left."""
    station.ledger.stations.lease = 0.0
    assert station.ledger.gone_stations.put_in_doubt(root.time.now()) == ["ct-1"]
    root.desks["ct-2"].go_on(station, looks=2, hours=0.27)


def rests(root: Root, station: Station) -> list[dict[str, Any]]:
    """Let nothing appear any more, and return what is left in the prearchive."""
    root.time.pass_(hours=2)
    for _ in range(3):
        station.late.sweep()
        root.time.pass_(minutes=16)
    return root.xnat.rows("P1")


class Dead(Moments):
    """Lets no thread of a station do anything more from a moment on."""

    def __init__(self, since: str) -> None:
        super().__init__(self._kill)
        self._since, self.is_dead = since, False

    def _kill(self, name: str) -> None:
        self.is_dead = self.is_dead or name == self._since
        if self.is_dead:
            raise Crash(name)


def test_what_a_station_was_sending_when_it_died_is_sent_by_another_and_its_part_removed_later(root: Root) -> None:
    station = root.station("ct-1", Dead("after zip.open").around)
    station.drop("scan.zip", SOUND)
    with suppress(Crash):
        station.take_in()
    root.desks["ct-1"].join()
    other = root.station("ct-2")
    takes_over(root, other)
    assert other.standings() == [("1.1", "complete", "done")]
    assert root.desks["ct-2"].archived() == WHOLE
    assert [row["status"] for row in root.xnat.rows("P1")] == ["RECEIVING"]
    assert root.asked_of_rows() == []  # something of it may still come
    assert rests(root, other) == []
    assert root.desks["ct-2"].archived() == WHOLE


@pytest.mark.parametrize("thaws", ["with no lease", "and begins anew"])
def test_a_station_that_thaws_sends_nothing_more_of_what_another_has_taken_over(root: Root, thaws: str) -> None:
    lease = StationLease(root.time.uptime)
    lease.renewed = root.time.uptime()
    frozen, other = root.station("ct-1", lease=lease), root.station("ct-2")
    sent: list[int] = []
    thawed = Event()

    def freeze() -> None:
        root.time.pass_(seconds=LEASE + 1)
        takes_over(root, other)
        assert root.desks["ct-2"].archived() == WHOLE
        assert [row["status"] for row in root.xnat.rows("P1")] == ["RECEIVING"]
        assert root.asked_of_rows() == []  # its request is still under way
        if thaws == "and begins anew":
            frozen.ledger.stations.enroll(StationProcess("ct-1", "0.2.0", "ct-1"))
            lease.renewed = root.time.uptime()
        sent.append(max(root.desks["ct-1"].sent))
        thawed.set()

    root.desks["ct-1"].amid = freeze
    root.desks["ct-1"].sending = lambda: thawed.wait(30)
    frozen.drop("scan.zip", SOUND)
    frozen.take_in()
    root.desks["ct-1"].join()
    assert "delivery.broken_off" in frozen.log.events()
    assert max(root.desks["ct-1"].sent) == sent[0]
    assert frozen.pipeline.holds() == frozenset()
    assert other.standings() == [("1.1", "complete", "done")]
    assert rests(root, other) == []
    assert root.desks["ct-1"].archived() == WHOLE


def test_a_station_that_was_frozen_before_it_began_to_send_sends_nothing(root: Root) -> None:
    other = root.station("ct-2")
    frozen = root.station("ct-1", at("before ledger.early_places.begin", lambda: takes_over(root, other)))
    frozen.drop("scan.zip", SOUND)
    frozen.take_in()
    root.desks["ct-1"].join()
    assert root.desks["ct-1"].sent == []
    assert root.desks["ct-2"].imports() == 1
    assert root.desks["ct-2"].archived() == WHOLE
    assert root.xnat.rows("P1") == []


def test_a_study_that_another_station_is_given_while_its_zip_is_sent_to_its_end_is_dropped(root: Root) -> None:
    other = root.station("ct-2")
    held: list[frozenset[int]] = []
    made: list[Station] = []

    def freeze() -> None:
        if held or not made[0].pipeline.holds():
            return
        held.append(made[0].pipeline.holds())
        other.ledger.stations.lease = 0.0
        assert other.ledger.gone_stations.put_in_doubt(root.time.now()) == ["ct-1"]

    made.append(root.station("ct-1"))
    root.desks["ct-1"].sending = freeze
    made[0].drop("scan.zip", SOUND)
    made[0].take_in()
    root.desks["ct-1"].join()
    assert [len(keys) for keys in held] == [1]
    assert made[0].log.events()[-1] == "study.taken_over"
    assert made[0].pipeline.holds() == frozenset()
    assert other.standings() == [("1.1", "received", "waiting")]
    root.time.pass_(hours=2)
    other.work()
    assert other.standings() == [("1.1", "complete", "done")]
    assert root.desks["ct-2"].archived() == WHOLE
    assert rests(root, other) == []
