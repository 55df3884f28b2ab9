"""While nothing is under way XNAT is asked how it is: what is wrong is known before the first ZIP of the morning."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any, cast

import pytest

from tests.engine import settings_of
from tests.ledgers import connection_of
from tests.services.desk import scan
from tests.services.test_machine_faults import polling
from tests.station import Notes, Time
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.adapters.ledger.pauses import Activity, Pauses
from xnat_watchd.adapters.ledger.stations import Stations
from xnat_watchd.adapters.secret import Credential, Secret
from xnat_watchd.core.errors import AuthRefused
from xnat_watchd.core.gate import REFUSALS_AN_HOUR
from xnat_watchd.daemon import composition, threads
from xnat_watchd.daemon.composition import apply_settings, build
from xnat_watchd.daemon.idle_check import EVERY
from xnat_watchd.daemon.metrics_export import MetricsExport
from xnat_watchd.daemon.state import Daemon
from xnat_watchd.operator.status import Exit, verdict, without_names
from xnat_watchd.sandbox import Sandbox
from xnat_watchd.settings import Settings, load

SECRET = "secret"
Start = Callable[..., "Idle"]


class Idle:
    """A service whose threads do not run, with a clock that a test moves, before an XNAT that it asks for real."""

    def __init__(self, root: Path, xnat: Sandbox, time: Time, *, password: str = SECRET, projects: str = "") -> None:
        self.xnat, self.time = xnat, time
        root.mkdir()
        self._file = root / "config.toml"
        self.write(projects)
        self.daemon = build(self.read(), Credential("tech", Secret(password), "typed"), Notes())
        for name in ("drop", "work", "done", "failed", "shares"):
            getattr(self.daemon.folders, name).mkdir()

    def write(self, projects: str = "") -> None:
        self._file.write_text(
            f'[xnat]\nserver = "{self.xnat.url}"\nproject = "P1"\n[folders]\nroot = "{self._file.parent}"\n'
            f'[intake]\nquiet_for = "1ms"\n[limits]\nkeep_free = "1kB"\n{projects}{settings_of(self._file.parent)}'
        )

    def read(self) -> Settings:
        return load(self._file, {}, self._file.parent / "none")

    def turn(self) -> int:
        """Have the threads take their turns; return how many requests XNAT has seen of it."""
        before = len(self.xnat.requests)
        threads.intake_turn(self.daemon, polling(self.daemon))
        threads.sharing_turn(self.daemon)
        threads.worker_turn(self.daemon, "worker-1", cast("Any", NoRenewal()))
        return len(self.xnat.requests) - before

    def tells(self) -> tuple[Exit, list[str]]:
        snapshot = self.daemon.take_snapshot()
        gate = [] if snapshot["gate"]["open"] else [snapshot["gate"]["why"]]
        return verdict(snapshot, finished=False), [*gate, *(one["why"] for one in snapshot["attention"])]


class NoRenewal:
    """A login that needs none."""

    def renew(self) -> None:
        pass


@pytest.fixture(params=["1.6", "1.8"])
def xnat(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sandbox]:
    with socket.create_server(("127.0.0.1", 0)) as free:  # so that it comes back where it was
        port = free.getsockname()[1]
    users = {"tech": SECRET}
    with Sandbox(tmp_path / "xnat", request.param, users=users, projects=["P1"], port=port) as one:
        yield one


@pytest.fixture
def start(tmp_path: Path, xnat: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    made, time = list[Daemon](), Time()
    time.at = datetime.now(UTC)
    monkeypatch.setattr(composition, "SystemClock", lambda: time)

    def start(**how: Any) -> Idle:
        idle = Idle(tmp_path / "watchd", xnat, time, **how)
        made.append(idle.daemon)
        return idle

    yield start
    for daemon in made:
        daemon.server.close()
        daemon.ledger.close()


def test_it_is_asked_at_the_start_and_every_few_minutes(start: Start) -> None:
    idle = start()
    assert idle.turn() > 0
    asked = []
    for _ in range(60):  # half an hour, by half minutes
        idle.time.pass_(seconds=30)
        asked.append(idle.turn())
    assert 5 <= sum(one > 0 for one in asked) <= 8
    assert sum(asked) <= 3 * 8
    assert idle.tells() == (Exit.FINE, [])


def test_many_stations_do_not_ask_at_one_moment(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    idle, due = start(), set()
    for chance in (0.0, 0.5, 0.99):
        monkeypatch.setattr(random.SystemRandom, "random", lambda _, chance=chance: chance)
        idle.daemon.idle_check.put_off()
        due.add(idle.daemon.idle_check.due - idle.time.monotonic())
    assert len(due) == 3
    assert all(EVERY * 0.75 <= one <= EVERY for one in due)


def test_a_wrong_password_is_told_before_any_zip_and_is_never_tried_often(start: Start) -> None:
    idle = start(password="wrong")
    idle.turn()
    code, why = idle.tells()
    assert (code, why) == (Exit.LOGIN, ["XNAT refuses the user or the password"])
    for _ in range(120):  # an hour
        idle.time.pass_(seconds=30)
        idle.turn()
    gate = idle.daemon.ledger.gates.get()
    assert 1 < len(gate.refusals) <= REFUSALS_AN_HOUR
    assert idle.tells()[0] is Exit.LOGIN


def test_a_server_that_went_down_is_told_and_it_is_told_when_it_is_back(start: Start, xnat: Sandbox) -> None:
    idle = start()
    idle.turn()
    xnat.stop()
    idle.time.pass_(seconds=EVERY)
    idle.turn()
    code, why = idle.tells()
    assert (code, why) == (Exit.UNAVAILABLE, ["XNAT cannot be reached"])
    xnat.start()
    idle.time.pass_(minutes=10)
    idle.turn()
    assert idle.tells() == (Exit.FINE, [])


def test_a_project_that_does_not_exist_is_told_until_it_does(start: Start) -> None:
    idle = start(projects="[projects.TYPO]\n")
    idle.turn()
    said = "project TYPO: XNAT lists no such project that this account may write to"
    assert idle.tells() == (Exit.ATTENTION, [said])
    idle.write()
    apply_settings(idle.daemon, idle.read())
    idle.turn()  # at once
    assert idle.tells() == (Exit.FINE, [])


def test_nothing_is_asked_while_a_person_has_paused_the_work(start: Start) -> None:
    idle = start()
    idle.daemon.ledger.pauses.begin(Activity.WORK, "a test", "", idle.time.now())
    assert idle.turn() == 0


def test_nothing_is_asked_while_the_gate_is_shut_but_by_its_own_probe(start: Start) -> None:
    idle = start()
    idle.daemon.tools["worker-1"].gates.shut(AuthRefused("refused"))
    assert idle.turn() == 0
    until = idle.daemon.ledger.gates.get().until
    assert until is not None
    assert until - idle.time.now() >= timedelta(minutes=5)


def test_nothing_is_asked_while_work_flows(start: Start) -> None:
    idle = start()
    (idle.daemon.folders.drop / "a.zip").write_bytes(scan())
    for _ in range(2):
        idle.time.pass_(seconds=1)
        threads.intake_turn(idle.daemon, polling(idle.daemon))
    before = len(idle.xnat.requests)
    threads.sharing_turn(idle.daemon)
    assert len(idle.xnat.requests) == before
    idle.turn()
    assert idle.daemon.ledger.views.studies() == {"complete": {"done": 1}}
    idle.time.pass_(seconds=1)
    assert idle.turn() == 0  # the work has just found out
    idle.time.pass_(seconds=EVERY)
    assert idle.turn() > 0


def statements(idle: Idle, seconds: int, *, everything: bool = True) -> list[str]:
    """Return what a worker, or everything but the intake, asks of the ledger in so many turns."""
    said: list[str] = []
    connection = connection_of(idle.daemon.ledger.views._db)
    connection.set_trace_callback(said.append)
    metrics = MetricsExport(
        path=idle.daemon.folders.work.parent / "x.prom", ledger=idle.daemon.ledger,
        published=lambda: without_names(idle.daemon.take_snapshot(), lambda _: True), log=Notes(), stop=Event(),
    )  # fmt: skip
    metrics.turn()
    said.clear()
    for _ in range(seconds):
        idle.time.pass_(seconds=1)
        threads.worker_turn(idle.daemon, "worker-1", cast("Any", NoRenewal()))
        if everything:
            threads.sharing_turn(idle.daemon)
            idle.daemon.take_snapshot()
            metrics.turn()
    connection.set_trace_callback(None)
    return [one for one in said if not one.startswith("PRAGMA data_version")]


def test_while_nothing_is_to_be_done_no_table_of_the_ledger_is_read(start: Start) -> None:
    idle = start()
    (idle.daemon.folders.drop / "scan.zip").write_bytes(scan())
    for _ in range(8):
        idle.time.pass_(seconds=5)
        idle.turn()
        idle.daemon.take_snapshot()
    assert idle.daemon.ledger.views.studies() == {"complete": {"done": 1}}
    statements(idle, 3)
    assert statements(idle, 60) == []


def test_what_a_command_writes_is_seen_at_once_while_nothing_is_to_be_done(start: Start) -> None:
    idle = start()
    idle.turn()
    statements(idle, 3)
    idle.daemon.ledger.changed()
    with closing(open_database(idle.read().ledger.location)) as other:
        Pauses(other, Stations(other)).begin(Activity.WORK, "a person said so", "Type resume.", idle.time.now())
    assert idle.daemon.ledger.changed()
    assert [one["of"] for one in idle.daemon.take_snapshot()["paused"]] == ["work"]
    assert statements(idle, 1, everything=False)
