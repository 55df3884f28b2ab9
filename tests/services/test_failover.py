"""The database of a shared ledger fails over, or a connection is lost in the middle of a change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from tests.ledger_conformance.engines import Engine, Recorder, study
from tests.postgres.cluster import Cluster
from tests.postgres.databases import cluster
from tests.postgres.line import Line
from tests.station import Notes, Time
from xnat_watchd.adapters.ledger.commit_history import PAUSED
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.pauses import Activity
from xnat_watchd.adapters.ledger.postgres_opening import open_postgres
from xnat_watchd.adapters.ledger.stations import StationProcess
from xnat_watchd.core.delivery import Item
from xnat_watchd.core.errors import LedgerUnusable, Occupied, OtherHistory, TakenOver
from xnat_watchd.core.lease import RENEWED_EVERY, StationLease
from xnat_watchd.daemon.enrollment import Enrollment

LATENESS = timedelta(minutes=5)


@dataclass
class Service:
    """A service of a station, whose workers have taken what is said."""

    url: str
    folder: Path
    name: str = "ct-1"
    taken: set[int] = field(default_factory=set)
    woken: int = 0
    time: Time = field(default_factory=Time)
    log: Notes = field(default_factory=Notes)

    def __post_init__(self) -> None:
        self.recorder = Recorder(Engine("postgres", self._opened), self.folder)
        self.ledger = self.recorder.ledger
        self.enrollment = Enrollment(
            ledger=self.ledger, process=StationProcess(self.name, "0.2.0", "a lock"),
            lease=StationLease(self.time.monotonic), lateness=lambda: LATENESS, clock=self.time, log=self.log,
            workers=self, follow=lambda _: None, report=lambda: "",
        )  # fmt: skip
        self.enrollment.begin()

    def _opened(self, _: Path) -> Ledger:
        return Ledger(open_postgres(self.url, patience=2))

    def wake(self) -> None:
        """Note it."""
        self.woken += 1

    def held(self) -> set[int]:
        """Return what its workers have taken."""
        return self.taken

    def look(self) -> None:
        """Check as the main thread does when the lease is to be renewed."""
        self.time.pass_(seconds=RENEWED_EVERY)
        self.enrollment.check()

    def work(self) -> Item:
        """Take a study, as a worker does."""
        item = self.recorder.take()
        self.taken.add(item.key)
        return item

    def standing(self, item: Item) -> str:
        """Return the standing of a study."""
        return self.ledger.views.standing(item.key)


@dataclass
class Failover:
    """A server with a standby, and the line to them."""

    primary: Cluster
    standby: Cluster
    line: Line

    def lag(self) -> None:
        """Let the standby hear nothing from here on."""
        self.standby.catch_up_with(self.primary)
        self.standby.follow_no_more()

    def happen(self) -> None:
        """Promote the standby, and lead everybody there."""
        self.primary.stop()
        self.standby.promote()
        self.line.lead_to(self.standby)


@pytest.fixture
def failover() -> Iterator[Failover]:
    """Yield a server with a standby."""
    primary = Cluster.made()
    standby = Cluster.copied(primary)
    line = Line(primary)
    yield Failover(primary, standby, line)
    line.cut()
    standby.close()
    primary.close()


@pytest.fixture
def service(failover: Failover, tmp_path: Path) -> Iterator[Service]:
    """Yield a service whose ledger is at the server."""
    failover.primary.database("ledger")
    made = Service(failover.line.url("ledger"), tmp_path)
    yield made
    made.ledger.close()


def end(service: Service) -> None:
    """Let a service notice that its connection is lost, and that it must begin anew."""
    lost(service.ledger.studies.newest_event)
    with pytest.raises(Occupied, match="has failed over"):
        service.look()
    assert service.enrollment.refused


def lost(ask: Callable[[], object]) -> None:
    """Ask once on a connection that is lost."""
    with pytest.raises(LedgerUnusable):
        ask()


# -- a failover --------------------------------------------------------------------------------------------


def test_after_a_failover_all_that_is_unfinished_waits_in_doubt_and_nothing_is_deleted(
    failover: Failover, service: Service
) -> None:
    recorder = service.recorder
    recorder.receive(study("1.1"))
    recorder.receive(study("1.2"))
    held = recorder.receive(study("1.3"))
    recorder.ledger.decisions.skip(recorder.key(held), "not wanted", recorder.now)
    failover.lag()
    taken = service.work()
    failover.happen()
    end(service)
    assert "ledger.failed_over" in service.log.events()
    again = Service(service.url, service.folder)
    ledger = again.ledger
    assert [ledger.views.standing(key) for key in ledger.views.keys(1, None).values()] == ["waiting"]
    items = [ledger.studies.get(again.recorder.key(number)) for number in (1, 2)]
    assert [item.in_doubt for item in items] == [True, True]
    assert ledger.pauses.lasts(Activity.RETENTION)
    assert [pause.why for pause in ledger.pauses.open()] == [PAUSED]
    due = ledger.studies.next_due(recorder.now)
    assert due is not None
    again.recorder.now = due + timedelta(hours=1)
    while ledger.studies.take(again.recorder.now) is not None:
        pass
    with pytest.raises(TakenOver):  # who was given it in the history that is lost writes nothing about it
        again.recorder.advance(taken)
    ledger.close()


def test_a_failover_is_found_once(failover: Failover, service: Service, tmp_path: Path) -> None:
    failover.lag()
    failover.happen()
    end(service)
    first = Service(service.url, tmp_path)
    assert first.log.events().count("ledger.failed_over") == 1
    first.ledger.close()
    again = Service(service.url, tmp_path)
    for _ in range(3):
        again.look()
    assert "ledger.failed_over" not in again.log.events()
    again.ledger.close()


def test_every_station_ends_whichever_finds_it_first(failover: Failover, service: Service, tmp_path: Path) -> None:
    other = Service(service.url, tmp_path, "ct-2")
    failover.lag()
    failover.happen()
    end(service)
    end(other)
    other.ledger.close()


def test_no_number_that_was_lost_is_given_again(failover: Failover, service: Service, tmp_path: Path) -> None:
    recorder = service.recorder
    recorder.receive(study("1.1"))
    failover.lag()
    latest = [recorder.receive(study(f"1.2.{number}")) for number in range(60)][-1]
    failover.happen()
    end(service)
    again = Service(service.url, tmp_path)
    assert again.recorder.receive(study("1.3")) > latest
    again.ledger.close()


def test_a_service_that_starts_after_a_failover_finds_it(failover: Failover, service: Service, tmp_path: Path) -> None:
    failover.lag()
    failover.happen()
    another = Service(service.url, tmp_path)
    assert "ledger.failed_over" in another.log.events()
    another.recorder.receive(study("1.1"))
    assert another.work().study_uid == "1.1"  # it goes on in a new epoch
    another.ledger.close()


def test_a_server_that_restarts_has_not_failed_over(tmp_path: Path) -> None:
    own = Cluster.made()
    service = Service(own.database(), tmp_path)
    service.recorder.receive(study("1.1"))
    item = service.work()
    own.restart()
    lost(service.ledger.studies.newest_event)
    for _ in range(3):
        service.look()
    assert "ledger.failed_over" not in service.log.events()
    service.recorder.advance(item)  # it is still ours
    service.ledger.close()
    own.close()


def test_nothing_is_written_to_another_history_before_the_service_has_begun_anew(
    failover: Failover, service: Service
) -> None:
    recorder = service.recorder
    recorder.receive(study("1.1"))
    failover.lag()
    item = service.work()
    recorder.receive(study("1.2"))
    failover.happen()
    lost(service.ledger.studies.newest_event)
    for write in (lambda: recorder.receive(study("1.3")), lambda: recorder.advance(item), recorder.take):
        with pytest.raises(OtherHistory):
            write()
    again = Service(service.url, service.folder)
    assert [*again.ledger.views.keys(2, None)] == []
    again.ledger.close()


# -- a restore ---------------------------------------------------------------------------------------------


def disconnect(pg: Cluster, name: str) -> None:
    """End all connections to a database, and wait until they have ended."""
    there = f"FROM pg_stat_activity WHERE datname = '{name}'"
    pg.tell(f"SELECT pg_terminate_backend(pid) {there}")
    pg.wait_until(f"SELECT count(*) = 0 {there}")


def restored_beside(pg: Cluster, name: str) -> None:
    """Put the copy of a database in its place, and end all connections, as an administrator does."""
    pg.tell(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
    disconnect(pg, name)
    pg.tell(f"ALTER DATABASE {name} RENAME TO {name}_broken")
    pg.tell(f"ALTER DATABASE {name}_copy RENAME TO {name}")


def restored_rows(pg: Cluster, name: str) -> None:
    """Let the tables have the rows that they had when the station had not been heard of for long."""
    pg.tell("UPDATE xnat_watchd.stations SET seen = '2020-01-01T00:00:00.000000+00:00'", name)
    disconnect(pg, name)


def restored_epoch(pg: Cluster, name: str) -> None:
    """Let the tables have the rows of before the service's last start."""
    pg.tell("UPDATE xnat_watchd.stations SET epoch = epoch - 1 WHERE epoch > 1", name)
    disconnect(pg, name)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[tuple[Cluster, str, Service]]:
    """Yield a server, a database with a copy beside it, and a service that has worked on since."""
    pg = cluster()
    url = pg.database()
    name = url.partition("///")[2].partition("?")[0]
    before = Service(url, tmp_path)
    before.ledger.close()
    disconnect(pg, name)
    pg.database(f"{name}_copy", of=name)
    service = Service(url, tmp_path)
    service.recorder.receive(study("1.1"))
    yield pg, name, service
    service.ledger.close()


