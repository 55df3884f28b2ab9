"""A station in a ledger that several share: it shows that it is there, and takes care of what others have left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from tests.station import Notes, Time
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.adapters.ledger.stations import StationProcess
from xnat_watchd.adapters.log_tables import EVENTS, FACTS
from xnat_watchd.core.errors import LedgerUnusable, Occupied, Refusal, TakenOver
from xnat_watchd.core.lease import LEASE, RENEWED_EVERY, StationLease
from xnat_watchd.daemon.enrollment import Enrollment


@dataclass
class Host:
    """A host with a service. Its clock stands still until it is told to go on."""

    ledger: Ledger
    name: str
    time: Time = field(default_factory=Time)
    log: Notes = field(default_factory=Notes)
    woken: int = 0
    renewals: int = 0
    report: str = ""
    taken: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        self.ledger.stations.shared = True
        self.lease = StationLease(self.time.monotonic)
        self._renew = self.ledger.stations.renew
        self.ledger.stations.renew = self._counted  # type: ignore[method-assign, assignment]
        self.enrollment = Enrollment(
            ledger=self.ledger, process=StationProcess(self.name, "0.2.0", f"lock of {self.log!r}"), lease=self.lease,
            lateness=lambda: timedelta(minutes=5), clock=self.time, log=self.log, workers=self,
            follow=lambda _: None, report=lambda: self.report,
        )  # fmt: skip

    def _counted(self, lateness: timedelta, report: str) -> object:
        self.renewals += 1
        return self._renew(lateness, report)

    def wake(self) -> None:
        """Note it."""
        self.woken += 1

    def held(self) -> frozenset[int]:
        """Return what its workers have taken."""
        return self.taken


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Callable[[str], Host]]:
    """Yield what makes a host of a name, with a connection of its own to one ledger."""
    made: list[Host] = []

    def make(name: str) -> Host:
        made.append(Host(Ledger(open_database(tmp_path / "ledger.sqlite")), name))
        return made[-1]

    yield make
    for one in made:
        one.ledger.close()
        assert set(one.log.events()) <= EVENTS.keys()
        assert {fact for _, facts in one.log.lines for fact in facts} <= FACTS.keys()


def test_the_only_station_of_a_file_asks_nothing(host: Callable[[str], Host]) -> None:
    alone = host("ct-1")
    alone.ledger.stations.shared = False
    alone.enrollment.begin()
    before = alone.ledger.version()
    alone.time.pass_(days=1)
    alone.enrollment.check()
    alone.enrollment.end()
    assert (alone.renewals, alone.ledger.version()) == (0, before)
    assert alone.lease.may_begin()


def test_what_a_station_knows_of_itself_goes_with_each_renewal(host: Callable[[str], Host]) -> None:
    one = host("ct-1")
    one.report = "{}"
    one.enrollment.begin()
    one.report = '{"free": 1}'
    one.time.pass_(seconds=RENEWED_EVERY)
    one.enrollment.check()
    assert [row["report"] for row in one.ledger.fleet.stations()] == ['{"free": 1}']


def test_it_is_renewed_as_often_as_needed_and_no_oftener(host: Callable[[str], Host]) -> None:
    one = host("ct-1")
    one.enrollment.begin()
    for _ in range(100):
        one.enrollment.check()
        one.time.pass_(seconds=1)
    assert one.renewals == 1 + 100 // RENEWED_EVERY - 1
    assert (one.lease.may_begin(), one.woken) == (True, 0)


def test_while_the_ledger_does_not_answer_the_lease_runs_out_and_then_the_work_goes_on_by_itself(
    host: Callable[[str], Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = host("ct-1")
    one.enrollment.begin()

    def cut(*_: object) -> object:
        raise LedgerUnusable("cut", advice="", passes=True)

    with monkeypatch.context() as patch:
        patch.setattr(one.ledger.stations, "renew", cut)
        for seconds in range(0, int(LEASE), 10):
            assert one.lease.may_begin() == (seconds < LEASE / 2)
            one.time.pass_(seconds=10)
            with pytest.raises(LedgerUnusable):
                one.enrollment.check()
    assert not one.lease.lasts()
    one.enrollment.check()
    assert (one.lease.may_begin(), one.woken) == (True, 1)
    assert "station.found_gone" not in one.log.events()  # nobody has looked meanwhile


def test_the_time_that_the_question_took_is_part_of_the_lease(host: Callable[[str], Host]) -> None:
    one = host("ct-1")
    one.enrollment.begin()
    renew = one.ledger.stations.renew

    def slow(lateness: timedelta, report: str) -> object:
        shown = renew(lateness, report)
        one.time.pass_(seconds=LEASE / 2)  # frozen before it heard the answer
        return shown

    one.ledger.stations.renew = slow  # type: ignore[method-assign, assignment]
    one.time.pass_(seconds=RENEWED_EVERY)
    one.enrollment.check()
    assert not one.lease.may_begin()


def test_one_that_was_found_gone_begins_anew_and_says_so(host: Callable[[str], Host]) -> None:
    frozen, other = host("ct-1"), host("ct-2")
    frozen.enrollment.begin()
    other.enrollment.begin()
    epoch = frozen.ledger.stations.me.epoch
    other.ledger.stations.lease = 0.0
    other.time.pass_(seconds=RENEWED_EVERY)
    other.enrollment.check()
    assert other.log.lines[-1] == ("station.gone", {"station": "ct-1"})
    frozen.time.pass_(minutes=10)
    assert not frozen.lease.lasts()
    frozen.enrollment.check()
    assert frozen.ledger.stations.me.epoch > epoch
    assert (frozen.lease.may_begin(), frozen.woken, frozen.enrollment.refused) == (True, 1, None)
    assert ("station.found_gone", {"station": "ct-1"}) in frozen.log.lines


def test_one_whose_name_another_process_has_taken_must_end(host: Callable[[str], Host]) -> None:
    frozen, clone = host("ct-1"), host("ct-1")
    frozen.enrollment.begin()
    with pytest.raises(Occupied):
        clone.enrollment.begin()
    clone.ledger.stations.lease = 0.0
    clone.enrollment.begin()
    frozen.time.pass_(minutes=10)
    with pytest.raises(Occupied):
        frozen.enrollment.check()
    assert frozen.enrollment.refused is not None
    assert not frozen.lease.lasts()


def test_one_that_has_ended_is_not_missed(host: Callable[[str], Host]) -> None:
    ended, other = host("ct-1"), host("ct-2")
    ended.enrollment.begin()
    ended.enrollment.end()
    other.enrollment.begin()
    other.ledger.stations.lease = 0.0
    other.time.pass_(seconds=RENEWED_EVERY)
    other.enrollment.check()
    assert "station.gone" not in other.log.events()


def test_one_whose_root_was_moved_away_meanwhile_must_end_and_takes_nothing(host: Callable[[str], Host]) -> None:
    cut_off, other = host("ct-1"), host("ct-2")
    for one in (cut_off, other):
        one.enrollment.begin()
        one.ledger.stations.serve("their-root")
    other.ledger.moves.begin("a move", other.time.now())
    with pytest.raises(TakenOver):
        cut_off.ledger.deliveries.expect("1.zip", "P1", "identity", cut_off.time.now())
    cut_off.time.pass_(minutes=10)
    with pytest.raises(Refusal, match="was moved away"):
        cut_off.enrollment.check()
    assert cut_off.enrollment.refused is not None
    assert not cut_off.lease.may_begin()
