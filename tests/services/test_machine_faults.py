"""What befalls the process and its machine: stops, kills, full disks, clocks. Nothing is lost, all goes on by itself.

A full disk is a small file system of its own, where we may mount one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.dicom import instance
from tests.engine import is_postgres, settings_of
from tests.fake_xnat import FakeGateway
from tests.services.desk import Desk, Small, scan, states, whole
from tests.station import QUIET, Notes, Station, Time, zipped
from xnat_watchd.adapters.files.disk import MARK, Disk
from xnat_watchd.adapters.files.lock import Lock, is_held
from xnat_watchd.adapters.files.watcher import Watcher
from xnat_watchd.adapters.secret import Credential, Secret
from xnat_watchd.adapters.threads import WakeUp
from xnat_watchd.core.errors import InDoubt, NoRoom, NotYet, Occupied, Stopped
from xnat_watchd.core.settling import FileStat
from xnat_watchd.daemon import threads
from xnat_watchd.daemon.composition import apply_settings, build
from xnat_watchd.daemon.state import Daemon
from xnat_watchd.settings import load

TEN_YEARS = timedelta(days=3653)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    one = Desk(tmp_path)
    yield one
    one.close()


# -- stopped and killed ------------------------------------------------------------------------------------


class Killed(BaseException):
    """kill -9."""


def at(part: str, act: Callable[[Any], Any]) -> Callable[[str, Any], Any]:
    """Put something else in a part's place."""
    return lambda name, thing: act(thing) if name == part else thing


def test_told_to_stop_in_the_middle_of_a_zip_it_stops_and_the_next_start_opens_it_uncharged(desk: Desk) -> None:
    def stopped(*_: object) -> None:
        raise Stopped("told to stop")

    station = desk.station(at("zip.open", lambda _: stopped))
    station.drop("scan.zip", scan())
    with pytest.raises(Stopped):
        station.take_in()
    for _ in range(5):  # more often than a ZIP may kill us
        station = desk.station(at("zip.open", lambda _: stopped), start=False)
        with pytest.raises(Stopped):
            station.start()
    assert states(station) == {"arriving": 1}
    station = desk.station()
    station.work()
    assert (desk.archived(), states(station)) == (whole(), {"finished": 1})


def test_told_to_stop_a_sweep_of_many_ends_between_two(daemon: Daemon) -> None:
    for number in range(3):
        (daemon.folders.drop / f"{number}.zip").write_bytes(scan(number))
    threads.intake_turn(daemon, polling(daemon))
    daemon.stop.set()
    with pytest.raises(Stopped):
        daemon.intake._is_whole(daemon.folders.drop / "0.zip")
    with pytest.raises(Stopped):
        daemon.intake._open_zip(daemon.folders.drop / "0.zip", None)
    assert daemon.ledger.views.deliveries() == {}


def test_a_zip_that_kills_the_process_whenever_it_is_opened_is_put_aside_the_third_time_and_the_service_lives(
    desk: Desk,
) -> None:
    def deadly(real: Any) -> Callable[..., Any]:
        def opened(path: Path, *observer: Any) -> Any:
            if b"deadly" in path.read_bytes():
                raise Killed
            return real(path, *observer)

        return opened

    deaths = 0
    station = desk.station(start=False)
    station.drop("a.zip", zipped([("deadly.dcm", instance())]))
    station.drop("b.zip", scan(2))
    for _ in range(10):
        station = desk.station(at("zip.open", deadly), start=False)
        try:
            station.start()
            station.take_in()
        except Killed:
            deaths += 1
        else:
            break
    station.work()
    assert (deaths, desk.archived(), states(station)) == (3, whole(2), {"rejected": 1, "finished": 1})
    note = (station.folders.failed / "1_a.zip.txt").read_text("utf-8")
    assert "the service died 3 times while it opened this ZIP" in note