@pytest.mark.parametrize("restore", [restored_beside, restored_rows, restored_epoch])
def test_a_restore_in_the_same_server_is_found_before_anything_is_written(
    kept: tuple[Cluster, str, Service], restore: Callable[[Cluster, str], None], tmp_path: Path
) -> None:
    pg, name, service = kept
    restore(pg, name)
    lost(service.ledger.studies.newest_event)
    with pytest.raises(OtherHistory):
        service.recorder.receive(study("1.2"))
    with pytest.raises(Occupied, match="was restored"):
        service.look()
    service.enrollment.end()
    if restore is restored_beside:  # what the service says in the end is not read from another ledger
        with pytest.raises(OtherHistory):
            service.ledger.studies.newest_event()
    again = Service(service.url, tmp_path)
    assert "ledger.failed_over" in again.log.events()
    assert again.ledger.pauses.lasts(Activity.RETENTION)
    again.ledger.close()


def test_a_restore_under_a_connection_that_lasts_is_found_when_the_lease_is_renewed(
    kept: tuple[Cluster, str, Service],
) -> None:
    pg, name, service = kept
    pg.tell("UPDATE xnat_watchd.stations SET seen = '2020-01-01T00:00:00.000000+00:00'", name)
    with pytest.raises(Occupied, match="was restored"):
        service.look()


