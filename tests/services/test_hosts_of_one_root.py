"""Two hosts serve one root of a share, and one of them stands still at a bad moment while the other goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.dicom import instance
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.postgres.cluster import CHOSEN
from tests.station import Station, Time, as_is, zipped
from xnat_watchd.adapters.files import stamps
from xnat_watchd.adapters.files.disk import Disk, identity
from xnat_watchd.adapters.ledger.stations import StationProcess
from xnat_watchd.core.errors import TakenOver
from xnat_watchd.core.lease import LEASE
from xnat_watchd.core.settling import FileStat
from xnat_watchd.studies import pipeline
from xnat_watchd.studies.intake import FATAL_OPENINGS

ROOT = "the-root"
ONE = zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 2))])
NOTES = zipped([("notes.txt", b"no image")])


class Around:
    """A part of which one operation does something else first, once."""

    def __init__(self, real: Any, operation: str, first: Callable[[], object]) -> None:
        self._real, self._operation, self._first = real, operation, first

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name != self._operation:
            return real

        def called(*values: Any, **named: Any) -> Any:
            self._operation = ""
            self._first()
            return real(*values, **named)

        return called


class Died(BaseException):
    """The process has ended in the middle of what it did."""


class Share:
    """A root that two hosts serve, with an XNAT."""

    def __init__(self, root: Path) -> None:
        self.root, self.time = root, Time()
        self.xnat = FakeXnat(self.time)
        self.hosts: list[Station] = []

    def host(self, name: str, around: Callable[[str, Any], Any] = as_is) -> Station:
        """Begin the service of a host."""
        made = Station(self.root, FakeGateway(self.xnat, self.time), self.time, around=around)
        self.hosts.append(made)
        self.begin(made, name)
        made.start()
        return made

    def begin(self, host: Station, name: str) -> None:
        """Make a host a station, or one again."""
        host.ledger.stations.enroll(StationProcess(name, "0.2.0", f"lock of {name}"))
        host.ledger.stations.serve(ROOT)

    def find_gone(self, by: Station) -> None:
        """Have a host find the other one gone: it was not heard of for the length of the lease."""
        by.ledger.stations.lease = 0.0
        assert by.ledger.gone_stations.put_in_doubt(self.time.now())
        by.ledger.stations.lease = LEASE
        assert by.ledger.stations.renew(timedelta(0)) is not None

    def zips(self) -> list[str]:
        """Return where each ZIP lies."""
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*.zip"))

    def states(self) -> list[str]:
        """Return the state of each delivery."""
        return [row["state"] for row in self.hosts[0].ledger._database.rows("SELECT state FROM deliveries ORDER BY id")]

    def go_on(self, *hosts: Station) -> None:
        """Let the hosts work, until nothing is left to do."""
        for _ in range(3):
            for host in hosts:
                host.take_in()
                host.work()
            self.time.pass_(seconds=2 * LEASE)

    def images(self) -> int:
        """Return how many images XNAT has."""
        return len(self.xnat.instances())


@pytest.fixture
def share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Share]:
    """Yield a root whose ledger is in a database."""
    monkeypatch.setenv(CHOSEN, "postgres")
    made = Share(tmp_path)
    yield made
    for host in made.hosts:
        host.close()


def before(part: str, operation: str, first: Callable[[], object]) -> Callable[[str, Any], Any]:
    """Return what has a host do something before an operation of one of its parts."""
    return lambda named, real: Around(real, operation, first) if named == part else real


def before_opening(first: Callable[[], object]) -> Callable[[str, Any], Any]:
    """Return what has a host do something before it opens a ZIP."""

    def opened(named: str, real: Any) -> Any:
        return (lambda *values: (first(), real(*values))[1]) if named == "zip.open" else real

    return opened


@pytest.mark.parametrize("waits", [True, False], ids=["the other waits for quiet", "the other takes it"])
def test_a_zip_that_is_taken_after_this_host_was_found_gone_is_sent_once(share: Share, *, waits: bool) -> None:
    def overtaken() -> None:
        share.find_gone(other)
        (other.intake.sweep if waits else other.take_in)()

    frozen = share.host("ct-1", before("disk", "take", overtaken))
    other = share.host("ct-2")
    frozen.drop("1.zip", ONE)
    frozen.take_in()
    assert share.zips() == ["drop/1.zip" if waits else "work/2.zip"]
    share.begin(frozen, "ct-1")
    share.go_on(frozen, other)
    assert [state for state in share.states() if state != "withdrawn"] == ["finished"]
    assert [zip_.split("/")[0] for zip_ in share.zips()] == ["done"]
    assert share.images() == 2


def test_a_zip_that_arrives_in_work_while_the_other_host_gives_it_up_is_dropped_again(share: Share) -> None:
    other = share.host("ct-2")
    dropped = other.drop("1.zip", ONE)
    (seen,) = (one for one in Disk().scan(other.folders.drop) if isinstance(one, FileStat))
    number = other.ledger.deliveries.expect("1.zip", "P1", identity(seen), share.time.now())
    moved = before("ledger.deliveries", "withdraw", lambda: dropped.rename(other.folders.zip_of(number)))
    other.ledger.deliveries = moved("ledger.deliveries", other.ledger.deliveries)
    share.time.pass_(seconds=1)
    other.intake.recover()
    assert (share.states(), share.zips()) == (["withdrawn"], ["drop/1.zip"])


def test_a_zip_of_a_share_that_the_other_host_has_copied_is_not_put_back_by_who_was_frozen(
    share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stamps, "file_system", lambda _: "nfs4")

    def overtaken() -> None:
        if share.states() == ["arriving"]:
            share.find_gone(other)
            other.intake.sweep()

    frozen, other = share.host("ct-1", before_opening(overtaken)), share.host("ct-2")
    frozen.drop("1.zip", ONE)
    frozen.take_in()
    assert (share.states(), share.zips()) == (["taken"], ["work/1.zip"])
    assert frozen.log.events()[-1] == "delivery.taken_over"
    share.begin(frozen, "ct-1")
    share.go_on(other, frozen)
    assert (share.states(), share.images()) == (["finished"], 2)


@pytest.mark.parametrize("content", [NOTES, ONE], ids=["rejected", "finished"])
def test_what_has_ended_is_moved_away_by_the_other_host_if_the_one_that_recorded_it_is_dead(
    share: Share, content: bytes
) -> None:
    def dies() -> None:
        raise Died

    def deadly(named: str, real: Any) -> Any:
        return Around(Around(real, "move", dies), "write", dies) if named == "disk" else real

    other, dead = share.host("ct-2"), share.host("ct-1", deadly)
    dead.drop("1.zip", content)
    with pytest.raises(Died):
        dead.run()
    assert share.zips() == ["work/1.zip"]
    share.find_gone(other)
    other.intake.sweep()
    assert share.zips() == ["work/1.zip"]  # it may be that the other one still moves it
    share.go_on(other)
    assert [zip_.split("/")[0] for zip_ in share.zips()] == ["failed" if content is NOTES else "done"]
    assert any(other.folders.failed.glob("*.txt")) == (content is NOTES)


def test_what_a_host_that_was_found_gone_had_opened_is_opened_again_once_it_has_begun_anew(share: Share) -> None:
    def overtaken() -> None:
        if share.states() == ["arriving"] and not host.log.lines[1:]:
            share.find_gone(other)

    host, other = share.host("ct-1", before_opening(overtaken)), share.host("ct-2")
    host.drop("1.zip", ONE)
    host.take_in()
    assert share.states() == ["arriving"]
    host.drop("2.zip", NOTES)
    for _ in range(FATAL_OPENINGS + 1):
        host.take_in()
    assert share.states() == ["arriving"]  # it takes nothing more
    assert host.log.events() == ["delivery.taken", "delivery.taken_over"]
    share.begin(host, "ct-1")
    share.go_on(host)
    assert (share.states(), share.images()) == (["finished", "rejected"], 2)


def test_a_delivery_that_both_hosts_end_is_ended_once(share: Share) -> None:
    other = share.host("ct-2")
    frozen = share.host("ct-1", before("ledger.deliveries", "retire", other.pipeline.retire))
    frozen.drop("1.zip", zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(2, 1, 1, time="120000"))]))
    frozen.take_in()
    for _ in range(200):
        if not any([frozen.pipeline.step(), other.pipeline.step()]):
            share.time.pass_(minutes=5)
    assert {standing for _, _, standing in frozen.standings()} == {"done"}
    frozen.pipeline.retire()
    assert share.states() == ["finished"]
    assert "delivery.unfinished" not in frozen.log.events()


def test_a_delivery_of_which_a_study_was_taken_again_while_it_was_to_be_ended_goes_on(
    share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken_over(*_: object) -> bool:
        raise TakenOver

    host = share.host("ct-1")
    host.drop("1.zip", zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(2, 1, 1, time="120000"))]))
    host.take_in()
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "retire", taken_over)
        while host.pipeline.step():
            assert not host.pipeline.retire()
    assert share.states() == ["taken"]
    share.time.pass_(hours=1)
    share.go_on(host)
    assert share.states() == ["finished"]


def test_a_duplicate_takes_the_place_of_a_zip_that_is_lost(share: Share) -> None:
    host = share.host("ct-1")
    host.drop("1.zip", ONE)
    host.take_in()
    host.folders.zip_of(1).unlink()
    host.work(hours=1000)
    (held,) = host.ledger.views.attention()
    assert held["why"].endswith("the study's ZIP is not in the work folder")
    assert held["advice"] == (
        "Check that the work folder's disk is mounted. If the ZIP is lost, drop it again. Then `xnat-watchd retry 1.1`."
    )
    host.drop("again.zip", ONE)
    host.take_in()
    assert (share.states(), share.zips()) == (["taken", "duplicate"], ["work/1.zip"])
    host.work()
    assert (share.states(), share.images()) == (["finished", "duplicate"], 2)