def test_a_study_that_kills_the_process_whenever_it_is_sent_is_held_the_third_time_and_others_go_on(
    desk: Desk,
) -> None:
    class Deadly(FakeGateway):
        def upload(self, place: Any, zip_path: str, *args: Any, **named: Any) -> None:
            if Path(zip_path).name.startswith("1."):
                raise Killed
            super().upload(place, zip_path, *args, **named)

    gateway = at("gateway", lambda _: Deadly(desk.xnat, desk.time))
    station = desk.station(gateway)
    station.drop("a.zip", scan(1))
    station.drop("b.zip", scan(2))
    station.take_in()
    deaths = 0
    for _ in range(10):
        try:
            station.work()
        except Killed:
            deaths += 1
            station = desk.station(gateway)
        else:
            break
    assert (deaths, desk.archived()) == (3, whole(2))
    assert station.why("1.1") == "the service died 3 times while it worked on this study"


def test_killed_between_rejecting_a_zip_and_putting_it_aside_the_reason_still_comes_to_lie_beside_it(
    desk: Desk,
) -> None:
    class Deadly(Disk):
        def write(self, path: Path, text: str) -> None:  # noqa: ARG002 - the disk's own words
            raise Killed

    station = desk.station(at("disk", lambda _: Deadly()))
    station.drop("notes.zip", zipped([("notes.txt", b"nothing")]))
    with suppress(Killed):
        station.take_in()
    station = desk.station()
    assert station.files() == ["failed/1_notes.zip", "failed/1_notes.zip.txt"]


@pytest.mark.parametrize("linked", [False, True], ids=["renamed", "copied"])
def test_killed_before_any_step_of_taking_and_resting_a_zip_it_arrives_exactly_once(
    quick_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    linked: bool,  # noqa: FBT001 - a case
) -> None:
    for moment in range(1, 100):
        one = Desk(quick_path / str(moment))
        station = one.station()
        station.drop("scan.zip", scan())
        if linked:
            (one.root / "other.zip").hardlink_to(station.folders.drop / "scan.zip")
        killer = Killer(moment)
        with monkeypatch.context() as patch, suppress(Killed):
            killer.lie_in_wait(patch)
            station.take_in()
            station.work()
        station = one.station()
        station.take_in()
        station.work()
        assert one.archived() == whole(), f"killed at step {moment}"
        assert {name.partition("/")[0] for name in station.files()} <= {"done", "other.zip"}
        one.close()
        if not killer.fired:
            return
    raise AssertionError("there is no end of steps")


