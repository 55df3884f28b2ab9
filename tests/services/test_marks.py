"""Folders are asked whether they are those that we know before anything is concluded from what lies in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.dicom import instance
from tests.services.desk import Desk, Small, scan, states, whole
from tests.services.test_machine_faults import daemon, turn
from tests.station import Station, zipped
from xnat_watchd.adapters.files.disk import MARK, Disk, identity
from xnat_watchd.adapters.files.folder_marks import FolderMarks, UnknownFolder
from xnat_watchd.adapters.files.layout import Folders
from xnat_watchd.core.presence import Presence
from xnat_watchd.core.retention import RetentionRules
from xnat_watchd.daemon import threads
from xnat_watchd.daemon.state import Daemon
from xnat_watchd.operator.machine_checks import check_machine

__all__ = ["daemon"]
KEEP = RetentionRules(span=timedelta(days=7))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    one = Desk(tmp_path)
    yield one
    one.close()


def unmounted(folder: Path) -> Path:
    """Leave an empty folder in a folder's place, as a mount point whose disk is not there; say where it lies now."""
    away = folder.with_name(f"{folder.name}-unmounted")
    folder.rename(away)
    folder.mkdir()
    return away


def mounted(folder: Path) -> None:
    for left in folder.iterdir():
        left.unlink()
    folder.rmdir()
    folder.with_name(f"{folder.name}-unmounted").rename(folder)


def done(desk: Desk) -> Station:
    station = desk.station(keep=lambda: KEEP)
    station.drop("a.zip", scan())
    station.run()
    assert station.files() == ["done/2026-01/1_a.zip"]
    return station


def deleted(station: Station) -> str | None:
    return station.ledger.views._db.rows("SELECT deleted FROM deliveries")[0]["deleted"]  # type: ignore[no-any-return]


# -- done --------------------------------------------------------------------------------------------------


def test_an_empty_mount_point_of_done_is_not_taken_for_deleted(desk: Desk) -> None:
    station = done(desk)
    unmounted(station.folders.done)
    station.time.pass_(days=10)
    station.retention.sweep()
    assert deleted(station) is None
    mounted(station.folders.done)
    station.time.pass_(hours=2)
    station.retention.sweep()
    assert (deleted(station) is not None, station.files()) == (True, [])


def test_what_somebody_took_out_of_done_is_known_to_be_gone(desk: Desk) -> None:
    station = done(desk)
    (station.folders.done / "2026-01" / "1_a.zip").unlink()
    station.time.pass_(days=10)
    station.retention.sweep()
    assert deleted(station) is not None


def test_no_zip_is_put_to_rest_in_an_empty_mount_point(desk: Desk) -> None:
    station = done(desk)
    unmounted(station.folders.done)
    station.drop("b.zip", scan(2))
    station.take_in()
    with pytest.raises(UnknownFolder):
        station.work()
    assert [name for name in station.files() if name.startswith(("work", "done/"))] == ["work/2.zip"]
    mounted(station.folders.done)
    station.work()
    assert station.files() == ["done/2026-01/1_a.zip", "done/2026-01/2_b.zip"]


def test_a_study_to_be_sent_again_waits_for_the_disk_of_its_zip(desk: Desk) -> None:
    station = done(desk)
    desk.xnat.sessions.clear()
    unmounted(station.folders.done)
    station.ledger.decisions.resend(1, "", station.time.now())
    station.pipeline.step()
    assert [standing for *_, standing in station.standings()] == ["waiting"]
    mounted(station.folders.done)
    station.work()
    assert desk.archived() == whole()


def test_an_installation_without_marks_whose_done_is_not_mounted_is_not_taken_over(desk: Desk) -> None:
    station = done(desk)
    unmark(station)
    unmounted(station.folders.done)
    station.time.pass_(days=10)
    station.retention.sweep()
    assert (deleted(station), (station.folders.done / MARK).exists()) == (None, False)
    mounted(station.folders.done)
    station.time.pass_(hours=2)
    station.retention.sweep()
    assert deleted(station) is not None


def unmark(station: Station) -> None:
    """Make of it what an older version leaves."""
    with station.ledger.views._db.change() as db:
        db.execute("DELETE FROM marks")
    for mark in station.folders.drop.parent.rglob(MARK):
        mark.unlink()


# -- failed, work, drop ------------------------------------------------------------------------------------


def test_no_zip_is_put_aside_in_an_empty_mount_point(desk: Desk) -> None:
    station = desk.station()
    station.drop("notes.zip", zipped([("notes.txt", b"nothing")]))
    station.take_in()
    unmounted(station.folders.failed)
    station.drop("more.zip", zipped([("more.txt", b"nothing")]))
    station.take_in()
    assert "work/2.zip" in station.files()
    assert not any(station.folders.failed.iterdir())
    mounted(station.folders.failed)
    station.intake.sweep()
    assert "failed/2_more.zip" in station.files()


def test_an_empty_mount_point_of_work_loses_no_delivery(desk: Desk) -> None:
    station = desk.station()
    station.drop("a.zip", scan())
    station.take_in()
    work = station.folders.work
    taken = work / "2.zip"
    taken.write_bytes(scan(2))
    dropped = identity(Disk().seen(taken, "b.zip"))
    station.ledger.deliveries.expect("b.zip", "P1", dropped, station.time.now())  # killed in the middle of taking it
    unmounted(work)
    for _ in range(2):
        with pytest.raises(UnknownFolder):
            desk.station()
    mounted(work)
    station = desk.station()
    station.work()
    assert (desk.archived(), states(station)) == (whole(1) + whole(2), {"finished": 2})


