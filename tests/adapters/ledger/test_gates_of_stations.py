"""When several stations may ask XNAT: what one has found out holds for all, but for a login that is its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import RLock

import pytest

from tests.ledger_conformance.engines import Recorder, study
from tests.station import Notes, Time
from tests.stations import SharedLedger
from xnat_watchd.core.errors import AuthRefused, Unavailable
from xnat_watchd.core.gate import REFUSALS_AN_HOUR, Gate
from xnat_watchd.studies.steps.gates import XnatGates

REFUSED = AuthRefused("XNAT refused the login")
DOWN = Unavailable("XNAT cannot be reached")


@dataclass
class Prober:
    """What asks XNAT whether it works; it counts how often."""

    asked: int = 0
    meanwhile: Callable[[], object] = bool

    def probe(self) -> None:
        self.asked += 1
        self.meanwhile()


def gates_of(one: Recorder, prober: Prober, time: Time) -> XnatGates:
    """Return the gates as a worker of this station uses them."""
    return XnatGates(
        ledger=one.ledger, prober=prober, clock=time, log=Notes(), chance=lambda: 0.0, lock=RLock(), refusal=None
    )


def test_one_station_asks_for_all_whether_a_server_that_was_down_works(ct: Recorder, mr: Recorder) -> None:
    time, probers = Time(), (Prober(), Prober())
    gates = [gates_of(one, prober, time) for one, prober in zip((ct, mr), probers, strict=True)]
    gates[0].shut(Unavailable("XNAT cannot be reached"))
    time.pass_(minutes=5)
    others = list[bool]()
    probers[0].meanwhile = lambda: others.append(gates[1].is_open())
    assert gates[0].is_open()
    assert others == [False]
    assert gates[1].is_open()
    assert [one.asked for one in probers] == [1, 0]


def test_another_station_asks_where_the_one_that_was_to_ask_has_died(ct: Recorder, mr: Recorder) -> None:
    time, prober = Time(), Prober()
    gates = gates_of(mr, prober, time)
    gates.shut(Unavailable("XNAT cannot be reached"))
    shut = gates.now().of()
    time.pass_(minutes=5)
    assert ct.ledger.gates.may_probe("", shut, time.now())
    assert not mr.ledger.gates.may_probe("", shut, time.now())
    assert not gates.is_open()
    time.pass_(minutes=2)
    assert gates.is_open()
    assert prober.asked == 1


def test_of_all_stations_one_study_finds_out_what_a_project_does(ct: Recorder, mr: Recorder) -> None:
    time = Time()
    gates = [gates_of(one, Prober(), time) for one in (ct, mr)]
    ct.ledger.gates.set("P1", Gate(trial=True))
    ct.receive()
    mr.receive(sha256="b" * 64)
    found = [one.restrictions() for one in gates]
    assert found[1] is not None
    assert gates[1].is_alone_on_trial(found[1])
    ct.take()
    assert not gates[1].is_alone_on_trial(found[1])


# -- logins ------------------------------------------------------------------------------------------------


@pytest.fixture
def us(shared: SharedLedger) -> Iterator[Recorder]:
    """Yield who records at us-3, which logs in by another name than ct-1 and mr-2."""
    other = SharedLedger(shared.folder)
    one = other.be("us-3")
    one.ledger.stations.log_in_as("other")
    yield one
    one.ledger.close()


@pytest.fixture
def same(ct: Recorder, mr: Recorder) -> None:
    """Have two stations log in by the same name."""
    for one in (ct, mr):
        one.ledger.stations.log_in_as("tech")


def are_open(time: Time, *stations: Recorder) -> list[bool]:
    """Return at which stations XNAT may be asked now; it answers whoever asks whether it works."""
    return [gates_of(one, Prober(), time).is_open() for one in stations]


def refuse() -> None:
    raise REFUSED


@pytest.mark.usefixtures("same")
def test_a_refused_login_keeps_who_uses_it_waiting_and_no_others(ct: Recorder, mr: Recorder, us: Recorder) -> None:
    time = Time()
    gates_of(ct, Prober(), time).shut(REFUSED)
    assert are_open(time, ct, mr, us) == [False, False, True]
    assert [one.ledger.gates.get().may_be_refused(time.now()) for one in (ct, mr, us)] == [True] * 3
    for _ in range(1, REFUSALS_AN_HOUR):
        mr.ledger.gates.count_refusal(time.now())
    assert [one.ledger.gates.get().may_be_refused(time.now()) for one in (ct, mr, us)] == [False, False, True]
    ct.ledger.gates.forget_refusals()
    assert mr.ledger.gates.get().may_be_refused(time.now())
    assert are_open(time, ct, mr, us) == [False, False, True]


@pytest.mark.usefixtures("same")
def test_a_login_that_is_accepted_again_is_tried_by_one_study_however_busy_others_are(
    ct: Recorder, mr: Recorder, us: Recorder
) -> None:
    time = Time()
    gates = gates_of(ct, Prober(), time)
    gates.shut(REFUSED)
    us.receive()
    us.take()
    time.pass_(hours=1)
    assert are_open(time, ct) == [True]
    assert ct.ledger.gates.get().trial
    ct.receive(study("1.2.9"), sha256="b" * 64)
    ct.take()
    assert are_open(time, ct, us) == [False, True]
    gates.passed("P1")
    assert [one.ledger.gates.get() for one in (mr, us)] == [Gate(refusals=gates.now().of().refusals), Gate()]
    assert are_open(time, ct, mr, us) == [True] * 3


@pytest.mark.usefixtures("same")
def test_a_server_that_is_down_is_so_for_every_login(ct: Recorder, mr: Recorder, us: Recorder) -> None:
    time = Time()
    gates_of(us, Prober(), time).shut(DOWN)
    assert are_open(time, ct, mr, us) == [False] * 3
    time.pass_(minutes=5)
    refusing = Prober(meanwhile=refuse)
    assert not gates_of(ct, refusing, time).is_open()
    assert [one.ledger.gates.get().login for one in (ct, mr, us)] == [True, True, False]
    assert are_open(time, us) == [True]


@pytest.mark.usefixtures("same")
def test_a_refused_login_is_not_tried_because_the_server_is_back(ct: Recorder, us: Recorder) -> None:
    time, prober = Time(), Prober()
    gates = gates_of(ct, prober, time)
    gates.shut(REFUSED)
    gates_of(us, Prober(), time).shut(DOWN)
    time.pass_(minutes=4)
    assert not gates.is_open()
    assert prober.asked == 0
    assert are_open(time, us) == [True]
    time.pass_(minutes=2)
    assert gates.is_open()
    assert prober.asked == 1


def test_another_login_begins_with_an_open_gate_and_what_nobody_uses_is_forgotten(ct: Recorder, us: Recorder) -> None:
    time = Time()
    ct.ledger.stations.log_in_as("a token")
    gates_of(ct, Prober(), time).shut(REFUSED)
    ct.ledger.stations.log_in_as("the next token")
    assert are_open(time, ct, us) == [True] * 2
    ct.ledger.stations.log_in_as("a token")
    assert are_open(time, ct, us) == [True] * 2


def test_the_name_that_a_station_logs_in_with_does_not_stand_in_the_ledger(shared: SharedLedger, ct: Recorder) -> None:
    ct.ledger.stations.log_in_as("half of a secret")
    (row,) = shared.change("SELECT json_agg(s)::text FROM xnat_watchd.stations s")
    assert ct.ledger.stations.me.account in row
    assert "half" not in row
