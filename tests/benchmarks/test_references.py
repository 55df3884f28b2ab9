"""What the program is compared with does the same work, or it would be no reference."""

from __future__ import annotations

import sqlite3
import struct
import zipfile
import zlib
from contextlib import closing
from io import BytesIO
from pathlib import Path
from threading import Thread

import pytest
from pydicom import dcmread

from benchmarks import loops, zips
from benchmarks.figures import MIB
from benchmarks.inside.counted import count_into
from benchmarks.practice import PASSWORD, PROJECT, USER, Practice
from xnat_watchd.adapters.dicom.zip_file import open_zip
from xnat_watchd.core.limits import Limits
from xnat_watchd.sandbox import Sandbox

DIALECTS = ("1.8", "1.6")


def scans(*names: str) -> list[loops.Scan]:
    return [loops.Scan(name, zips.small(name, images=2)) for name in names]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("loop", "requests"), [("bare", (3, 3)), ("proved", (11, 10))])
def test_a_loop_carries_every_study_with_so_many_requests(
    tmp_path: Path, dialect: str, loop: str, requests: tuple[int, int]
) -> None:
    with Sandbox(tmp_path, dialect, users={USER: PASSWORD}, projects=[PROJECT]) as xnat:
        carry = getattr(loops, loop)(older=dialect == "1.6")
        assert loops.run(xnat.url, scans("1", "2", "3"), carry, workers=2) > 0
        assert [one.where for one in xnat.instances()] == ["archive"] * 6
        for name in "123":
            subject = xnat.subject(PROJECT, f"Bench_N{name}")
            assert subject is not None
            assert subject["fields"] == {"subject_age": "54", "subject_dob": "1970-01-01"}
        assert (len(xnat.requests) - 2) / 3 == requests[DIALECTS.index(dialect)]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_loop_with_proofs_does_not_go_on_where_one_fails(tmp_path: Path, dialect: str) -> None:
    with Sandbox(tmp_path, dialect, users={USER: PASSWORD}, projects=[PROJECT]) as xnat:
        carry = loops.proved(older=dialect == "1.6")
        loops.run(xnat.url, scans("1"), carry, workers=1)
        with pytest.raises(RuntimeError, match="there already"):
            loops.run(xnat.url, scans("1"), carry, workers=1)
        wrong = loops.Scan("3", zips.small("4", images=2))
        with pytest.raises(RuntimeError, match="another study"):
            loops.run(xnat.url, [wrong], carry, workers=1)


def test_the_practice_xnat_answers_late_and_records_what_it_was_asked(tmp_path: Path) -> None:
    with Practice(tmp_path, "1.6", answer=0.05, import_=0.1, subjects=2, sessions=3) as xnat:
        loops.run(xnat.url, scans("1"), loops.bare(older=True), workers=1)
        login, sent, archived, written = xnat.requests()
        assert (login.is_login, sent.is_import, archived.is_login, written.method) == (True, True, False, "PUT")
        assert sent.ended - sent.began >= 0.15
        assert 0.05 <= archived.ended - archived.began < 0.15
        assert xnat.requests() == []
        assert (xnat.archived(), xnat.described()) == (2, 1)
        with closing(loops.Line(xnat.url)) as line:
            assert line.ask("GET", f"/data/projects/{PROJECT}/experiments", {"format": "json"}).count("S00001_") >= 3


# -- ZIPs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deflated", [False, True])
def test_a_large_zip_is_read_by_others_and_is_one_study(tmp_path: Path, *, deflated: bool) -> None:
    path = zips.write_large(tmp_path / "large.zip", 2 * MIB, deflated=deflated)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {one.compress_type for one in archive.infolist()} == {zipfile.ZIP_DEFLATED if deflated else 0}
    contents = open_zip(path, Limits())
    assert [len(study.instances) for study in contents.studies] == [4]
    assert contents.as_it_is


def test_a_slice_of_a_ct_deflates_to_half_and_several_may_be_one_image(tmp_path: Path) -> None:
    assert 0.45 < len(zlib.compress(zips.slice_of_a_ct(), 6)) / zips.PIXELS < 0.55
    path = zips.write_large(tmp_path / "large.zip", 2 * MIB, deflated=True, slices=True, frames=3)
    with zipfile.ZipFile(path) as archive:
        (image,) = archive.infolist()
        assert archive.testzip() is None
        assert len(dcmread(BytesIO(archive.read(image))).PixelData) == 3 * zips.PIXELS
    (study,) = open_zip(path, Limits()).studies
    assert len(study.instances) == 1


def test_the_directory_of_a_very_large_zip_is_found(tmp_path: Path) -> None:
    """The first four gigabytes are a hole."""
    path, far = tmp_path / "large.zip", 5 * 1024**3
    content = zips.head("1", 1, 32) + bytes(32)
    info = zipfile.ZipInfo("I1.dcm", zips.PACKED_AT)
    info.CRC, info.file_size, info.compress_size = zlib.crc32(content), len(content), len(content)
    info.header_offset = far
    with path.open("wb") as file:
        file.seek(far)
        file.write(info.FileHeader(zip64=False) + content)
        file.write(b"".join(zips._directory([info], file.tell())))
    with zipfile.ZipFile(path) as archive:
        assert archive.read("I1.dcm") == content


def test_each_study_is_that_of_a_person_of_its_own(tmp_path: Path) -> None:
    found = []
    for name in "12":
        (tmp_path / "one.zip").write_bytes(zips.small(name))
        (study,) = open_zip(tmp_path / "one.zip", Limits()).studies
        found.append((study.uid, study.person.id, len(study.instances)))
    assert found == [(f"{zips.ROOT}.1", "B-1", 10), (f"{zips.ROOT}.2", "B-2", 10)]


# -- statements --------------------------------------------------------------------------------------------


def test_statements_are_counted_without_their_triggers_and_commits_that_change_nothing_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "connect", sqlite3.connect)  # is put back afterwards
    counts = tmp_path / "counts"
    count_into(counts)
    db = sqlite3.connect(tmp_path / "db", isolation_level=None, check_same_thread=False)
    for sql in (
        "CREATE TABLE t (a)", "PRAGMA data_version",
        "CREATE TRIGGER doubles AFTER INSERT ON t WHEN NEW.a = 1 BEGIN INSERT INTO t VALUES (2); END",
        "BEGIN", "INSERT INTO t VALUES (1)", "COMMIT",
        "BEGIN", "SELECT a FROM t", "COMMIT",
    ):  # fmt: skip
        db.execute(sql).fetchall()
    assert struct.unpack("4q", counts.read_bytes()) == (4, 1, 1, 0)
    worker = Thread(name="worker-1", target=db.executemany, args=("INSERT INTO t VALUES (?)", [(3,), (4,)]))
    worker.start()
    worker.join()
    assert struct.unpack("4q", counts.read_bytes()) == (5, 1, 1, 1)
    db.close()