def test_an_empty_mount_point_of_drop_forgets_nothing_of_what_lies_there(desk: Desk) -> None:
    station = desk.station()
    station.drop("notes.txt", b"")
    station.take_in()
    before = station.ledger.views.ignored()
    unmounted(station.folders.drop)
    station.take_in()
    assert station.ledger.views.ignored() == before != []
    mounted(station.folders.drop)
    (station.folders.drop / "notes.txt").unlink()
    station.take_in()
    assert station.ledger.views.ignored() == []


def test_a_zip_that_goes_back_does_not_go_into_an_empty_mount_point(desk: Desk) -> None:
    station = desk.station()
    station.drop("a.zip", scan())
    station.take_in()
    unmounted(station.folders.drop)
    (station.folders.work / "1.zip").write_bytes(scan(2))
    with pytest.raises(UnknownFolder):
        station.work()
    assert "work/1.zip" in station.files()
    mounted(station.folders.drop)
    station.work()
    station.take_in()
    station.work()
    assert desk.archived() == whole(2)


# -- the mark itself ---------------------------------------------------------------------------------------


def test_a_mark_is_never_taken_and_never_counted(desk: Desk) -> None:
    station = desk.station()
    station.take_in()
    assert (station.folders.drop / MARK).is_file()
    assert (station.ledger.views.ignored(), states(station)) == ([], {})


def test_a_mark_that_somebody_has_deleted_is_put_there_again(desk: Desk) -> None:
    station = done(desk)
    for mark in desk.root.rglob(MARK):
        mark.unlink()
    (station.folders.done / "2026-01" / "1_a.zip").unlink()
    station.time.pass_(days=10)
    station.retention.sweep()
    assert deleted(station) is not None
    assert (station.folders.done / MARK).is_file()


def test_a_folder_that_was_copied_without_what_is_hidden_is_known_by_what_lies_in_it(desk: Desk) -> None:
    station = done(desk)
    away = unmounted(station.folders.done)
    (away / "2026-01").rename(station.folders.done / "2026-01")
    station.time.pass_(days=10)
    station.retention.sweep()
    assert deleted(station) is not None


def test_a_person_says_that_an_empty_folder_is_the_right_one(desk: Desk) -> None:
    station = done(desk)
    unmounted(station.folders.done)
    (station.folders.done / MARK).touch()
    station.time.pass_(days=10)
    station.retention.sweep()
    assert deleted(station) is not None
    assert len((station.folders.done / MARK).read_text()) == 32


@pytest.mark.parametrize("what", ["folder", "link", "pipe", "text"])
def test_what_somebody_puts_in_a_marks_place_harms_nothing(desk: Desk, what: str) -> None:
    station = desk.station()
    station.take_in()
    mark, precious = station.folders.drop / MARK, desk.root / "precious"
    precious.write_text("precious")
    mark.unlink()
    if what == "folder":
        mark.mkdir()
    elif what == "link":
        mark.symlink_to(precious)
    elif what == "pipe":
        os.mkfifo(mark)
    else:
        mark.write_text("x" * 1000)
    station.drop("scan.zip", scan())
    station.take_in()
    station.work()
    assert (desk.archived(), precious.read_text()) == (whole(), "precious")
    assert station.ledger.views.ignored() == []


def test_a_folder_that_takes_no_mark_is_known_by_itself(desk: Desk) -> None:
    station, small = desk.station(), Small(desk.root / "small")
    try:
        folders = Folders(drop=small.path, shares=small.path, work=small.path, done=small.path, failed=small.path)
        (small.path / "table.csv").write_text("")
        assert small._mount("remount,ro")
        marks = FolderMarks(folders, station.ledger.marks)
        for _ in range(2):
            assert marks.presence("shares", small.path / "table.csv") is Presence.PRESENT
            assert marks.presence("shares", small.path / "other.csv") is Presence.ABSENT
    finally:
        small.unmount()


# -- the service -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["drop", "work"])
def test_the_status_says_of_an_empty_mount_point_what_to_do_and_takes_it_back(daemon: Daemon, name: str) -> None:
    turn(daemon)
    folder: Path = getattr(daemon.folders, name)
    unmounted(folder)
    turn(daemon)
    (row,) = daemon.take_snapshot()["attention"]
    assert row["why"] == f"the {name} folder is not the one that the service knows, so nothing is concluded from it"
    assert f"`touch {folder}/{MARK}`" in row["advice"]
    told = [one.said for one in check_machine(daemon.settings) if one.exit and one.name == f"{name} folder"]
    assert row["why"] in told
    mounted(folder)
    turn(daemon)
    assert daemon.take_snapshot()["attention"] == []


def test_an_empty_mount_point_of_shares_removes_no_table(daemon: Daemon) -> None:
    (daemon.folders.shares / "a.csv").write_text("source,subject,destination\nP1,S1,P2\n")
    daemon.clock.pass_(seconds=10)  # type: ignore[attr-defined]
    daemon.sharing._look(again=False)
    before = daemon.sharing._names
    unmounted(daemon.folders.shares)
    threads.sharing_turn(daemon)
    assert (daemon.sharing._names, daemon.missing) == (before, {"shares"})
    mounted(daemon.folders.shares)
    threads.sharing_turn(daemon)
    assert daemon.missing == set()


def test_two_folders_are_never_told_apart_by_their_names_alone(desk: Desk) -> None:
    station = desk.station()
    station.drop("1.dcm.zip", zipped([("1.dcm", instance())]))
    station.run()
    marks = {mark.read_text() for mark in desk.root.rglob(MARK)}
    assert len(marks) == len([*desk.root.rglob(MARK)]) > 1
