"""Real inotify on a real disk. A hint is waited for with a deadline; that none comes is shown by a later one."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Event

import pytest
from watchdog.events import FileSystemEvent, FileSystemEventHandler

from xnat_watchd.adapters.files.mounts import file_system, is_remote
from xnat_watchd.adapters.files.watcher import Watcher

SOON = 10.0  #: seconds within which a hint must have come; it comes in one of them


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    folder = tmp_path / "drop"
    (folder / "P").mkdir(parents=True)
    return folder


@pytest.fixture
def watch(drop: Path) -> Iterator[tuple[Watcher, Event]]:
    nudge = Event()
    watcher = Watcher(drop, nudge.set, mode="events")
    watcher.start()
    yield watcher, nudge
    watcher.stop()


def write(path: Path) -> None:
    path.write_bytes(b"PK")


def move_a_file_in(drop: Path) -> None:
    outside = drop.parent / "outside.zip"
    write(outside)
    outside.rename(drop / "scan.zip")


def move_a_folder_in(drop: Path) -> None:
    outside = drop.parent / "outside"
    outside.mkdir()
    write(outside / "scan.zip")
    outside.rename(drop / "Q")


def finish_a_temporary_name(drop: Path) -> None:
    write(drop / "scan.zip.part")
    (drop / "scan.zip.part").rename(drop / "scan.zip")


def link(drop: Path) -> None:
    write(drop.parent / "outside.zip")
    (drop / "scan.zip").hardlink_to(drop.parent / "outside.zip")


@pytest.mark.parametrize(
    "happens",
    [
        lambda drop: write(drop / "scan.zip"),
        lambda drop: write(drop / "P" / "scan.zip"),
        lambda drop: (drop / "Q").mkdir(),
        move_a_file_in,
        move_a_folder_in,
        finish_a_temporary_name,
        link,
    ],
    ids=["written", "in a subfolder", "new folder", "file in", "folder in", "renamed", "hard link"],
)
def test_whatever_arrives_gives_a_hint(
    happens: Callable[[Path], None], drop: Path, watch: tuple[Watcher, Event]
) -> None:
    happens(drop)
    assert watch[1].wait(SOON)


class Beside(FileSystemEventHandler):
    """Stands beside the watcher's own handler and keeps the paths that it is told of."""

    def __init__(self, watcher: Watcher) -> None:
        self.told: SimpleQueue[str] = SimpleQueue()
        assert watcher._observer is not None
        (emitter,) = watcher._observer.emitters
        watcher._observer.add_handler_for_watch(self, emitter.watch)

    def dispatch(self, event: FileSystemEvent) -> None:
        self.told.put(str(event.src_path))

    def until(self, path: Path) -> list[str]:
        """Return all paths up to this one; fail if it does not come."""
        paths: list[str] = []
        while str(path) not in paths:
            paths.append(self.told.get(timeout=SOON))
        return paths


def test_a_file_written_at_once_into_new_nested_folders_gives_a_hint(drop: Path, watch: tuple[Watcher, Event]) -> None:
    beside = Beside(watch[0])
    file = drop / "Q" / "day" / "scan.zip"
    file.parent.mkdir(parents=True)
    write(file)
    beside.until(file)
    assert watch[1].wait(SOON)
    assert watch[0].alive()


def test_our_own_reading_and_taking_gives_no_hint(drop: Path) -> None:
    taken, later = drop / "scan.zip", drop / "later.zip"
    write(taken)
    watcher = Watcher(drop, Event().set, mode="events")
    watcher.start()
    beside = Beside(watcher)
    taken.read_bytes()
    taken.rename(drop.parent / "taken.zip")
    write(later)
    assert beside.until(later) == [str(later)]
    watcher.stop()