class Killer:
    """Kills before one of the steps that the disk is asked for."""

    def __init__(self, moment: int) -> None:
        self._left, self.fired = moment, False

    def lie_in_wait(self, patch: pytest.MonkeyPatch) -> None:
        for owner, name in ((os, "fsync"), (Path, "rename"), (Path, "unlink")):
            patch.setattr(owner, name, self._before(getattr(owner, name)))

    def _before(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def taken(*args: Any, **named: Any) -> Any:
            self._left -= 1
            if not self._left:
                self.fired = True
            if self.fired:
                raise Killed  # who is dead does nothing more
            return step(*args, **named)

        return taken


# -- full disks --------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    one = Small(tmp_path / "small")
    yield one
    one.unmount()


def noise(size: int) -> bytes:
    return zipped([("1.dcm", instance(pixels=os.urandom(size)))])


def test_a_full_work_folder_takes_nothing_says_so_and_goes_on_by_itself(desk: Desk, small: Small) -> None:
    (desk.root / "work").symlink_to(small.path)
    station = desk.station()
    station.drop("big.zip", noise(3_000_000))
    station.take_in()
    (told,) = station.ledger.views.ignored()
    assert told["why"] == "no space left to take it"
    assert told["advice"] == "Free some space on the disk of the work folder."
    assert station.files() == ["drop/big.zip"]
    assert [one.name for one in small.path.iterdir()] == [MARK]
    small.resize("10m")
    station.take_in()
    station.work()
    assert (desk.archived(), station.ledger.views.ignored()) == (whole(images=1), [])


def test_a_disk_full_under_the_ledger_stops_taking_and_goes_on_where_it_was(desk: Desk, small: Small) -> None:
    if is_postgres():
        pytest.skip("the ledger is on no disk of this machine")
    ledger = small.path / "ledger.sqlite"
    (desk.root / "ledger.sqlite").symlink_to(ledger)
    station = desk.station()
    station.drop("scan.zip", scan())
    station.intake.sweep()
    station.time.pass_(seconds=QUIET)
    small.fill()
    with pytest.raises(NoRoom):
        station.intake.sweep()
    assert station.files() == ["drop/scan.zip", "small/full"]
    small.make_room()
    station.take_in()
    station.work()
    assert (desk.archived(), states(station)) == (whole(), {"finished": 1})


def test_whatever_cannot_be_written_down_is_asked_for_before_it_is_done_again(quick_path: Path) -> None:
    """The disk under the ledger is full for every write in turn, for as long as somebody needs to free some space."""
    for moment in range(1, 60):
        one = Desk(quick_path / str(moment))
        full = Full(moment)
        station = one.station(full.around)
        station.drop("scan.zip", scan())
        live(station, full)
        assert one.archived() == whole(), f"full at write {moment}"
        assert (states(station), station.standings()) == ({"finished": 1}, [("1.1", "complete", "done")])
        one.close()
        if not full.fired:
            return
    raise AssertionError("there is no end of writes")


class Full:
    """A ledger whose disk is full at one moment, and for the two writes after it."""

    WRITES = ("expect", "withdraw", "begin_opening", "record", "take", "mark_taken", "advance", "hold", "postpone",
              "give_back", "note", "choose", "begin_import", "give_up", "join", "claim_subject", "record_person",
              "retire", "set", "ignore")  # fmt: skip

    def __init__(self, moment: int) -> None:
        self._left, self.fired = moment, 0

    def around(self, part: str, thing: Any) -> Any:
        return _Filled(self, thing) if part.startswith("ledger.") else thing

    def write(self) -> None:
        self._left -= 1
        if self._left <= 0 and self.fired < 3:
            self.fired += 1
            raise NoRoom("the ledger's disk is full")


class _Filled:
    def __init__(self, full: Full, thing: Any) -> None:
        self._full, self._thing = full, thing

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._thing, name)

        def called(*args: Any, **named: Any) -> Any:
            if name in Full.WRITES:
                self._full.write()
            return method(*args, **named)

        return called


def live(station: Station, full: Full) -> None:
    """Do what the threads do, for as long as it takes."""
    for _ in range(full.fired + 8):
        with suppress(NoRoom):
            station.take_in()
            station.work()


class NoClean:
    """A work folder without room for a clean ZIP."""

    full = True

    def in_place_of(self, real: Any) -> Callable[..., None]:
        def written(*args: Any) -> None:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            real(*args)

        return written


def test_a_work_folder_too_full_for_a_clean_zip_holds_no_study_and_goes_on_by_itself(desk: Desk) -> None:
    room = NoClean()
    station = desk.station(at("zip.write", room.in_place_of))
    station.drop("cd.zip", zipped([("viewer.exe", b"MZ"), ("1.dcm", instance(time="100130"))]))
    station.take_in()
    for _ in range(25):  # more often than a study's own trouble is borne
        with pytest.raises(NoRoom):
            station.pipeline.step()
    assert station.standings() == [("1.1", "received", "ready")]
    room.full = False
    station.work()
    assert desk.archived() == whole(images=1)


class FullRest(Disk):
    """A disk on which done and failed have no room."""

    full = True

    def move(self, source: Path, target: Path, stamp: str = "") -> Path:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().move(source, target, stamp)


def test_a_full_done_folder_keeps_the_zip_in_work_and_moves_it_when_there_is_room(desk: Desk) -> None:
    disk = FullRest()
    station = desk.station(at("disk", lambda _: disk))
    station.drop("scan.zip", scan())
    station.take_in()
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            station.work()
    assert station.files() == ["work/1.zip"]
    disk.full = False
    assert station.pipeline.retire()
    assert station.files() == ["done/2026-01/1_scan.zip"]


