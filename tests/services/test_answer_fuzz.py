"""A server that answers nonsense: each study ends complete, held or waiting, and says why; nothing is lost or doubled.

`ANSWER_SEEDS=500 pytest tests/services/test_answer_fuzz.py` tries more of them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest

from tests.dicom import instance, sop_uid
from tests.services.mutating_proxy import MutatingProxy
from tests.services.test_crash_sweep_sandbox import Hasty
from tests.station import Station, Time, zipped
from xnat_watchd.adapters.credentials import Secret
from xnat_watchd.adapters.xnat.gateway import XnatGateway, XnatServer
from xnat_watchd.core.delivery import Place
from xnat_watchd.core.errors import WatchdError
from xnat_watchd.core.sharing.plan import ShareSubject
from xnat_watchd.sandbox import Sandbox

SEEDS = int(os.environ.get("ANSWER_SEEDS", "6"))
DIALECTS = ("1.8", "1.6")
STUDIES = 2
LONG = timedelta(hours=3)
SHARED = ShareSubject(source="P1", destination="P2", id="XNAT_S00001", name="a", label="a")
PLACE = Place("P1", "20240229_101112130", "watchd-1-1-abc")

QUESTIONS: dict[str, Callable[[XnatGateway], object]] = {
    "probe": lambda g: g.probe(),
    "writable": lambda g: g.writable("P1"),
    "listed": lambda g: g.listed(),
    "look": lambda g: g.look(PLACE),
    "holding": lambda g: g.holding(PLACE),
    "discard": lambda g: g.discard(PLACE),
    "sessions": lambda g: g.sessions("P1", ["1.2.3"]),
    "session named": lambda g: g.session_named("P1", "a"),
    "session": lambda g: g.session("XNAT_E00001"),
    "rows with": lambda g: g.rows_with("P1", [PLACE.timestamp]),
    "header": lambda g: g.header("P1", "XNAT_E00001", "1.2.3"),
    "subject": lambda g: g.subject("P1", "Quokka_Zenobia"),
    "reachable": lambda g: g.reachable(["P1", "P2"]),
    "seen": lambda g: g.seen("P1", writable=True),
    "is shared": lambda g: g.is_shared(SHARED),
    "roles": lambda g: g.roles("P1"),
    "logins": lambda g: g.logins(),
    "prearchive rows": lambda g: g.prearchive_rows("P1"),
    "imaging sessions": lambda g: g.imaging_sessions("P1", "XNAT_S00001"),
    "version": lambda g: g.version(),
    "projects": lambda g: g.projects(),
    "subjects": lambda g: g.subjects("P1"),
}


class Nonsense:
    """A practice XNAT behind a proxy that changes its answers, and a station before it."""

    def __init__(self, folder: Path, dialect: str, seed: int) -> None:
        self.time = Time()
        self.xnat = Sandbox(
            folder / "xnat", dialect, users={"tech": "secret"}, projects=["P1", "P2"], clock=self.time.now
        )
        self.xnat.start()
        self.proxy = MutatingProxy(self.xnat.url, seed)
        self.proxy.__enter__()
        self.server = XnatServer(
            self.proxy.url, user="tech", password=Secret("secret"), clock=Hasty(), stop=Event(), read_timeout=300.0
        )
        self.station = Station(folder / "station", self.server.gateway(), self.time, seed=seed)

    def drop(self) -> None:
        self.station.start()
        for number in range(1, STUDIES + 1):
            members = [(f"{n}.dcm", instance(number, 1, n, time=f"10{number:02}00")) for n in (1, 2)]
            self.station.drop(f"{number}.zip", zipped(members))
        self.station.take_in()

    def close(self) -> None:
        self.station.close()
        self.proxy.on = False
        self.server.close()
        self.proxy.__exit__()
        self.xnat.stop()


@pytest.fixture
def nonsense(quick_path: Path, request: pytest.FixtureRequest) -> Iterator[Nonsense]:
    seed: int = request.param
    one = Nonsense(quick_path, DIALECTS[seed % len(DIALECTS)], seed)
    yield one
    one.close()


def carry(nonsense: Nonsense) -> None:
    """Work for some hours, or until nothing is left to do."""
    station, end = nonsense.station, nonsense.time.now() + LONG
    while nonsense.time.now() < end and not station.idle():
        while station.pipeline.step():
            pass
        station.pipeline.retire()
        station._wait()


@pytest.mark.parametrize("nonsense", range(SEEDS), indirect=True)
def test_each_study_ends_complete_held_or_waiting_with_a_reason_and_nothing_is_lost_or_doubled(
    nonsense: Nonsense,
) -> None:
    nonsense.drop()
    nonsense.proxy.on = True
    carry(nonsense)
    changed, station = nonsense.proxy.changed, nonsense.station
    assert "study.failed" not in station.log.events(), changed
    rows = station.ledger.views._db.rows("SELECT * FROM studies")
    shut = station.ledger.gates.get().shut
    for row in rows:
        assert row["standing"] in ("done", "held", "waiting", "ready"), changed
        assert row["standing"] != "held" or (row["why"] and row["advice"]), changed
        assert row["standing"] != "waiting" or (row["why"] and row["due"]), changed
        assert row["standing"] != "ready" or shut or row["why"], changed
    stored = Counter(one.sop_uid for one in nonsense.xnat.instances() if one.where == "archive")
    assert max(stored.values(), default=1) == 1, changed
    for number, row in enumerate(sorted(rows, key=lambda one: str(one["study_uid"])), 1):
        here = {sop_uid(number, 1, n) for n in (1, 2)}
        assert row["standing"] != "done" or here <= stored.keys(), changed


@pytest.mark.parametrize("nonsense", range(1000, 1000 + SEEDS), indirect=True)
def test_no_question_raises_anything_but_an_error_of_ours(nonsense: Nonsense) -> None:
    nonsense.drop()
    carry(nonsense)
    nonsense.proxy.on = True
    told, gateway = list[WatchdError](), nonsense.server.gateway()
    for ask in QUESTIONS.values():
        try:
            ask(gateway)
        except WatchdError as error:
            told.append(error)
    assert all(one.advice for one in told)
