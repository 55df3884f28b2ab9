"""What a drop folder really does: nothing half-written is taken, nothing forgotten, what is ignored is counted.

Real files on a real disk; time is an argument. At the end every image is in the (simulated) archive exactly once.
"""

from __future__ import annotations

import errno
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dicom import instance
from tests.services.desk import Around, Desk, Small, scan, states, whole
from tests.station import QUIET, Station, zipped
from xnat_watchd.adapters.files import copying
from xnat_watchd.adapters.files import disk as real_disk
from xnat_watchd.adapters.files.disk import MARK, ONE_OFF, Disk
from xnat_watchd.core.settling import FileStat


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    one = Desk(tmp_path)
    yield one
    one.close()


@pytest.fixture
def station(desk: Desk) -> Station:
    return desk.station()


def ignored(station: Station) -> dict[str, str]:
    return {one["name"]: one["why"] for one in station.ledger.views.ignored()}


def disk(one: Disk) -> Around:
    """Put this disk in the place of the real one."""
    return lambda part, thing: one if part == "disk" else thing


# -- written to --------------------------------------------------------------------------------------------


def test_a_zip_that_grows_slowly_is_left_alone_until_it_has_stood_still(desk: Desk, station: Station) -> None:
    data = scan()
    path = station.drop("scan.zip", data[:1])
    for end in range(2, len(data) + 1, len(data) // 7):
        station.intake.sweep()
        station.time.pass_(seconds=QUIET - 1)
        path.write_bytes(data[:end])
    path.write_bytes(data)
    station.intake.sweep()
    assert states(station) == {}
    station.take_in()
    station.work()
    assert (desk.archived(), states(station)) == (whole(), {"finished": 1})


def test_an_unfinished_zip_is_counted_and_taken_once_it_is_whole(desk: Desk, station: Station) -> None:
    data = scan()
    path = station.drop("scan.zip", data[:-5])
    for _ in range(3):
        station.take_in()
    assert ignored(station) == {"scan.zip": "not complete yet: its list of files is missing"}
    path.write_bytes(data)
    station.take_in()
    station.work()
    assert (desk.archived(), ignored(station)) == (whole(), {})


def test_a_zip_that_stays_unfinished_is_put_aside_with_the_reason_beside_it(station: Station) -> None:
    station.drop("scan.zip", scan()[:-5])
    station.take_in()
    station.time.pass_(minutes=31)
    station.intake.sweep()
    assert station.files() == ["failed/1_scan.zip", "failed/1_scan.zip.txt"]
    assert "the directory at its end is missing" in (station.folders.failed / "1_scan.zip.txt").read_text("utf-8")


def test_a_zip_whose_writer_pauses_with_a_readable_directory_is_not_taken_while_it_is_open(
    desk: Desk, station: Station
) -> None:
    path = station.drop("scan.zip", scan(images=1))
    with zipfile.ZipFile(path, "a") as writer:  # appending tools leave a ZIP that reads, and go on
        for _ in range(3):
            station.take_in()
        assert ignored(station) == {"scan.zip": "in use by another program"}
        assert states(station) == {}  # no number is spent on it
        writer.writestr("2.dcm", instance(1, 1, 2, time="100130"))
    station.take_in()
    station.work()
    assert (desk.archived(), states(station)) == (whole(), {"finished": 1})


def test_where_other_machines_may_write_the_kernels_refusal_of_a_lease_is_no_proof(
    desk: Desk, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS and CIFS refuse it for any file whose server has not delegated it to us: nothing would ever be taken."""
    monkeypatch.setattr(real_disk, "_is_written_to", lambda _: True)
    monkeypatch.setattr(real_disk, "file_system", lambda _: "nfs4")
    station.drop("scan.zip", scan())
    station.take_in()
    station.work()
    assert desk.archived() == whole()


def test_a_folder_that_its_file_system_cannot_sync_keeps_nothing_from_being_taken(
    desk: Desk, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fsync(handle: int) -> None:
        if Path(f"/proc/self/fd/{handle}").is_dir():
            raise OSError(errno.EINVAL, "Invalid argument")
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    station.drop("scan.zip", scan())
    station.take_in()
    station.work()
    assert (desk.archived(), states(station)) == (whole(), {"finished": 1})


def test_a_zip_that_grows_while_it_is_opened_goes_back_and_settles_anew(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        real_disk, "_is_written_to", lambda _: False
    )  # a file of another user: the kernel does not tell
    growing = [True]

    def grow(part: str, thing: Any) -> Any:
        def opened(path: Path, *observer: Any) -> Any:
            contents = thing(path, *observer)
            if growing.pop():
                growing.append(False)
                append(path, 2)
            return contents

        return opened if part == "zip.open" else thing

    station = desk.station(grow)
    station.drop("scan.zip", scan(images=1))
    station.take_in()
    assert station.files() == ["drop/scan.zip"]
    assert ignored(station) == {"scan.zip": "still being written to"}
    growing[:] = [False]
    station.take_in()
    station.work()
    assert (desk.archived(), states(station)) == (whole(), {"withdrawn": 1, "finished": 1})


def append(path: Path, number: int) -> None:
    with zipfile.ZipFile(path, "a") as writer:
        writer.writestr(f"{number}.dcm", instance(1, 1, number, time="100130"))


@pytest.mark.parametrize("dialect", ["1.6", "1.8"])
def test_a_zip_that_grows_after_it_was_opened_comes_again_and_only_what_is_new_is_sent(
    desk: Desk, station: Station, dialect: Any
) -> None:
    desk.xnat.dialect = dialect
    station.drop("scan.zip", scan(images=1))
    station.take_in()
    append(station.folders.work / "1.zip", 2)  # its writer has it open still, and the kernel did not tell
    station.work()
    assert station.files() == ["drop/scan.zip"]
    station.take_in()
    station.work()
    assert desk.archived() == whole()
    assert [name for name in station.files() if "scan" in name] == ["done/2026-01/2_scan.zip"]


def test_a_zip_that_is_replaced_under_the_same_name_must_stand_still_anew(desk: Desk, station: Station) -> None:
    station.drop("scan.zip", scan(1))
    station.intake.sweep()
    station.time.pass_(seconds=QUIET - 1)
    (desk.root / "new").write_bytes(scan(2))
    os.utime(desk.root / "new", ns=(0, (station.folders.drop / "scan.zip").stat().st_mtime_ns))
    (desk.root / "new").rename(station.folders.drop / "scan.zip")  # of the same size and time
    station.intake.sweep()
    station.time.pass_(seconds=2)
    station.intake.sweep()
    assert states(station) == {}
    station.take_in()
    station.work()
    assert desk.archived() == whole(2)


class Replacing(Disk):
    """Puts another file in a file's place in the middle of taking it, and perhaps a third one afterwards."""

    def __init__(self, new: bytes, third: bytes = b"") -> None:
        self._new, self._third = new, third

    def _renamed(self, source: Path, target: Path, seen: FileStat) -> bool:
        new, self._new = self._new, b""
        if new:
            source.with_name("new").write_bytes(new)
            source.with_name("new").rename(source)
        return super()._renamed(source, target, seen)

    def move(self, source: Path, target: Path, stamp: str = "") -> Path:
        third, self._third = self._third, b""
        if third:
            target.write_bytes(third)
        return super().move(source, target, stamp)


def test_a_zip_that_is_replaced_while_it_is_taken_is_given_back_and_settles_anew(desk: Desk) -> None:
    station = desk.station(disk(Replacing(scan(2))))
    station.drop("scan.zip", scan(1))
    station.take_in()
    assert station.files() == ["drop/scan.zip"]
    assert ignored(station) == {"scan.zip": "still being written to"}
    station.take_in()
    station.work()
    assert desk.archived() == whole(2)


def test_a_zip_that_is_given_back_never_lands_on_another_that_has_come_meanwhile(desk: Desk) -> None:
    station = desk.station(disk(Replacing(scan(2), third=scan(3))))
    station.drop("scan.zip", scan(1))
    station.take_in()
    assert station.files() == ["drop/scan-2.zip", "drop/scan.zip"]
    station.take_in()
    station.work()
    assert desk.archived() == whole(2) + whole(3)


# -- arriving in odd ways ----------------------------------------------------------------------------------


def test_a_zip_that_is_renamed_to_its_name_is_taken_and_its_temporary_name_is_counted(
    desk: Desk, station: Station
) -> None:
    part = station.drop("scan.zip.part", scan())
    station.take_in()
    assert (ignored(station), states(station)) == ({"scan.zip.part": "a temporary name"}, {})
    part.rename(station.folders.drop / "scan.zip")
    station.take_in()
    station.work()
    assert (desk.archived(), ignored(station)) == (whole(), {})


def test_a_zip_that_is_moved_in_with_its_folder_is_taken(desk: Desk, station: Station) -> None:
    outside = desk.root / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "scan.zip").write_bytes(scan())
    outside.rename(station.folders.drop / "from-the-scanner")
    station.take_in()
    station.work()
    assert desk.archived() == whole()


def test_a_zip_with_a_second_name_is_copied_so_that_nobody_writes_into_ours(desk: Desk, station: Station) -> None:
    other = desk.root / "other.zip"
    other.write_bytes(scan())
    (station.folders.drop / "scan.zip").hardlink_to(other)
    station.take_in()
    assert not (station.folders.drop / "scan.zip").exists()
    other.write_bytes(b"overwritten by whoever holds the other name")
    station.work()
    assert (desk.archived(), states(station)) == (whole(), {"finished": 1})


def test_a_zip_that_was_copied_with_an_old_time_must_stand_still_as_any_other(desk: Desk, station: Station) -> None:
    path = station.drop("scan.zip", scan())
    os.utime(path, (0, 0))
    station.intake.sweep()
    station.time.pass_(seconds=QUIET - 1)
    station.intake.sweep()
    assert path.exists()
    station.take_in()
    station.work()
    assert desk.archived() == whole()


def test_three_zips_of_one_name_from_three_people_are_three_deliveries(desk: Desk, station: Station) -> None:
    for study, person in enumerate(("anna", "bert", "carl"), 1):
        station.drop(f"{person}/scan.zip", scan(study, name=f"Numbat^{person}", patient=person))
    station.take_in()
    station.work()
    assert desk.archived() == whole(1) + whole(2) + whole(3)
    assert station.files() == [f"done/2026-01/{number}_scan.zip" for number in (1, 2, 3)]


# -- refused -----------------------------------------------------------------------------------------------


class Refusing(Disk):
    """A disk on which a file cannot be taken for a while."""

    def __init__(self, number: int) -> None:
        self.number = number

    def take(self, source: Path, target: Path, seen: FileStat) -> None:
        if self.number:
            raise OSError(self.number, os.strerror(self.number))
        super().take(source, target, seen)


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (errno.EBUSY, "in use by another program"),
        (errno.EACCES, "may not be read or moved by the service"),
        (errno.EPERM, "may not be read or moved by the service"),
        (errno.EROFS, "may not be read or moved by the service"),
        (errno.EIO, "cannot be taken (EIO)"),
        (errno.ESTALE, "cannot be taken (ESTALE)"),
    ],
    ids=lambda value: errno.errorcode.get(value, "") if isinstance(value, int) else "",
)
def test_a_busy_or_unreadable_file_is_reported_once_and_tried_again(desk: Desk, number: int, why: str) -> None:
    refusing = Refusing(number)
    station = desk.station(disk(refusing))
    station.drop("scan.zip", scan())
    for _ in range(3):
        station.take_in()
    assert (ignored(station), station.files()) == ({"scan.zip": why}, ["drop/scan.zip"])
    assert [facts for event, facts in station.log.lines if event == "file.refused"] == [{"reason": why}]
    refusing.number = 0
    station.take_in()
    station.work()
    assert (desk.archived(), ignored(station)) == (whole(), {})


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.ESTALE], ids=errno.errorcode.get)
def test_a_work_disk_that_takes_no_copy_is_named_and_not_the_file(
    desk: Desk, station: Station, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    station.drop("scan.zip", scan())
    (desk.root / "other.zip").hardlink_to(station.folders.drop / "scan.zip")  # so it is copied
    with monkeypatch.context() as broken:
        broken.setattr(copying, "_set_mode_and_times", fails)
        station.take_in()
    (told,) = station.ledger.views.ignored()
    assert told["why"] == f"the disk of the work folder fails ({errno.errorcode[number]})"
    assert told["advice"] == "Look at the disk of the work folder."
    station.take_in()
    station.work()
    assert (desk.archived(), ignored(station)) == (whole(), {})


def test_a_folder_that_cannot_be_read_hides_nothing_beside_it(
    desk: Desk, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    station.drop("a-locked/scan.zip", scan(1))
    station.drop("b/scan.zip", scan(2))
    real = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name == "a-locked":
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path)

    monkeypatch.setattr("os.scandir", scandir)
    station.take_in()
    assert ignored(station) == {"a-locked": "a folder that cannot be read"}
    assert station.log.events().count("file.refused") == 1
    monkeypatch.undo()
    station.take_in()
    station.work()
    assert (desk.archived(), ignored(station)) == (whole(1) + whole(2), {})


class Faulty(Disk):
    """A disk that fails right after a rename, before it is durable."""

    broken = True

    def _renamed(self, source: Path, target: Path, seen: FileStat) -> bool:
        done = super()._renamed(source, target, seen)
        if self.broken:
            raise OSError(errno.EIO, "Input/output error")
        return done


def test_a_zip_that_was_renamed_when_the_disk_failed_is_not_forgotten_in_work(desk: Desk) -> None:
    faulty = Faulty()
    station = desk.station(disk(faulty))
    station.drop("scan.zip", scan())
    station.take_in()
    assert (station.files(), states(station)) == (["work/1.zip"], {"arriving": 1})
    faulty.broken = False
    station.intake.sweep()
    station.work()
    assert (desk.archived(), states(station)) == (whole(), {"finished": 1})


def test_a_zip_in_work_whose_delivery_was_withdrawn_is_put_back_under_its_name(desk: Desk, station: Station) -> None:
    """The work folder's disk was mounted late: at the start before, the ZIP was not to be seen."""
    faulty = desk.station(disk(Faulty()))
    faulty.drop("anna/scan.zip", scan())
    faulty.take_in()
    (faulty.folders.work / "1.zip").rename(desk.root / "unmounted.zip")
    station = desk.station()
    assert states(station) == {"withdrawn": 1}
    (desk.root / "unmounted.zip").rename(station.folders.work / "1.zip")
    station = desk.station()
    assert station.files() == ["drop/anna/scan.zip"]
    station.take_in()
    station.work()
    assert desk.archived() == whole()


def test_a_zip_in_work_that_no_ledger_knows_is_put_back_nowhere(desk: Desk, station: Station) -> None:
    (station.folders.work / "7.zip").write_bytes(scan())
    (station.folders.work / "7.1.zip").write_bytes(b"a copy that can be made again")
    station = desk.station()
    assert station.files() == ["failed/1008_recovered-7.zip", "failed/1008_recovered-7.zip.txt"]


def test_nothing_of_ours_is_ever_overwritten_by_taking(station: Station) -> None:
    station.drop("scan.zip", scan())
    station.intake.sweep()
    (station.folders.work / "1.zip").write_bytes(b"of another ledger's first delivery")
    station.time.pass_(seconds=QUIET)
    station.intake.sweep()
    assert (station.folders.work / "1.zip").read_bytes() == b"of another ledger's first delivery"
    assert (station.folders.drop / "scan.zip").exists()
    station.take_in()
    assert (station.folders.work / "1.zip").read_bytes() == b"of another ledger's first delivery"
    assert station.ledger.views.deliveries() == {"withdrawn": 1, "taken": 1}


# -- links, names ------------------------------------------------------------------------------------------


def test_links_are_never_followed_and_are_counted(desk: Desk, station: Station) -> None:
    outside = desk.root / "outside"
    outside.mkdir()
    (outside / "private.zip").write_bytes(scan())
    drop = station.folders.drop
    (drop / "link.zip").symlink_to(outside / "private.zip")
    (drop / "folder").symlink_to(outside)
    (drop / "nowhere.zip").symlink_to(outside / "nothing")
    (drop / "loop").symlink_to(drop)
    station.take_in()
    assert ignored(station) == dict.fromkeys(("link.zip", "folder", "nowhere.zip", "loop"), "a link")
    assert (outside / "private.zip").exists()
    assert states(station) == {}


def test_what_is_no_file_and_what_is_hidden_is_counted_and_not_opened(station: Station) -> None:
    os.mkfifo(station.folders.drop / "pipe.zip")  # to open it would be to wait for ever
    station.drop(".private/scan.zip", scan())
    station.drop(".hidden.zip", scan())
    deep = station.folders.drop.joinpath(*["d"] * 100)
    deep.mkdir(parents=True)
    (deep / "scan.zip").write_bytes(scan())
    station.take_in()
    assert set(ignored(station).values()) == {"no file", "a hidden folder", "hidden", "nested too deeply"}
    assert (len(ignored(station)), states(station)) == (4, {})


def test_the_folder_of_zips_that_are_sent_once_is_no_file_of_the_user(station: Station) -> None:
    station.drop(f"{ONE_OFF}/work/1.zip", scan())
    station.take_in()
    assert (ignored(station), states(station)) == ({}, {})


class Swapping(Disk):
    """Puts a link in a file's place just before it is taken."""

    def __init__(self, to: Path) -> None:
        self._to = to

    def take(self, source: Path, target: Path, seen: FileStat) -> None:
        source.unlink()
        source.symlink_to(self._to)
        super().take(source, target, seen)


def test_a_link_put_in_a_files_place_at_the_last_moment_takes_nothing_from_elsewhere(desk: Desk) -> None:
    outside = desk.root / "private.zip"
    outside.write_bytes(scan())
    station = desk.station(disk(Swapping(outside)))
    station.drop("scan.zip", scan(2))
    station.take_in()
    assert (outside.read_bytes(), [one.name for one in station.folders.work.iterdir()]) == (scan(), [MARK])


@pytest.mark.parametrize(
    "name",
    [
        "Größe.zip".encode("latin-1"), "画像.zip".encode("shift-jis"), "снимок.zip".encode(), b"\xff\xfe\xfd.zip",
        b"two\nlines.zip", b"tab\tand\x1b[31mred.zip", "\u202ereversed.zip".encode(), b"-rf *.zip",
        "e\u0301.ZIP".encode(), ("画" * 80).encode() + b".zip", "🩻".encode() * 60 + b".zip", b"a" * 250 + b".zip",
        b"%s%n{}.zip", b"\\..\\x.zip", b"'; DROP TABLE studies;--.zip",
    ],
    ids=lambda name: ascii(name)[2:18],
)  # fmt: skip
def test_a_zip_of_any_name_in_any_encoding_arrives_and_rests_under_a_readable_one(
    desk: Desk, station: Station, name: bytes
) -> None:
    Path(os.fsdecode(os.fsencode(station.folders.drop) + b"/" + name)).write_bytes(scan())
    station.take_in()
    station.work()
    assert (desk.archived(), ignored(station)) == (whole(), {})
    (resting,) = station.files()
    assert resting.startswith("done/2026-01/1_")
    assert resting.encode().decode("utf-8").isprintable()


@pytest.mark.parametrize("letter", ["a", "é", "画", "🩻"])
def test_a_zip_that_has_the_longest_name_there_is_rests_with_the_reason_beside_it(
    station: Station, letter: str
) -> None:
    name = letter * (251 // len(letter.encode())) + ".zip"
    station.drop(name, zipped([("notes.txt", b"nothing")]))
    station.take_in()
    assert [one[-4:] for one in station.files()] == [".zip", ".txt"]
    assert all(one.startswith(f"failed/1_{letter}") for one in station.files())


def test_two_names_that_cannot_be_shown_are_counted_as_two(station: Station) -> None:
    for name in (b"/\xff.txt", b"/\xfe.txt"):
        Path(os.fsdecode(os.fsencode(station.folders.drop) + name)).touch()
    station.take_in()
    assert ignored(station) == {"\\xfe.txt": "no ZIP", "\\xff.txt": "no ZIP"}


def test_a_folder_of_any_name_that_is_to_be_a_project_harms_nothing(desk: Desk) -> None:
    station = desk.station(project="")
    folder = Path(os.fsdecode(os.fsencode(station.folders.drop) + b"/\xff\xfe"))
    folder.mkdir()
    (folder / "scan.zip").write_bytes(scan(1))
    station.drop("P1/scan.zip", scan(2))
    station.take_in()
    station.work()
    assert desk.archived() == whole(2)
    (held,) = station.ledger.views.attention()
    assert held["why"] == "XNAT lists no such project that this account may write to"


# -- many --------------------------------------------------------------------------------------------------


def test_a_thousand_zips_at_once_are_all_taken_in_one_sweep(quick_path: Path) -> None:
    """Of ten thousand `tests/whole/many_figures.py` tells time and memory."""
    desk = Desk(quick_path)
    station = desk.station()
    one = scan(images=1)
    for number in range(1000):
        # as somebody writes them who has different comments to make
        station.drop(f"{number}.zip", one[:-2] + b"\x04\x00" + number.to_bytes(4, "big"))
    station.take_in()
    assert states(station) == {"taken": 1000}
    assert ignored(station) == {}
    desk.close()


# -- folders that go and come ------------------------------------------------------------------------------


def test_an_unmounted_drop_folder_pauses_and_nothing_is_concluded(desk: Desk, station: Station) -> None:
    station.drop("scan.zip", scan())
    station.drop("notes.txt", b"")
    station.intake.sweep()
    drop = station.folders.drop
    drop.rename(desk.root / "unmounted")
    with pytest.raises(FileNotFoundError):
        station.intake.sweep()
    assert (states(station), ignored(station)) == ({}, {"notes.txt": "no ZIP"})
    (desk.root / "unmounted").rename(drop)
    station.take_in()
    station.work()
    assert desk.archived() == whole()


def test_a_drop_folder_that_is_empty_after_mounting_forgets_only_how_long_files_stood_still(
    desk: Desk, station: Station
) -> None:
    station.drop("scan.zip", scan())
    station.intake.sweep()
    drop = station.folders.drop
    drop.rename(desk.root / "unmounted")
    drop.mkdir()  # as a mount point without its mount
    station.time.pass_(seconds=QUIET)
    station.intake.sweep()
    assert (states(station), station.intake.settling) == ({}, 0)
    drop.rmdir()
    (desk.root / "unmounted").rename(drop)
    station.intake.sweep()
    assert states(station) == {}
    station.time.pass_(seconds=QUIET)
    station.intake.sweep()
    station.work()
    assert desk.archived() == whole()


def test_a_drop_folder_that_is_replaced_is_looked_into_as_it_is_now(desk: Desk, station: Station) -> None:
    station.drop("scan.zip", scan(1))
    station.intake.sweep()
    shutil.rmtree(station.folders.drop)
    station.drop("scan.zip", scan(2))
    station.time.pass_(seconds=QUIET)
    station.intake.sweep()
    assert states(station) == {}
    station.take_in()
    station.work()
    assert desk.archived() == whole(2)


def test_a_drop_folder_on_another_file_system_is_copied_from(desk: Desk, station: Station, mounted: Path) -> None:
    shutil.rmtree(station.folders.drop)
    station.folders.drop.symlink_to(mounted)
    station.drop("scan.zip", scan())
    station.take_in()
    assert ([one.name for one in mounted.iterdir()], station.files()) == ([MARK], ["work/1.zip"])
    station.work()
    assert desk.archived() == whole()


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    small = Small(tmp_path / "mounted")
    yield small.path
    small.unmount()
