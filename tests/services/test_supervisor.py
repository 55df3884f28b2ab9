"""What this machine refuses ends no loop; what is our own fault ends the program, always with 70."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from tests.dicom import instance
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.services.desk import Desk, scan, whole
from tests.services.test_machine_faults import at, daemon, turn
from tests.station import Notes, Station, Time, zipped
from xnat_watchd.adapters.files.status_file import StatusPublisher
from xnat_watchd.adapters.ledger.pauses import Activity
from xnat_watchd.adapters.secret import Credential, Secret
from xnat_watchd.adapters.threads import Loop
from xnat_watchd.core.errors import InDoubt, LedgerUnusable, NoRoom, Stopped
from xnat_watchd.core.gate import AllGates, Restrictions
from xnat_watchd.core.lease import LEASE
from xnat_watchd.daemon import one_off_run, service, threads
from xnat_watchd.daemon.reload import reload
from xnat_watchd.daemon.state import SAME_FOR, Daemon
from xnat_watchd.daemon.supervisor import AGAIN, supervised
from xnat_watchd.operator.current_status import published_at
from xnat_watchd.operator.status import Exit, without_names

LEDGER = LedgerUnusable("the ledger cannot be used", advice="Look at its disk.", passes=True)
WORKER = "worker-1"

__all__ = ["daemon"]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    one = Desk(tmp_path)
    yield one
    one.close()


def no_renewal() -> Any:
    return cast("Any", type("Keeper", (), {"renew": lambda _: None})())


def raising(error: BaseException) -> Any:
    def raises(*_: object, **__: object) -> None:
        raise error

    return raises


@pytest.mark.parametrize(
    "error",
    [
        NoRoom("full"),
        LEDGER,
        Stopped("told to stop"),
        *(OSError(n, "") for n in (errno.EIO, errno.ESTALE, errno.EROFS)),
    ],
    ids=repr,
)
def test_what_this_machine_refuses_ends_no_loop_and_is_in_the_status_until_it_is_over(
    daemon: Daemon, error: Exception
) -> None:
    assert supervised(daemon, raising(error)) == AGAIN
    told = {one["item"] for one in daemon.take_snapshot()["attention"]}
    assert told == (set() if isinstance(error, Stopped) else {"ledger" if error is LEDGER else "disk"})
    supervised(daemon, lambda: 1.0)
    daemon.note_full(full=False)
    assert daemon.take_snapshot()["attention"] == []


def test_the_status_is_composed_anew_only_after_a_change_and_from_time_to_time(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = Time()
    monkeypatch.setattr(daemon, "clock", time)
    first = daemon.take_snapshot()
    assert daemon.take_snapshot() is first
    daemon.note_full(full=True)
    full = daemon.take_snapshot()
    assert [one["item"] for one in full["attention"]] == ["disk"]
    assert daemon.take_snapshot() is full
    daemon.ledger.pauses.begin(Activity.WORK, "", "", daemon.clock.now())
    paused = daemon.take_snapshot()
    assert paused["paused"]
    time.pass_(seconds=SAME_FOR)
    later = daemon.take_snapshot()
    assert later["at"] > paused["at"]


def test_a_disk_that_is_full_elsewhere_is_told_as_that(daemon: Daemon) -> None:
    daemon.note_room(1 << 40)
    supervised(
        daemon, raising(NoRoom("the disk of the ledger's database is full", advice="Ask for space on its disk."))
    )
    (row,) = daemon.take_snapshot()["attention"]
    assert (row["why"], row["advice"]) == (
        "the disk of the ledger's database is full, so nothing is taken", "Ask for space on its disk."
    )  # fmt: skip
    daemon.note_room(0)
    (row,) = daemon.take_snapshot()["attention"]
    assert row["why"].startswith("too little room is left, so nothing is taken: 0 kB are free")


def test_figures_that_cannot_be_read_anew_keep_their_time(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = daemon.take_snapshot()
    monkeypatch.setattr(daemon.ledger_status, "snapshot", raising(LEDGER))
    cast("Time", daemon.clock).pass_(minutes=10)
    told = daemon.take_snapshot()
    assert (told["at"], told["attention"][0]["item"]) == (before["at"], "ledger")
    now = datetime.now(UTC)
    old = {**told, "at": (now - timedelta(minutes=10)).isoformat(), "said": now.isoformat()}
    StatusPublisher(tmp_path / "status.json").publish(without_names(old, lambda _: True), now)
    seen = published_at(tmp_path / "status.json")
    assert seen is not None
    assert [row["item"] for row in seen["attention"]] == ["ledger"]  # it is not silent
    assert (seen["age"], "said" in seen) == (600, False)


def test_a_station_that_was_not_heard_of_takes_nothing_until_it_is(daemon: Daemon) -> None:
    zip_file = daemon.folders.drop / "scan.zip"
    zip_file.write_bytes(scan())
    daemon.lease.renewed = daemon.lease.now() - LEASE / 2
    for _ in range(2):
        turn(daemon)
    assert zip_file.exists()
    assert daemon.next_sweep == threads.UNHEARD
    daemon.lease.renewed = daemon.lease.now()
    for _ in range(2):
        turn(daemon)
    assert not zip_file.exists()


def test_a_fault_of_ours_ends_the_loop(daemon: Daemon) -> None:
    for fault in (RuntimeError("a bug"), OSError(errno.EBADF, "closed")):
        with pytest.raises(type(fault)):
            supervised(daemon, raising(fault))


@pytest.mark.parametrize("part", ["keep", "refuse"])
def test_a_full_ledger_with_a_share_table_in_the_folder_does_not_end_the_service(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    table = {"keep": "subject,source,destination\nS1,P1,P2\n", "refuse": "nonsense\n"}[part]
    (daemon.folders.shares / "t.csv").write_text(table)
    monkeypatch.setattr("xnat_watchd.studies.steps.gates.XnatGates.is_open", lambda _: True)
    monkeypatch.setattr("xnat_watchd.adapters.xnat.gateway.XnatGateway.reachable", lambda *_: {})
    monkeypatch.setattr("xnat_watchd.adapters.xnat.gateway.XnatGateway.listed", lambda *_: [])
    monkeypatch.setattr(daemon.ledger.shares, part, raising(NoRoom("the ledger's disk is full")))
    for _ in range(3):
        cast("Time", daemon.clock).pass_(seconds=60)
        threads.sharing_turn(daemon)
    assert daemon.full


def test_a_reload_keeps_what_could_not_be_given_back(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    (daemon.folders.drop / "scan.zip").write_bytes(scan())
    turn(daemon)
    turn(daemon)
    with monkeypatch.context() as patch:
        patch.setattr(daemon.ledger.studies, "give_back", raising(NoRoom("the ledger's disk is full")))
        patch.setattr(
            "xnat_watchd.studies.pipeline.Pipeline._act", raising(NoRoom("no room is left in the work folder"))
        )
        open_ = Restrictions(AllGates(paused=False, by_scope={}))
        patch.setattr("xnat_watchd.studies.steps.gates.XnatGates.restrictions", lambda _: open_)
        assert threads.worker_turn(daemon, WORKER, no_renewal()) == threads.IDLE
        assert daemon.ledger.studies.any_busy()
        reload(daemon, lambda: daemon.settings)
    monkeypatch.setattr("xnat_watchd.studies.steps.gates.XnatGates.restrictions", lambda _: None)
    threads.worker_turn(daemon, WORKER, no_renewal())
    assert not daemon.ledger.studies.any_busy()


def test_a_reload_keeps_an_unfinished_arrival(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    (daemon.folders.drop / "scan.zip").write_bytes(scan())
    with monkeypatch.context() as patch:
        patch.setattr("xnat_watchd.daemon.composition.open_zip", raising(OSError(errno.EIO, "Input/output error")))
        turn(daemon)
        turn(daemon)
    assert daemon.ledger.views.deliveries() == {"arriving": 1}
    reload(daemon, lambda: daemon.settings)
    for _ in range(5):
        turn(daemon)
    assert daemon.ledger.views.deliveries() == {"taken": 1}


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.EROFS])
def test_a_disk_that_fails_in_the_middle_of_a_step_holds_no_study_and_charges_none(desk: Desk, number: int) -> None:
    broken = [OSError(number, "")] * 50  # more often than a study is tried

    class Failing:
        """A disk that tells nothing of a ZIP once it was sent."""

        def __init__(self, real: Any) -> None:
            self._real = real

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def stamp(self, path: Path) -> str | None:
            if broken and any(one.startswith("upload") for one in desk.xnat.requests):
                raise broken.pop()
            return cast("str | None", self._real.stamp(path))

    station = desk.station(at("disk", Failing))
    station.drop("cd.zip", scan())
    station.take_in()
    station.pipeline.step()
    assert len(broken) == 49
    assert station.standings() == [("1.1", "received", "waiting")]
    station.work()
    assert broken == []
    assert station.standings() == [("1.1", "complete", "done")]


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.EROFS])
def test_a_disk_that_fails_while_a_clean_zip_is_written_holds_no_study(desk: Desk, number: int) -> None:
    broken = [OSError(number, "")]

    def write(real: Any) -> Any:
        def written(*args: Any, **named: Any) -> None:
            if broken:
                raise broken.pop()
            real(*args, **named)

        return written

    station = desk.station(at("zip.write", write))
    station.drop("cd.zip", zipped([("viewer.exe", b"MZ"), ("1.dcm", instance(time="100130"))]))
    station.take_in()
    station.pipeline.step()
    assert station.standings() == [("1.1", "received", "waiting")]
    station.work()
    assert station.standings() == [("1.1", "complete", "done")]


def failing_writes(broken: list[int], name: Callable[[Path, Path], Path | None]) -> Callable[[Any], Any]:
    """Break the writing of clean ZIPs with these errors in turn. `name`: the path that an error names."""

    def around(real: Any) -> Any:
        def written(source: Path, instances: Any, target: Path) -> None:
            if broken:
                named = name(source, target)
                raise OSError(broken.pop(), "", *([str(named)] if named else []))
            real(source, instances, target)

        return written

    return around


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.EROFS, errno.ENODEV])
def test_a_work_disk_that_takes_no_clean_zip_for_long_charges_no_study(desk: Desk, number: int) -> None:
    broken = [number] * 50  # more often than a study is tried
    station = desk.station(at("zip.write", failing_writes(broken, lambda _, target: target)))
    station.drop("cd.zip", zipped([("viewer.exe", b"MZ"), ("1.dcm", instance(time="100130"))]))
    station.take_in()
    station.work()
    assert (broken, station.standings()) == ([], [("1.1", "complete", "done")])


@pytest.mark.parametrize("named", [lambda *_: None, lambda source, _: source], ids=["read", "opened"])
def test_a_zip_that_lies_on_a_bad_sector_is_held_after_enough_attempts(
    desk: Desk, named: Callable[[Path, Path], Path | None]
) -> None:
    station = desk.station(at("zip.write", failing_writes([errno.EIO] * 500, named)))
    station.drop("cd.zip", zipped([("viewer.exe", b"MZ"), ("1.dcm", instance(time="100130"))]))
    station.take_in()
    station.work()
    assert station.standings() == [("1.1", "received", "held")]
    assert "cannot be read" in station.ledger.views.attention()[0]["why"]


def test_a_ledger_that_takes_nothing_in_the_middle_of_a_step_leaves_no_study_busy_when_it_does_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = desk.station()
    station.drop("a.zip", scan())
    station.take_in()
    with monkeypatch.context() as patch:
        patch.setattr(station.ledger.places, "choose", raising(LEDGER))
        patch.setattr(station.ledger.studies, "give_back", raising(LEDGER))
        with pytest.raises(LedgerUnusable):
            station.work()
    station.work()
    assert (station.standings(), desk.archived()) == ([("1.1", "complete", "done")], whole())


def test_a_thread_that_dies_ends_the_service_with_a_fault_however_slowly_it_dies(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, credential = daemon.settings, Credential("tech", Secret("secret"), "typed")
    daemon.server.close()
    daemon.ledger.close()

    class Slow(Loop):
        def run(self) -> None:
            try:
                super().run()
            finally:
                threading.Event().wait(0.3)  # as a thread is alive while its traceback is written

    monkeypatch.setattr(threads, "Loop", Slow)
    monkeypatch.setattr("xnat_watchd.daemon.threads.sharing_turn", raising(RuntimeError("a bug")))
    monkeypatch.setattr("threading.excepthook", lambda _: None)
    code, _ = service.run(settings, credential, Notes(), once=False, environ={})
    assert code is Exit.FAULT


def test_a_fault_in_a_commands_own_worker_ends_it_with_70(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, credential = daemon.settings, Credential("tech", Secret("secret"), "typed")
    (daemon.folders.drop / "scan.zip").write_bytes(scan())
    turn(daemon)
    turn(daemon)
    daemon.server.close()
    daemon.ledger.close()
    daemon.claims.close()
    monkeypatch.setattr("xnat_watchd.studies.pipeline.Pipeline.step", raising(RuntimeError("a bug")))
    monkeypatch.setattr("threading.excepthook", lambda _: None)
    with pytest.raises(SystemExit) as ended:
        one_off_run.carry(settings, credential, Notes(), [1], lambda _: None)
    assert ended.value.code == Exit.FAULT


def test_told_to_stop_while_the_server_is_probed_no_thread_fails(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    (daemon.folders.drop / "scan.zip").write_bytes(scan())
    turn(daemon)
    turn(daemon)
    daemon.pipelines[WORKER]._gates.shut(InDoubt("down"))
    cast("Time", daemon.clock).pass_(hours=3)
    monkeypatch.setattr("xnat_watchd.adapters.xnat.gateway.XnatGateway.probe", raising(Stopped("told to stop")))
    threads.worker_turn(daemon, WORKER, no_renewal())
    assert daemon.ledger.studies.any_busy() is False


def test_every_study_that_becomes_held_is_told_of_also_one_that_is_held_as_it_comes(desk: Desk) -> None:
    log = Notes()
    station = desk.station(log=log)
    station.drop("a.zip", zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 2)[:-300])]))
    station.take_in()
    station.work()
    assert [facts["item"] for event, facts in log.lines if event == "study.held"] == ["1.1"]


@pytest.mark.parametrize("wait", [0, 7200])
def test_how_long_an_upload_waited_for_its_turn_counts_nothing_when_its_answer_is_lost(
    tmp_path: Path, wait: int
) -> None:
    time = Time()
    xnat = FakeXnat(time, projects=("P1",), dialect="1.8", delay=timedelta(hours=1))  # listed when it is done

    class Queued(FakeGateway):
        first = True

        def upload(self, place: Any, zip_path: str, progressed: Any, *, alone: bool) -> None:
            first, Queued.first = Queued.first, False
            progressed(0, 0)
            time.pass_(seconds=wait if first else 0)  # another worker's import is under way
            super().upload(place, zip_path, progressed, alone=alone)
            if first:
                raise InDoubt("the connection to XNAT broke")

    station = Station(tmp_path, Queued(xnat, time), time)
    station.drop("a.zip", scan())
    station.start()
    station.take_in()
    station.pipeline.step()
    for _ in range(200):
        station.pipeline.step()
        time.pass_(seconds=20)
    assert sum(one.startswith("upload") for one in xnat.requests) == 1
    station.close()