def test_a_full_failed_folder_keeps_the_zip_in_work_and_moves_it_when_there_is_room(desk: Desk) -> None:
    disk = FullRest()
    station = desk.station(at("disk", lambda _: disk))
    station.drop("notes.zip", zipped([("notes.txt", b"nothing")]))
    station.drop("scan.zip", scan())
    for _ in range(3):
        station.take_in()
    assert station.files()[:-2] == ["failed/1_notes.zip.txt"]
    assert {one["name"]: one["why"] for one in station.ledger.views.ignored()} == {
        "notes.zip": "no space left to take it"
    }
    disk.full = False
    station.intake.sweep()
    assert "failed/1_notes.zip" in station.files()
    assert station.ledger.views.ignored() == []


# -- the threads' turns ------------------------------------------------------------------------------------


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """Yield a service that is built and whose threads do not run: the test takes their turns."""
    file = tmp_path / "config.toml"
    file.write_text(
        f'[xnat]\nserver = "http://127.0.0.1:9"\nproject = "P1"\n[folders]\nroot = "{tmp_path}"\n'
        f'[intake]\nquiet_for = "1ms"\n[limits]\nkeep_free = "1kB"\n{settings_of(tmp_path)}'
    )
    settings = load(file, {}, tmp_path / "none")
    for name in ("drop", "work", "done", "failed", "shares"):
        (tmp_path / name).mkdir()
    one = build(settings, Credential("tech", Secret("secret"), "typed"), Notes())
    one.clock = cast("Any", Time())  # it stands still until a turn is taken
    apply_settings(one, settings)
    yield one
    one.server.close()
    one.ledger.close()


def polling(daemon: Daemon) -> Watcher:
    return Watcher(daemon.folders.drop, lambda: None, mode="poll")


def turn(daemon: Daemon) -> float:
    daemon.clock.pass_(seconds=1)  # type: ignore[attr-defined]
    return threads.intake_turn(daemon, polling(daemon))


def test_the_first_zip_of_many_is_carried_while_the_others_are_still_opened(daemon: Daemon) -> None:
    rung: list[int] = []
    wake_up = WakeUp()
    wake_up.set = lambda: rung.append(daemon.ledger.views.deliveries().get("taken", 0))  # type: ignore[method-assign]
    daemon.wake_ups = [wake_up]
    for number in range(3):
        (daemon.folders.drop / f"{number}.zip").write_bytes(scan(number))
    turn(daemon)
    turn(daemon)
    assert [taken for taken in rung if taken][:3] == [1, 2, 3]


def test_a_full_ledger_is_said_and_the_service_goes_on(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise NoRoom("the ledger's disk is full")

    (daemon.folders.drop / "scan.zip").write_bytes(scan())
    monkeypatch.setattr(daemon.ledger.deliveries, "expect", full)
    turn(daemon)
    turn(daemon)
    assert [one["item"] for one in daemon.take_snapshot()["attention"]] == ["disk"]
    monkeypatch.undo()
    turn(daemon)
    assert (daemon.full, daemon.ledger.views.deliveries()) == (False, {"taken": 1})


def test_a_worker_whose_disk_is_full_waits_and_does_not_die(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bool:
        raise NoRoom("no room is left in the work folder")

    turn(daemon)
    monkeypatch.setattr(threads, "_carry_one", full)
    assert threads.worker_turn(daemon, "worker-1", cast("Any", SimpleNamespace(renew=lambda: None))) == threads.IDLE
    assert daemon.full


def test_while_too_little_room_is_left_nothing_is_taken(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    (daemon.folders.drop / "scan.zip").write_bytes(scan())
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 0}))
    turn(daemon)
    turn(daemon)
    assert (daemon.full, daemon.ledger.views.deliveries()) == (True, {})
    monkeypatch.undo()
    turn(daemon)
    turn(daemon)
    assert daemon.ledger.views.deliveries() == {"taken": 1}