def test_a_station_that_was_found_gone_is_no_restore(kept: tuple[Cluster, str, Service]) -> None:
    pg, name, service = kept
    pg.tell("UPDATE xnat_watchd.stations SET gone = seen, epoch = epoch + 1", name)
    service.look()
    assert "station.found_gone" in service.log.events()


# -- a change of which nobody knows what became of it ------------------------------------------------------


def test_what_was_taken_by_a_change_whose_answer_was_lost_is_made_ready(tmp_path: Path) -> None:
    service = Service(cluster().database(), tmp_path)
    service.recorder.receive(study("1.1"))
    service.recorder.receive(study("1.2"))
    known = service.work()
    unknown = service.recorder.take()  # its worker was never told
    service.look()
    assert (service.standing(known), service.standing(unknown)) == ("busy", "busy")  # a worker may just be told of it
    service.look()
    assert (service.standing(known), service.standing(unknown)) == ("busy", "ready")
    assert service.ledger.studies.get(unknown.key).in_doubt
    assert service.woken == 1
    service.recorder.advance(known)
    service.ledger.close()


def test_what_a_worker_is_told_of_after_the_first_look_stays_its_own(tmp_path: Path) -> None:
    service = Service(cluster().database(), tmp_path)
    service.recorder.receive(study("1.1"))
    item = service.recorder.take()
    service.look()
    service.taken.add(item.key)
    service.look()
    service.recorder.advance(item)
    service.ledger.close()