def test_the_watcher_lives_while_it_is_started_and_not_before_or_after(drop: Path) -> None:
    watcher = Watcher(drop, Event().set, mode="events")
    assert not watcher.alive()
    watcher.start()
    assert watcher.alive()
    watcher.stop()
    assert not watcher.alive()


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_stopped_watcher_leaves_no_thread_and_no_open_file_behind(drop: Path) -> None:
    threads, files = set(threading.enumerate()), open_files()
    watcher = Watcher(drop, Event().set, mode="events")
    for _ in range(3):
        watcher.start()
    watcher.stop()
    watcher.stop()
    assert set(threading.enumerate()) == threads
    assert open_files() == files


def test_a_folder_that_was_removed_and_made_again_is_another_one(drop: Path, watch: tuple[Watcher, Event]) -> None:
    watcher, nudge = watch
    drop.rename(drop.with_name("old"))
    assert not watcher.alive()
    drop.mkdir()
    assert not watcher.alive()
    watcher.start()
    nudge.clear()
    write(drop / "scan.zip")
    assert nudge.wait(SOON)
    assert watcher.alive()


def test_a_folder_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    nudge = Event()
    watcher = Watcher(tmp_path / "drop", nudge.set, mode="events")
    threads = set(threading.enumerate())
    watcher.start()
    assert not watcher.alive()
    assert not watcher.polling
    assert set(threading.enumerate()) == threads
    (tmp_path / "drop").mkdir()
    watcher.start()
    write(tmp_path / "drop" / "scan.zip")
    assert nudge.wait(SOON)
    watcher.stop()


def test_a_watcher_whose_thread_died_is_not_alive(watch: tuple[Watcher, Event]) -> None:
    watcher, _ = watch
    assert watcher._observer is not None
    emitter = next(iter(watcher._observer.emitters))
    emitter.stop()
    emitter.join(SOON)
    assert not watcher.alive()


def test_a_watcher_whose_reader_died_is_not_alive(watch: tuple[Watcher, Event]) -> None:
    watcher, _ = watch
    reader = watcher._observer._inotify_fd  # type: ignore[union-attr]
    reader.stop()
    reader.join(SOON)
    assert not watcher.alive()


def test_lost_events_give_a_hint(drop: Path, watch: tuple[Watcher, Event]) -> None:
    """The kernel's queue really overflows: nobody reads it while more happens than it holds."""
    watcher, nudge = watch
    room = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    files = [drop / "a.zip", drop / "b.zip"]  # two in turn: the kernel makes one event of several that are alike
    with watcher._observer._inotify_fd._lock:  # type: ignore[union-attr]
        for number in range(room + 4096):
            os.close(os.open(files[number % 2], os.O_WRONLY | os.O_CREAT))
        nudge.clear()
        only_overflow_counts(watcher)
    assert nudge.wait(SOON)
    assert watcher.alive()


def only_overflow_counts(watcher: Watcher) -> None:
    watcher._observer._handlers.clear()  # type: ignore[union-attr]


# -- polling -----------------------------------------------------------------------------------------------