def test_one_zip_on_a_bad_sector_does_not_keep_the_service_from_starting(desk: Desk) -> None:
    class BadSector:
        def __init__(self, real: Any) -> None:
            self._real = real

        def __call__(self, path: Path, *observer: Any) -> Any:
            if path.name == "1.zip":
                raise OSError(errno.EIO, "Input/output error")
            return self._real(path, *observer)

    station = desk.station(at("zip.open", BadSector))
    station.drop("a.zip", scan(1))
    station.drop("b.zip", scan(2))
    for _ in range(6):
        station.take_in()
        station.work()
        station = desk.station(at("zip.open", BadSector))
    station.intake.sweep()
    assert desk.archived() == whole(2)
    assert [(one["name"], one["why"]) for one in station.ledger.views.ignored()] == [("a.zip", "cannot be taken (EIO)")]
    station = desk.station()
    station.work()
    assert desk.archived() == whole(1) + whole(2)


def test_a_zip_that_is_gone_from_work_is_waited_for_and_goes_on_when_it_is_back(desk: Desk) -> None:
    station = desk.station()
    station.drop("scan.zip", scan())
    station.take_in()
    zip_ = station.folders.work / "1.zip"
    zip_.rename(desk.root / "unmounted.zip")
    station.pipeline.step()
    (told,) = station.ledger.views.under_way()
    assert (told["standing"], told["why"]) == ("waiting", "the study's ZIP is not in the work folder")
    (desk.root / "unmounted.zip").rename(zip_)
    station.work()
    assert desk.archived() == whole()


# -- clocks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [TEN_YEARS, -TEN_YEARS], ids=["on", "back"])
def test_a_clock_that_jumps_ten_years_keeps_no_study_waiting_and_holds_none(quick_path: Path, jump: timedelta) -> None:
    for moment in range(12):
        one = Desk(quick_path / str(moment))
        one.xnat.delay, one.xnat.meanwhile = timedelta(minutes=3), "RECEIVING"
        station = one.station()
        station.drop("scan.zip", scan())
        station.take_in()
        for _ in range(moment):
            station.pipeline.step()
            one.time.pass_(seconds=60)
        one.time.at += jump
        one.xnat.delay = timedelta(0)
        for row in one.xnat.rows.values():  # the server's own clock did not jump
            row.visible_at += jump
        for session in one.xnat.sessions.values():
            session.batches = [(since + jump, files) for since, files in session.batches]
        jumped = one.time.now()
        station.work()
        assert one.archived() == whole(), f"after {moment} steps"
        assert one.time.now() - jumped < timedelta(hours=3)
        assert [standing for *_, standing in station.standings()] == ["done"]
        one.close()


def test_a_clock_that_was_set_back_lets_absence_count_from_the_first_look_on(desk: Desk) -> None:
    station = desk.station()
    station.drop("scan.zip", scan())
    station.take_in()
    desk.xnat.after["upload"] = [InDoubt("the line died")]
    station.pipeline.step()
    desk.xnat.rows.clear()  # nothing came through
    desk.time.at -= TEN_YEARS
    station.work(hours=1)
    assert desk.archived() == whole()


def test_the_machine_may_be_off_for_days_while_xnat_says_not_yet(desk: Desk) -> None:
    """What counts is for how long we heard it, not how long we were away."""
    station = desk.station()
    station.drop("scan.zip", scan())
    station.take_in()
    desk.xnat.before["upload"] = [NotYet("XNAT is at work on it")] * 2
    station.pipeline.step()
    desk.time.pass_(days=3)
    station = desk.station()
    station.work()
    assert desk.archived() == whole()


# -- one service for one root ------------------------------------------------------------------------------


def test_a_second_service_on_one_root_refuses_and_the_first_keeps_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite.lock"
    assert not is_held(path)
    with Lock(path):
        with pytest.raises(Occupied, match="another xnat-watchd works on this root already"), Lock(path):
            pass
        assert is_held(path)
    with Lock(path):
        pass


# -- what is durable before what ---------------------------------------------------------------------------


