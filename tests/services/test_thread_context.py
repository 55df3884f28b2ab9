"""What threads are handed: signs of life, patience with disks, and discretion about names."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.adapters.gateway.gateway_kit import server_at
from tests.adapters.gateway.scripted_xnat import Asked, scripted_xnat
from tests.station import Notes, Time
from xnat_watchd.adapters.files.disk import Disk
from xnat_watchd.core.errors import Stopped
from xnat_watchd.core.settling import FileStat
from xnat_watchd.daemon.thread_context import (
    SLOWEST_DISK,
    STEP_TAKES,
    HeartbeatDisk,
    KnownProjects,
    Liveness,
    ProjectHidingLog,
)

NAME = "worker-1"


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def heart(time: Time) -> Liveness:
    return Liveness([NAME], time)


def as_worker(act: Callable[[], object], name: str = NAME) -> None:
    thread = threading.Thread(target=act, name=name)
    thread.start()
    thread.join()


def is_late(heart: Liveness, time: Time, *, after: float) -> bool:
    return heart.heartbeats.broken(time.since_start + after) == [NAME]


# -- signs of life -----------------------------------------------------------------------------------------


def test_a_beat_is_a_promise_to_be_back_soon(heart: Liveness, time: Time) -> None:
    as_worker(heart.beat)
    assert not is_late(heart, time, after=STEP_TAKES)
    assert is_late(heart, time, after=STEP_TAKES + 1)


def test_each_look_whether_to_stop_is_a_sign_of_life(heart: Liveness, time: Time) -> None:
    as_worker(heart.beat)
    time.pass_(seconds=STEP_TAKES)
    as_worker(heart.stop.is_set)
    assert not is_late(heart, time, after=STEP_TAKES)
    time.pass_(seconds=STEP_TAKES)
    as_worker(lambda: heart.stop.wait(0))
    assert not is_late(heart, time, after=STEP_TAKES)


def test_a_thread_that_promised_nothing_is_not_waited_for(heart: Liveness, time: Time) -> None:
    as_worker(heart.beat, "MainThread")
    assert not is_late(heart, time, after=1e9)


def test_it_still_stops(heart: Liveness) -> None:
    assert not heart.stop.is_set()
    heart.stop.set()
    assert heart.stop.is_set()
    assert heart.stop.wait(10)


def test_who_wants_to_stop_is_heard_while_a_refused_file_is_digested(
    heart: Liveness, time: Time, tmp_path: Path
) -> None:
    (tmp_path / "refused.zip").write_bytes(bytes(1000))
    disk = HeartbeatDisk(heart)
    as_worker(heart.beat)
    time.pass_(seconds=STEP_TAKES)
    as_worker(lambda: disk.digest(tmp_path / "refused.zip"))
    assert not is_late(heart, time, after=STEP_TAKES)

    heart.stop.set()
    with pytest.raises(Stopped):
        disk.digest(tmp_path / "refused.zip")


class Heard(Time):
    """A clock that knows how often somebody looked at it, and wakes who waits for some looks more."""

    def __init__(self) -> None:
        super().__init__()
        self._looks = threading.Semaphore(0)

    def monotonic(self) -> float:
        self._looks.release()
        return super().monotonic()

    def wait_for(self, looks: int) -> bool:
        return all(self._looks.acquire(timeout=10) for _ in range(looks))


def test_an_answer_may_be_waited_for_without_end_and_the_one_who_waits_is_seen_to_live() -> None:
    clock = Heard()
    heart, answered = Liveness([NAME], clock), []
    with scripted_xnat() as xnat:

        def reply(asked: Asked) -> None:
            clock._looks = threading.Semaphore(0)
            answered.append(clock.wait_for(4))
            asked.answer(200, '{"ResultSet": {"Result": []}}')

        xnat.on("GET", "/data/projects", reply)
        server = server_at(xnat.url, clock=clock, stop=heart.stop)
        gateway = server.gateway()
        as_worker(gateway.projects)
        server.close()
    assert answered == [True]


# -- disks -------------------------------------------------------------------------------------------------


class SlowDisk(Disk):
    """A disk on which a file lies for as long as a slow one takes to copy it."""

    def __init__(self, heart: Liveness, time: Time) -> None:
        self.late: list[str] = []
        self._heart, self._time = heart, time

    def pass_time(self, size: int) -> None:
        self._time.pass_(seconds=size / SLOWEST_DISK)
        self.late += self._heart.heartbeats.broken(self._time.since_start)


def test_a_copy_may_take_as_long_as_a_slow_disk_needs(
    heart: Liveness, time: Time, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big, slow = 20_000_000_000, SlowDisk(heart, time)
    with (tmp_path / "a.zip").open("wb") as file:
        file.truncate(big)

    def move(_: Disk, source: Path, target: Path, stamp: str = "") -> Path:
        del stamp
        slow.pass_time(source.stat().st_size)
        return target

    def take(_: Disk, source: Path, target: Path, seen: object) -> None:
        del target, seen
        slow.pass_time(source.stat().st_size)

    def ensure_free(_: Disk, source: Path, seen: object) -> None:
        del seen
        slow.pass_time(source.stat().st_size)

    monkeypatch.setattr(Disk, "ensure_free", ensure_free)
    monkeypatch.setattr(Disk, "move", move)
    monkeypatch.setattr(Disk, "take", take)
    disk = HeartbeatDisk(heart)
    (seen,) = disk.scan(tmp_path)
    assert isinstance(seen, FileStat)
    as_worker(lambda: disk.ensure_free(tmp_path / "a.zip", seen))
    as_worker(lambda: disk.take(tmp_path / "a.zip", tmp_path / "b.zip", seen))
    as_worker(lambda: disk.move(tmp_path / "a.zip", tmp_path / "b.zip"))
    assert slow.late == []
    assert is_late(heart, time, after=STEP_TAKES + 1)


# -- discretion --------------------------------------------------------------------------------------------

CANARY = "Quokka_Zenobia"


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def projects() -> KnownProjects:
    projects = KnownProjects(["CONFIRMED"])
    projects.configured = frozenset({"CONFIGURED"})
    return projects


@pytest.mark.parametrize("name", ["CONFIGURED", "CONFIRMED"])
def test_a_project_that_is_one_is_told(notes: Notes, projects: KnownProjects, name: str) -> None:
    ProjectHidingLog(notes, projects).info("delivery.taken", item="1", project=name)
    assert notes.lines == [("delivery.taken", {"item": "1", "project": name})]


def test_a_folders_name_that_may_be_a_patients_is_not_told(notes: Notes, projects: KnownProjects) -> None:
    log = ProjectHidingLog(notes, projects)
    log.info("delivery.taken", item="1", project=CANARY)
    log.warning("study.held", item="1.1", project=CANARY, reason=f"XNAT lists no project {CANARY}")
    log.error("study.failed", item="1.1", project=CANARY)
    assert notes.events() == ["delivery.taken", "study.held", "study.failed"]
    assert CANARY not in str(notes.lines)
    assert [facts["item"] for _, facts in notes.lines] == ["1", "1.1", "1.1"]


def test_once_xnat_has_taken_a_study_for_it_it_is_a_project(notes: Notes, projects: KnownProjects) -> None:
    log = ProjectHidingLog(notes, projects)
    log.info("delivery.taken", item="1", project="LATER")
    log.info("study.advanced", item="1.1", project="LATER", progress="uploaded")
    log.info("delivery.taken", item="2", project="LATER")
    assert [facts.get("project") for _, facts in notes.lines] == [None, "LATER", "LATER"]


def test_what_names_no_project_passes(notes: Notes, projects: KnownProjects) -> None:
    ProjectHidingLog(notes, projects).warning("gate.shut", project="", reason="XNAT cannot be reached")
    assert notes.lines == [("gate.shut", {"project": "", "reason": "XNAT cannot be reached"})]


@pytest.mark.parametrize("event", ["shares.made", "shares.removed"])
def test_a_project_into_which_something_was_shared_is_one(notes: Notes, projects: KnownProjects, event: str) -> None:
    log = ProjectHidingLog(notes, projects)
    log.warning(event, project="LATER", count=3)
    log.info("delivery.taken", item="2", project="LATER")
    assert [facts.get("project") for _, facts in notes.lines] == ["LATER", "LATER"]