def mounts_where(folder: Path, kind: str) -> str:
    return (
        "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        f"99 21 0:77 / {folder} rw,relatime shared:9 master:2 - {kind} server:/export rw,vers=4.2\n"
    )


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "fuse", "fuse.sshfs", "fuse.glusterfs", "autofs"]
)
def test_a_network_file_system_is_polled_and_the_reason_is_told(kind: str, drop: Path, tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(mounts_where(drop, kind))
    threads = set(threading.enumerate())
    watcher = Watcher(drop, Event().set, mounts=mounts)
    watcher.start()
    assert watcher.polling
    assert watcher.why == f"the folder lies on {kind}, where other machines write unseen"
    assert watcher.alive()
    assert set(threading.enumerate()) == threads
    watcher.stop()


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "fuseblk", "vfat"])
def test_a_disk_of_this_machine_is_watched(kind: str, drop: Path, tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(mounts_where(drop, kind))
    nudge = Event()
    watcher = Watcher(drop, nudge.set, mounts=mounts)
    watcher.start()
    assert (watcher.polling, watcher.why) == (False, "")
    write(drop / "scan.zip")
    assert nudge.wait(SOON)
    watcher.stop()


def test_the_setting_wins_over_what_the_file_system_says(drop: Path, tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(mounts_where(drop, "nfs4"))
    asked_for = Watcher(drop, Event().set, mode="events", mounts=mounts)
    asked_for.start()
    assert not asked_for.polling
    asked_for.stop()
    mounts.write_text(mounts_where(drop, "ext4"))
    polling = Watcher(drop, Event().set, mode="poll", mounts=mounts)
    polling.start()
    assert (polling.polling, polling.why) == (True, "the setting says so")


@contextmanager
def no_more_open_files() -> Iterator[None]:
    """Let every further open file be refused, an inotify instance too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_where_the_kernel_has_no_room_for_a_watch_the_folder_is_polled_and_the_reason_told(drop: Path) -> None:
    watcher = Watcher(drop, Event().set, mode="events")
    with no_more_open_files():
        watcher.start()
    assert watcher.why.startswith("inotify instance limit reached: raise fs.inotify.")
    assert (watcher.polling, watcher.alive()) == (True, True)
    watcher.start()
    assert (watcher.polling, watcher.alive()) == (False, True)
    watcher.stop()


def test_the_mount_that_lies_deepest_above_the_folder_counts(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
        "30 21 0:40 / /srv rw - xfs /dev/sdb rw\n"
        "31 30 0:41 / /srv/xnat/drop rw - nfs4 nas:/drop rw\n"
        "32 30 0:42 / /srv/xnat/dropped rw - cifs //nas/x rw\n"
    )
    assert file_system(Path("/srv/xnat/drop/P"), mounts) == "nfs4"
    assert file_system(Path("/srv/xnat"), mounts) == "xfs"
    assert file_system(Path("/srv/xnat/drop2"), mounts) == "xfs"
    assert file_system(Path("/home"), mounts) == "ext4"


def test_of_two_mounts_on_one_point_the_later_is_seen(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text("1 1 0:1 / /mnt rw - autofs systemd-1 rw\n2 1 0:2 / /mnt rw - ext4 /dev/sda rw\n")
    assert file_system(Path("/mnt/x"), mounts) == "ext4"


def test_blanks_and_odd_bytes_in_a_mount_point_are_understood(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_bytes(b"1 1 0:1 / /mnt/my\\040scans\\134x\xff rw opt:1 - cifs //nas/a\\040b rw\n")
    assert file_system(Path(os.fsdecode(b"/mnt/my scans\\x\xff/drop")), mounts) == "cifs"


def test_a_link_to_a_network_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "nas").mkdir()
    (tmp_path / "drop").symlink_to(tmp_path / "nas")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(mounts_where(tmp_path / "nas", "nfs4"))
    assert file_system(tmp_path / "drop", mounts) == "nfs4"


def test_where_nobody_can_say_the_folder_is_watched(tmp_path: Path) -> None:
    assert file_system(tmp_path, tmp_path / "missing") == ""
    (tmp_path / "garbage").write_bytes(b"\n- -\nx y z\n\xff\n")
    assert file_system(tmp_path, tmp_path / "garbage") == ""
    assert not is_remote("")


def test_this_machines_own_table_of_mounts_can_be_read(tmp_path: Path) -> None:
    assert file_system(tmp_path) != ""
    assert file_system(Path("/proc")) == "proc"


def test_stopping_in_the_middle_of_an_event_is_no_error(
    drop: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = Watcher(drop, lambda: None, mode="events")
    watcher.start()
    observer = watcher._observer
    assert observer is not None
    (emitter,) = observer.emitters
    stop = emitter.stop

    def stopped_with_an_event_in_its_hands() -> None:
        stop()
        emitter.queue_events(0)

    monkeypatch.setattr(emitter, "stop", stopped_with_an_event_in_its_hands)
    watcher.stop()
    assert caplog.messages == []
    emitter.queue_events(0)  # by nobody who stops, it is one
    assert len(caplog.messages) == 1