class Recorded:
    """Records, in order, what is made durable and what is renamed or removed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.told: list[str] = []
        self._root = root
        fsync, rename, replace, unlink = os.fsync, Path.rename, Path.replace, Path.unlink

        def synced(handle: int) -> None:
            self.told.append(f"sync {self._name(Path(f'/proc/self/fd/{handle}').readlink())}")
            fsync(handle)

        def renamed(path: Path, target: Path) -> Path:
            new = rename(path, target)
            self.told.append(f"{self._name(path)} -> {self._name(target)}")
            return new

        def replaced(path: Path, target: Path) -> Path:
            new = replace(path, target)
            self.told.append(f"{self._name(path)} -> {self._name(target)}")
            return new

        def unlinked(path: Path, *, missing_ok: bool = False) -> None:
            if path.exists():
                self.told.append(f"remove {self._name(path)}")
            unlink(path, missing_ok=missing_ok)

        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(Path, "rename", renamed)
        monkeypatch.setattr(Path, "replace", replaced)
        monkeypatch.setattr(Path, "unlink", unlinked)

    def _name(self, path: Path) -> str:
        return str((path.parent.resolve() / path.name).relative_to(self._root))  # by a handle, perhaps


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for name in ("drop", "work"):
        (tmp_path / name).mkdir()
    (tmp_path / "drop" / "a.zip").write_bytes(b"content")
    return tmp_path


def seen_in(folder: Path) -> FileStat:
    (seen,) = Disk().scan(folder)
    assert isinstance(seen, FileStat)
    return seen


def test_what_is_taken_by_a_rename_is_durable_in_content_and_in_both_folders(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, recorded = seen_in(folders / "drop"), Recorded(monkeypatch, folders)
    Disk().take(folders / "drop" / "a.zip", folders / "work" / "1.zip", seen)
    assert recorded.told == ["sync drop/a.zip", "drop/a.zip -> work/1.zip", "sync work", "sync drop"]


def test_what_is_taken_over_a_border_is_durable_before_its_source_is_removed(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folders / "other.zip").hardlink_to(folders / "drop" / "a.zip")
    seen, recorded = seen_in(folders / "drop"), Recorded(monkeypatch, folders)
    Disk().take(folders / "drop" / "a.zip", folders / "work" / "1.zip", seen)
    assert recorded.told == [
        *("sync drop/a.zip", "sync work/.1.zip.part", "work/.1.zip.part -> work/1.zip", "sync work"),
        *("remove drop/a.zip", "sync drop"),
    ]


def test_what_is_moved_over_a_border_is_durable_before_its_source_is_removed(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def border(path: Path, target: Path) -> Path:
        if path.parent != target.parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", border)
    recorded = Recorded(monkeypatch, folders)
    Disk().move(folders / "drop" / "a.zip", folders / "work" / "a.zip")
    assert recorded.told == [
        *("sync work/.a.zip.part", "work/.a.zip.part -> work/a.zip", "sync work", "remove drop/a.zip", "sync drop")
    ]
    (folders / "drop" / "a.zip").write_bytes(b"content")  # killed before it was removed: it is one file afterwards
    assert Disk().move(folders / "drop" / "a.zip", folders / "work" / "a.zip") == folders / "work" / "a.zip"
    assert [one.name for one in (folders / "work").iterdir()] == ["a.zip"]


def test_a_note_is_there_whole_or_not_at_all(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = Recorded(monkeypatch, folders)
    Disk().write(folders / "work" / "a.txt", "why")
    assert recorded.told == ["sync work/.a.txt.part", "work/.a.txt.part -> work/a.txt", "sync work"]


def test_the_intent_is_written_before_a_file_is_touched(desk: Desk) -> None:
    told: list[str] = []

    def around(part: str, thing: Any) -> Any:
        return Telling(thing, told) if part in ("disk", "ledger.deliveries") else thing

    station = desk.station(around)
    station.drop("scan.zip", scan())
    station.take_in()
    assert [one for one in told if one in ("expect", "take", "record")] == ["expect", "take", "record"]
    told.clear()
    station.work()
    assert [one for one in told if one in ("retire", "move")] == ["retire", "move"]


class Telling:
    def __init__(self, thing: Any, told: list[str]) -> None:
        self._thing, self._told = thing, told

    def __getattr__(self, name: str) -> Any:
        self._told.append(name)
        return getattr(self._thing, name)
