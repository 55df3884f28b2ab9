"""Where people drop what is no ZIP: it is told by name, with what to do; what is others' business is left alone."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dicom import instance
from tests.services.desk import Desk, scan, states, whole
from tests.station import Station, zipped
from xnat_watchd.core.loose_files import LEFT_ALONE, PACK_IT, REPACK_IT, is_bin, matches


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    one = Desk(tmp_path)
    yield one
    one.close()


@pytest.fixture
def station(desk: Desk) -> Station:
    return desk.station()


def told(station: Station) -> dict[str, tuple[str, str]]:
    """Return what is reported about the files there after they have lain for a while."""
    station.take_in()
    assert not any(one["advice"] for one in station.ledger.views.ignored())  # it may be on its way still
    station.time.pass_(minutes=31)
    station.intake.sweep()
    return {one["name"]: (one["why"], one["advice"]) for one in station.ledger.views.ignored()}


def tar(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def test_a_folder_of_images_is_one_entry_with_what_to_do(station: Station) -> None:
    for series in (1, 2):
        for number in (1, 2, 3):
            station.drop(f"EXAM/S{series}/IM{number}", instance(1, series, number))
    station.drop("EXAM/readme.txt", b"read me")
    assert told(station) == {"EXAM/": ("DICOM without a ZIP (6 files)", PACK_IT), "EXAM/readme.txt": ("no ZIP", "")}


@pytest.mark.parametrize("name", ["IM1.dcm", "IM1", "IM1.IMA"])
def test_a_loose_image_is_told_by_its_name(station: Station, name: str) -> None:
    station.drop(name, instance())
    assert told(station) == {name: ("DICOM without a ZIP (1 file)", PACK_IT)}


def test_an_image_without_a_preamble_is_one(station: Station) -> None:
    station.drop("IM1", b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100")
    assert told(station)["IM1"][1] == PACK_IT


def test_many_loose_images_are_one_entry(station: Station) -> None:
    for number in range(30):
        station.drop(f"{number}.dcm", instance())
    assert told(station) == {"./": ("DICOM without a ZIP (30 files)", PACK_IT)}


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("a.tar.gz", gzip.compress(b"tar", mtime=0), "gzip"), ("a.tar", tar("1.dcm", instance()), "tar"),
        ("a.7z", b"7z\xbc\xaf\x27\x1c\0\4", "7z"), ("a.rar", b"Rar!\x1a\x07\x01\0", "rar"), ("a", b"BZh9", "bzip2"),
        ("a.dcm.gz", gzip.compress(instance(), mtime=0), "gzip"), ("cd.iso", bytes(2048), "disc image"),
    ],
)  # fmt: skip
def test_an_archive_that_is_no_zip_is_told_with_what_to_do(station: Station, name: str, data: bytes, kind: str) -> None:
    station.drop(name, data)
    assert told(station) == {name: (f"an archive that is no ZIP ({kind})", REPACK_IT)}


def test_an_exam_outside_any_project_is_told(desk: Desk) -> None:
    station = desk.station(project="")
    station.drop("IM1.dcm", instance())
    station.drop("P1/EXAM/IM1.dcm", instance())
    assert {name for name, (_, advice) in told(station).items() if advice} == {"IM1.dcm", "P1/EXAM/"}


def test_what_is_told_needs_somebody_until_it_is_gone(station: Station) -> None:
    from xnat_watchd.operator.status import Exit, take_snapshot, verdict

    station.drop("EXAM/IM1", instance())
    told(station)

    def code() -> Exit:
        return verdict(take_snapshot(station.ledger, "", station.time.now(), running=True, daemon={}), finished=False)

    assert code() is Exit.ATTENTION
    (station.folders.drop / "EXAM" / "IM1").unlink()
    station.take_in()
    assert code() is Exit.FINE


def test_a_restart_does_not_make_it_new(desk: Desk) -> None:
    station = desk.station()
    station.drop("EXAM/IM1", instance())
    station.take_in()
    station.time.pass_(minutes=31)
    station = desk.station()
    station.intake.sweep()
    assert [one["advice"] for one in station.ledger.views.ignored()] == [PACK_IT]


@pytest.mark.parametrize("name", ["scan", "scan.zip.1", "1.2.840.113619", "scan_zip"])
def test_a_zip_of_any_name_is_taken_by_its_content(desk: Desk, station: Station, name: str) -> None:
    station.drop(name, scan())
    station.take_in()
    station.work()
    assert (desk.archived(), states(station)) == (whole(), {"finished": 1})
    assert station.files() == [f"done/2026-01/1_{name}.zip"]


def test_a_document_that_is_a_zip_inside_is_not_taken(station: Station) -> None:
    station.drop("report.docx", zipped([("word/document.xml", b"<xml/>")]))
    assert told(station) == {"report.docx": ("no ZIP", "")}


# -- others' business --------------------------------------------------------------------------------------

BINS = (
    *("#recycle", "@Recycle", "$RECYCLE.BIN", "System Volume Information", ".snapshot", "#snapshot", "lost+found"),
    *(".Trash-1000", "Network Trash Folder", "~snapshot", ".zfs", "@eaDir", "RECYCLER"),
)


@pytest.mark.parametrize("name", BINS)
@pytest.mark.parametrize("project", ["P1", ""])
@pytest.mark.parametrize("below", ["", "P1/"])
def test_a_recycle_bin_or_snapshot_is_not_looked_into(desk: Desk, name: str, project: str, below: str) -> None:
    station = desk.station(project=project)
    station.drop(f"{below}{name}/S-1-5-21/$RAB12CD.zip", scan())
    station.drop(f"{below}{name}/scan.zip", scan())
    station.take_in()
    assert states(station) == {}
    assert [(one["name"], one["why"]) for one in station.ledger.views.ignored()] == [(f"{below}{name}", LEFT_ALONE[0])]


def test_thumbnails_are_left_alone_beside_what_is_taken(desk: Desk, station: Station) -> None:
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store"):
        station.drop(name, b"x")
    station.drop("scan.zip", scan())
    station.take_in()
    station.work()
    assert desk.archived() == whole()
    assert {one["why"] for one in station.ledger.views.ignored()} == {LEFT_ALONE[0]}


@pytest.mark.parametrize("pattern", ["old", "OLD/*", "*/old", "old*"])
def test_the_setting_may_name_a_folder(pattern: str) -> None:
    assert matches("a/old", (pattern,)) or matches("old/scan.zip", (pattern,))
    assert not matches("a/new/scan.zip", (pattern,))


def test_a_folder_that_the_setting_names_is_not_looked_into(desk: Desk, station: Station) -> None:
    from dataclasses import replace

    station.intake.configure(replace(station.intake._rules, ignore=("archive-of-*",)), station.time)
    station.drop("archive-of-anna/deep/scan.zip", scan(1))
    station.drop("scan.zip", scan(2))
    station.take_in()
    station.work()
    assert desk.archived() == whole(2)
    assert [one["name"] for one in station.ledger.views.ignored()] == ["archive-of-anna"]


def test_a_folder_of_an_ordinary_name_is_no_bin() -> None:
    assert not any(is_bin(name) for name in ("recycle-study", "snapshot of anna", "trash", "P1", "zfs"))
