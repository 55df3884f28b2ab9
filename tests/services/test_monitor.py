"""The main thread's watch, look by look: a real datagram socket stands for systemd, the time is a test's."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import pytest

from tests.station import Notes, Time
from xnat_watchd.adapters.files.status_file import StatusPublisher
from xnat_watchd.adapters.systemd.notify import Notifier
from xnat_watchd.core.errors import AuthRefused
from xnat_watchd.core.heartbeat import Heartbeats
from xnat_watchd.daemon.monitor import Monitor

EMPTY: dict[str, Any] = {
    "at": "2026-01-01T00:00:00+00:00", "daemon": {"running": True, "pid": 1}, "xnat": {"server": "https://x"},
    "gate": {"open": True}, "projects_shut": {}, "deliveries": {}, "studies": {}, "under_way": [], "ignored": [],
    "shares": [], "attention": [],
}  # fmt: skip


@dataclass
class Stage:
    """A monitor and what it is told and tells."""

    monitor: Monitor
    systemd: socket.socket
    time: Time
    heartbeats: Heartbeats
    log: Notes
    status: Path
    stderr: Path
    snapshot: dict[str, Any]
    state: dict[str, Any] = field(default_factory=lambda: {"ready": False, "cost": 0.0, "taken": 0})

    def told(self) -> list[str]:
        """Return what systemd was told since the last call."""
        found = []
        while True:
            try:
                found.append(self.systemd.recv(65536).decode())
            except BlockingIOError:
                return found

    def look(self, **pass_: float) -> list[str]:
        self.time.pass_(**(pass_ or {"seconds": 0.5}))
        self.monitor.check()
        return self.told()


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    time, log, heartbeats, snapshot = Time(), Notes(), Heartbeats(["worker-1", "intake"]), dict(EMPTY)
    status, stderr = tmp_path / "status.json", tmp_path / "stderr"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, stderr.open("w") as said:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)  # noqa: FBT003 - as the library has it
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notifier = Notifier.from_environment()
        yield _staged(systemd, notifier, said, (time, log, heartbeats, snapshot, status, stderr))
        notifier.close()


def _staged(systemd: socket.socket, notifier: Notifier, said: TextIO, rest: tuple[Any, ...]) -> Stage:
    time, log, heartbeats, snapshot, status, stderr = rest
    state: dict[str, Any] = {"ready": False, "cost": 0.0, "taken": 0, "made": 0, "same": None, "keeps": False}

    def take() -> dict[str, Any]:
        time.pass_(seconds=state["cost"])
        state["taken"] += 1
        if state["same"] is None or not state["keeps"]:
            state["same"] = {**snapshot, "at": time.now().isoformat()}
        return state["same"]  # type: ignore[no-any-return]

    def for_everybody(snapshot: dict[str, Any]) -> dict[str, Any]:
        state["made"] += 1
        return {**snapshot, "told": "everybody"}

    monitor = Monitor(
        take_snapshot=take, for_everybody=for_everybody,
        is_ready=lambda: bool(state["ready"]), heartbeats=heartbeats, notifier=notifier,
        publication=StatusPublisher(status), clock=time, log=log, stderr=said,
    )  # fmt: skip
    return Stage(monitor, systemd, time, heartbeats, log, status, stderr, snapshot, state)


# -- ready -------------------------------------------------------------------------------------------------


def test_systemd_is_asked_for_time_until_everything_stands_and_then_told_once(stage: Stage) -> None:
    told = stage.look()
    assert "EXTEND_TIMEOUT_USEC=60000000" in told
    assert "READY=1" not in told
    stage.state["ready"] = True
    told = stage.look()
    assert "READY=1" in told
    assert stage.log.events() == ["daemon.ready"]
    told = stage.look()
    assert "READY=1" not in told
    assert not any(one.startswith("EXTEND") for one in told)


def test_what_systemd_was_too_busy_to_hear_is_said_again(stage: Stage) -> None:
    stage.state["ready"] = True
    for _ in range(50):  # nobody reads, so the kernel soon takes no more
        stage.monitor._notifier.watchdog()
    stage.monitor.check()
    assert "READY=1" not in stage.told()
    assert "READY=1" in stage.look()
    assert stage.log.events() == ["daemon.ready"]


def test_a_reload_begins_and_ends(stage: Stage) -> None:
    stage.state["ready"] = True
    stage.look()
    stage.monitor.reloading()
    (told,) = stage.told()
    assert told == f"RELOADING=1\nMONOTONIC_USEC={round(stage.time.since_start * 1_000_000)}"
    assert "READY=1" in stage.look()


def test_a_stop_may_take_as_long_as_the_threads_keep_their_promises(stage: Stage) -> None:
    stage.monitor.stopping()
    stage.heartbeats.promise("worker-1", stage.time.since_start + 100)
    stage.monitor.wait()
    assert stage.told() == ["STOPPING=1", "WATCHDOG=1", "EXTEND_TIMEOUT_USEC=60000000"]
    stage.time.pass_(seconds=101)
    stage.monitor.wait()
    assert stage.told() == []


# -- the line ----------------------------------------------------------------------------------------------


def test_the_line_for_systemctl_is_said_when_it_changes(stage: Stage) -> None:
    assert "STATUS=0 under way, 0 held, 0 complete" in stage.look()
    assert not any(one.startswith("STATUS") for one in stage.look())
    stage.snapshot["studies"] = {"received": {"busy": 2, "held": 1}, "complete": {"done": 3}}
    stage.snapshot["gate"] = {"open": False, "why": "XNAT cannot be reached", "advice": "Wait.", "login": False}
    said = "STATUS=2 under way, 1 held, 3 complete; waiting for XNAT: XNAT cannot be reached"
    assert said in stage.look()


def test_the_line_says_what_to_type_where_only_a_person_can_go_on(stage: Stage) -> None:
    refused = AuthRefused("XNAT refuses the user or the password")
    stage.snapshot["gate"] = {"open": False, "why": str(refused), "advice": refused.advice, "login": True}
    (line,) = [one for one in stage.look() if one.startswith("STATUS=")]
    assert line.endswith(f"waiting for XNAT: XNAT refuses the user or the password. {refused.advice}")


def test_the_line_says_what_else_is_wrong(stage: Stage) -> None:
    held = {"item": "1.1", "about": "item", "why": "held"}
    stage.snapshot["attention"] = [{"item": "disk", "why": "too little room is left"}, held]
    assert "STATUS=0 under way, 0 held, 0 complete; too little room is left" in stage.look()


def test_a_snapshot_that_is_still_the_same_is_neither_made_for_everybody_again_nor_written(stage: Stage) -> None:
    stage.state["keeps"] = True
    for _ in range(5):
        stage.look()
    assert (stage.state["taken"], stage.state["made"]) == (5, 1)
    assert json.loads(stage.status.read_text())["told"] == "everybody"
    stage.state["same"] = None
    stage.look()
    assert stage.state["made"] == 2


def test_a_snapshot_that_could_not_be_written_is_written_at_the_next_look_though_it_is_the_same(stage: Stage) -> None:
    stage.state["keeps"] = True
    folder = stage.status.with_name(f".{stage.status.name}.part")
    folder.mkdir()
    stage.look()
    assert not stage.status.exists()
    folder.rmdir()
    stage.look()
    assert stage.status.exists()


# -- hangs -------------------------------------------------------------------------------------------------


def test_while_every_thread_keeps_its_promise_systemd_is_told_at_every_look(stage: Stage) -> None:
    stage.heartbeats.promise("worker-1", stage.time.since_start + 7200)  # an upload
    for _ in range(100):
        assert "WATCHDOG=1" in stage.look(minutes=1)


def test_of_a_thread_that_is_late_systemd_hears_by_silence_and_the_journal_gets_every_stack_once(stage: Stage) -> None:
    stage.heartbeats.promise("worker-1", stage.time.since_start + 10)
    stage.look(seconds=9)
    for _ in range(5):
        assert "WATCHDOG=1" not in stage.look(seconds=2)
    assert [(event, facts["reason"]) for event, facts in stage.log.lines] == [("daemon.hangs", "worker-1")]
    stacks = stage.stderr.read_text()
    assert "(most recent call first)" in stacks
    assert stacks.count("in test_of_a_thread_that_is_late") == 1
    stage.heartbeats.promise("worker-1", stage.time.since_start + 10)
    assert "WATCHDOG=1" in stage.look()


def test_the_stacks_show_no_values(stage: Stage) -> None:
    canary = "Zyx9" + "canary7Qw"
    stage.heartbeats.promise("intake", stage.time.since_start)
    stage.look()
    assert stage.stderr.stat().st_size
    assert canary not in stage.stderr.read_text()


def test_the_next_hang_is_told_too(stage: Stage) -> None:
    for _ in range(2):
        stage.heartbeats.promise("intake", stage.time.since_start)
        stage.look()
        stage.heartbeats.idle("intake")
        stage.look()
    assert stage.log.events() == ["daemon.hangs", "daemon.hangs"]


# -- the clock ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [-400, -2, 2, 400])
def test_a_clock_that_was_set_by_days_is_told_once(stage: Stage, days: int) -> None:
    stage.look()
    stage.time.since_start -= 86400 * days
    stage.look(days=days)
    stage.look()
    assert stage.log.events() == ["clock.jumped"]


def test_a_clock_that_is_put_right_by_an_hour_is_not_worth_a_word(stage: Stage) -> None:
    stage.look()
    stage.time.since_start -= 3600
    stage.look(hours=1)
    assert stage.log.events() == []


# -- the published status ----------------------------------------------------------------------------------


def test_the_status_is_published_when_it_changes_and_from_time_to_time(stage: Stage) -> None:
    stage.look()
    first = stage.status.stat().st_ino, json.loads(stage.status.read_text())["at"]
    stage.look()
    assert json.loads(stage.status.read_text())["at"] == first[1]
    stage.look(seconds=10)
    assert json.loads(stage.status.read_text())["at"] > first[1]
    stage.snapshot["deliveries"] = {"taken": 1}
    stage.look()
    assert json.loads(stage.status.read_text())["deliveries"] == {"taken": 1}
    assert [path.name for path in stage.status.parent.glob("*status*")] == ["status.json"]


def test_a_look_that_is_costly_is_taken_more_rarely_and_everything_else_goes_on(stage: Stage) -> None:
    stage.state["cost"] = 0.2  # a ledger with a hundred thousand studies
    for _ in range(40):
        assert "WATCHDOG=1" in stage.look()
    assert 4 <= stage.state["taken"] <= 7


def test_a_folder_that_takes_nothing_stops_nobody(stage: Stage) -> None:
    stage.monitor._publication = StatusPublisher(stage.status.parent / "gone" / "status.json")
    stage.state["ready"] = True
    assert "READY=1" in stage.look()
    assert "WATCHDOG=1" in stage.look()
