"""A ZIP that is dropped becomes an archived session with demographics, and people can see it."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.dicom import instance, sop_uid
from tests.station import zipped
from tests.whole.conftest import Program
from xnat_watchd.sandbox import Sandbox

pytestmark = pytest.mark.parametrize("dialect", ["1.8", "1.6"], indirect=True)  # the heart of it, always in both

Scan = Callable[..., bytes]


def test_a_zip_that_is_dropped_while_the_service_runs_becomes_a_session(
    program: Program, xnat: Sandbox, scan: Scan
) -> None:
    with program.start() as service:
        service.wait_for("READY=1")
        program.drop("scan.zip", scan())
        service.wait_for("1 complete")
        assert service.stop() == 0
        service.wait_for("STOPPING=1")
    assert [(one.where, one.session, one.sop_uid) for one in xnat.instances()] == [
        ("archive", "Quokka_Zenobia_20240229T101530_MR", sop_uid(1, 1, 1)),
        ("archive", "Quokka_Zenobia_20240229T101530_MR", sop_uid(1, 1, 2)),
    ]
    subject = xnat.subject("P1", "Quokka_Zenobia") or {}
    assert subject["demographics"] == {"dob": "1931-04-17", "age": 92, "gender": "female"}
    assert subject["fields"] == {"subject_age": "92", "subject_dob": "1931-04-17", "subject_gender": "Female"}
    assert len(list((program.root / "done").glob("*/1_scan.zip"))) == 1
    assert not list((program.root / "work").glob("*.zip"))


def test_status_says_on_one_screen_that_all_is_well(program: Program, scan: Scan) -> None:
    program.drop("scan.zip", scan())
    assert "everything is complete" in program.once()
    screen = program.run("status")
    assert "1 finished" in screen
    assert "Nothing runs now; nothing else needs attention" in screen
    assert len(screen.splitlines()) < 25
    snapshot = program.status()
    assert snapshot["deliveries"] == {"finished": 1}
    assert snapshot["studies"] == {"complete": {"done": 1}}
    assert snapshot["gate"] == {"open": True}
    assert snapshot["attention"] == snapshot["ignored"] == []


def test_show_tells_the_story(program: Program, scan: Scan) -> None:
    program.drop("scan.zip", scan())
    program.once()
    story = program.run("show", "1.1")
    program.said.clear()  # `show` may name the patient: it reads the ledger, for people who may
    for word in ("received", "uploaded", "archived", "complete", "Quokka_Zenobia_20240229T101530_MR"):
        assert word in story


def test_a_study_without_a_date_is_held_before_anything_is_sent_and_a_label_settles_it(
    program: Program, xnat: Sandbox, scan: Scan
) -> None:
    program.drop("scan.zip", scan(date="20240230"))
    assert "study date is missing or not a date" in program.once(expect=1)
    assert xnat.instances() == []
    program.run("retry", "1.1", "--label", "VISIT_1")
    program.once()
    assert {one.session for one in xnat.instances()} == {"VISIT_1"}


def test_two_studies_and_clutter_in_one_zip_become_two_sessions(program: Program, xnat: Sandbox) -> None:
    members = [(f"A/{n}", instance(1, 1, n)) for n in (1, 2)]
    members += [(f"B/{n}", instance(2, 1, n, modality="CT", date="20240301")) for n in (1, 2)]
    program.drop("CD.ZIP", zipped([*members, ("viewer.exe", b"MZ"), ("DICOMDIR", b"no DICOM")]))
    program.once()
    assert sorted({one.session for one in xnat.instances()}) == [
        "Quokka_Zenobia_20240229T101530_MR",
        "Quokka_Zenobia_20240301T101530_CT",
    ]


def test_a_zip_of_which_no_study_comes_lies_in_failed_with_the_reason_beside_it(program: Program) -> None:
    program.drop("notes.zip", zipped([("notes.txt", b"nothing")]))
    program.once(expect=1)
    note = (program.root / "failed" / "1_notes.zip.txt").read_text("utf-8")
    assert "Why: " in note
    (row,) = [one for one in program.status()["attention"] if one["item"][:1].isdigit()]
    assert f"What to do: {row['advice']}" in note  # one next step, wherever people look
    assert "type `xnat-watchd show 1`" in note
    assert (program.root / "failed" / "1_notes.zip").exists()


def test_what_is_no_whole_zip_is_left_alone_and_counted(program: Program) -> None:
    program.drop("scan.zip.part", b"PK")
    program.drop("readme.txt", b"")
    program.drop("half.zip", b"PK\x03\x04 still being copied")
    assert "1 ZIP in the folder not taken" in program.once(expect=75)
    assert {one["name"] for one in program.status()["ignored"]} == {"scan.zip.part", "readme.txt", "half.zip"}
    assert len(list((program.root / "drop").glob("[!.]*"))) == 3


def test_the_same_zip_again_changes_nothing(program: Program, xnat: Sandbox, scan: Scan) -> None:
    program.drop("scan.zip", scan())
    program.once()
    before = xnat.instances()
    program.drop("scan.zip", scan())
    program.drop("again.zip", scan())
    program.once()
    assert xnat.instances() == before
    assert program.status()["deliveries"] == {"finished": 1, "duplicate": 2}


def test_a_service_that_is_told_to_stop_ends_in_order(program: Program) -> None:
    with program.start() as service:
        service.wait_for("READY=1")
        assert service.stop(signal.SIGINT) == 0


def test_projects_and_subjects_are_listed(program: Program, scan: Scan) -> None:
    program.drop("scan.zip", scan())
    program.once()
    assert '"P1"' in program.run("list", "--json")
    subjects = program.run("list", "--project", "P1", "--json")
    program.said.clear()  # labels are what was asked for
    assert "Quokka_Zenobia" in subjects
