"""The importer DICOM-zip, which 1.8 uses by itself: no transaction, joined rows, Unassigned (F148, F151, F153)."""

from __future__ import annotations

import zipfile

import pytest

from tests.sandbox.kit import (
    ENHANCED_SR,
    OTHER_STUDY,
    SECONDARY_CAPTURE,
    STUDY,
    Clock,
    Visitor,
    dicom,
    place,
    reason,
    series_of,
    zipped,
)

ROWS = "/data/prearchive/projects/P1"


def test_an_upload_to_our_place_is_committed_and_ready(new: Visitor) -> None:  # F148
    more = {"prevent_auto_commit": "true", "Ignore-Unparsable": "false", "inbody": "true", "session": "xw_1"}
    answer = new.send(zipped(series_of(3)), handler="DICOM-zip", dest=place(), **more)
    assert answer.content == f"/data{place()}\r\n".encode()
    (row,) = new.rows(ROWS)
    assert (row["status"], row["name"], row["tag"], row["prevent_auto_commit"]) == ("READY", "xw_1", STUDY, "true")
    assert new.rows(f"/data{place()}/resources")[0]["file_count"] == "3"


def test_an_upload_without_destination_stays_receiving(new: Visitor) -> None:  # F146
    new.sent(zipped(series_of(1)), project="P1")
    (row,) = new.rows(ROWS)
    assert (row["status"], row["uploaded"], row["scan_time"]) == ("RECEIVING", "", "")


def test_a_second_upload_of_a_study_joins_its_row_and_the_answer_names_that_place(new: Visitor) -> None:  # F148
    first = new.sent(zipped(series_of(1)), project="P1", session="E1")
    second = new.sent(zipped(series_of(2, series=2)), dest=place(), session="E1")
    assert second == first != place()
    assert len(new.xnat.instances()) == 3
    assert len(new.rows(ROWS)) == 1


def test_another_label_makes_a_second_row_of_the_same_study(new: Visitor) -> None:  # F155
    assert new.sent(zipped(series_of(1)), project="P1", session="A") != new.sent(
        zipped(series_of(1)), project="P1", session="B"
    )


def test_the_same_upload_again_changes_nothing(new: Visitor) -> None:  # F155
    for _ in range(2):
        new.sent(zipped(series_of(3)), dest=place(), session="xw_1")
    assert len(new.xnat.instances()) == 3


def test_another_study_to_our_place_is_refused(new: Visitor) -> None:  # F150
    new.sent(zipped(series_of(1)), dest=place(), session="xw_1")
    assert new.send(zipped(series_of(1, study=OTHER_STUDY)), dest=place(), session="xw_1").status_code == 400


def test_what_came_before_an_unreadable_entry_stays(new: Visitor) -> None:  # F151, F152
    members = {**series_of(2), "README.txt": b"hello", "late.dcm": dicom(9)}
    answer = new.send(zipped(members), dest=place(), session="xw_1")
    assert answer.status_code == 400
    assert "unable to read DICOM object README.txt" in reason(answer)
    assert len(new.xnat.instances()) == 2
    assert new.rows(ROWS)[0]["status"] == "RECEIVING"


def test_unreadable_entries_are_skipped_where_that_was_asked(new: Visitor) -> None:  # F152
    members = {"README.txt": b"hello", **series_of(2)}
    new.sent(zipped(members), dest=place(), **{"Ignore-Unparsable": "true"})
    assert len(new.xnat.instances()) == 2


def test_a_literal_commit_skips_unreadable_entries_by_itself_and_an_implied_one_does_not(
    new: Visitor,
) -> None:  # F136
    content = zipped({"README.txt": b"hello", **series_of(1)})
    assert new.send(content, project="P1", action="commit").status_code == 200
    assert new.send(content, dest=place(), session="E2").status_code == 400


def test_only_unreadable_entries_are_400_even_when_skipped(new: Visitor) -> None:  # F152
    assert new.send(zipped({"a.txt": b"x"}), dest=place(), **{"Ignore-Unparsable": "true"}).status_code == 400


@pytest.mark.parametrize(
    "content", [b"garbage" * 9, zipped({}), zipped({"a/": b""})], ids=["garbage", "empty", "folders"]
)
def test_what_is_no_zip_is_an_empty_200(new: Visitor, content: bytes) -> None:  # F139
    answer = new.send(content, dest=place())
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_zip_cut_inside_an_entry_is_400_and_what_came_before_stays(new: Visitor) -> None:  # F151
    whole = zipped(series_of(5), zipfile.ZIP_STORED)
    answer = new.send(whole[: len(whole) * 6 // 10], dest=place())
    assert answer.status_code == 400
    assert reason(answer).startswith("unable to read data from file")
    assert len(new.xnat.instances()) == 3


def test_a_zip_cut_between_two_entries_is_200(new: Visitor) -> None:  # F153
    whole = zipped(series_of(2), zipfile.ZIP_STORED)
    assert new.send(whole[: whole.index(b"PK\x03\x04", 10)], dest=place()).status_code == 200
    assert len(new.xnat.instances()) == 1


def test_a_zip_without_its_directory_is_whole(new: Visitor) -> None:  # F153
    whole = zipped(series_of(2))
    assert new.send(whole[: whole.index(b"PK\x01\x02")], dest=place()).status_code == 200
    assert len(new.xnat.instances()) == 2


def test_an_object_without_a_sop_instance_is_refused(new: Visitor) -> None:  # F156
    assert new.send(zipped({"a.dcm": dicom(SOPInstanceUID=None)}), dest=place()).status_code == 400


def test_a_project_that_is_not_ours_falls_back_to_unassigned_with_200(new: Visitor) -> None:  # F141
    new.xnat.add_project("P2")
    for project in ("NOPE", "P2"):
        assert new.sent(zipped(series_of(1)), project=project).startswith("/prearchive/projects/Unassigned/")
    assert {one.where for one in new.xnat.instances()} == {"unassigned"}


def test_a_comment_in_the_header_routes_what_names_no_project(new: Visitor) -> None:  # F142
    content = dicom(PatientComments="Project:P1 Subject:S7 Session:E7")
    new.sent(zipped({"a": content}))
    (row,) = new.rows(ROWS)
    assert (row["subject"], row["name"]) == ("S7", "E7")


def test_a_comment_does_not_lead_into_a_project_that_is_not_ours(new: Visitor) -> None:  # F142
    new.xnat.add_project("P2")
    new.sent(zipped({"a": dicom(PatientComments="Project:P2")}))
    assert [one.where for one in new.xnat.instances()] == ["unassigned"]


def test_labels_of_the_header_are_reduced(new: Visitor) -> None:  # F144
    new.sent(zipped({"a": dicom(PatientID="PAT 01/x", PatientName="Test^Regression")}), project="P1")
    (row,) = new.rows(ROWS)
    assert (row["name"], row["subject"]) == ("PAT_01_x", "Test_Regression")


def test_reports_and_captures_are_all_kept(new: Visitor) -> None:  # F165
    members = {
        "0001": dicom(kind=ENHANCED_SR, Modality="SR", series=99),
        "capture": dicom(kind=SECONDARY_CAPTURE, Modality="CT", study=OTHER_STUDY, PatientID="CAN02"),
    }
    answer = new.send(zipped(members), dest="/prearchive/projects/P1")
    assert len(answer.text.split()) == 2
    assert {row["status"] for row in new.rows(ROWS)} == {"READY"}


def test_a_name_that_is_taken_by_another_object_makes_way(new: Visitor) -> None:  # F163
    members = {"a/1.dcm": dicom(1), "b/1.dcm": dicom(2)}
    new.sent(zipped(members), dest=place())
    names = {file["Name"] for file in new.rows(f"/data{place()}/scans/1/resources/DICOM/files")}
    assert names == {"1.dcm", f"{STUDY}.1.2.dcm"}


def test_what_has_been_receiving_for_five_idle_minutes_is_built(new: Visitor, clock: Clock) -> None:  # F146
    new.sent(zipped(series_of(1)), project="P1", session="A")
    new.sent(zipped(series_of(1)), project="P1", session="B", prevent_auto_commit="true")
    clock.move(minutes=4)
    assert {row["status"] for row in new.rows(ROWS)} == {"RECEIVING"}
    clock.move(minutes=2)
    assert [row["status"] for row in new.rows(ROWS)] == ["READY", "RECEIVING"]


def test_what_is_built_by_itself_is_archived_where_the_project_says_so(new: Visitor, clock: Clock) -> None:  # F146
    new.xnat.add_project("AUTO", prearchive_code=4)
    new.xnat.grant("tech", "AUTO", "member")
    new.sent(zipped(series_of(1)), project="AUTO")
    clock.move(minutes=6)
    assert new.rows("/data/prearchive/projects/AUTO") == []
    assert [one["label"] for one in new.xnat.sessions("AUTO")] == ["CAN01"]


def test_more_files_throw_a_ready_row_back_to_receiving(new: Visitor) -> None:  # F168
    row = new.sent(zipped(series_of(1)), dest=place(), session="E1")
    new.sent(zipped(series_of(1, series=2)), project="P1", session="E1")
    assert new.rows(ROWS)[0]["status"] == "RECEIVING"
    assert [scan["ID"] for scan in new.rows(f"/data{row}/scans")] == ["1"]  # stale until the next build (F177)
    assert new.ask("POST", f"/data{row}", params={"action": "build"}).status_code == 200
    assert [scan["ID"] for scan in new.rows(f"/data{row}/scans")] == ["1", "2"]


def test_an_upload_to_the_archive_is_archived(new: Visitor) -> None:  # F138
    home = "/archive/projects/P1/subjects/S/experiments/E"
    assert new.sent(zipped(series_of(1)), dest=home) == home


def test_an_upload_onto_an_archived_session_is_400_and_the_row_a_conflict(new: Visitor) -> None:  # F157
    home = "/archive/projects/P1/subjects/S/experiments/E"
    new.sent(zipped(series_of(1)), dest=home)
    answer = new.send(zipped(series_of(1)), dest=home)
    assert answer.status_code == 400
    assert "unable to archive" in reason(answer)
    assert new.rows(ROWS)[0]["status"] == "CONFLICT"


def test_1_6_ignores_project_and_place_there(old: Visitor) -> None:  # F17, F66
    assert old.sent(zipped(series_of(1)), handler="DICOM-zip", project="P1").startswith(
        "/prearchive/projects/Unassigned/"
    )
    row = old.sent(zipped(series_of(1)), handler="DICOM-zip", dest=place())
    assert row == "/prearchive/projects/P1/20261122_095410220/CAN01"
    assert old.rows(ROWS)[0]["status"] == "RECEIVING"


def test_1_6_merges_more_series_into_the_same_row(old: Visitor) -> None:  # F17
    first = old.sent(zipped(series_of(1)), handler="DICOM-zip", PROJECT_ID="P1", SUBJECT_ID="SZ", EXPT_LABEL="EZ")
    again = old.sent(zipped(series_of(1, series=2)), handler="DICOM-zip", PROJECT_ID="P1", EXPT_LABEL="EZ")
    assert first == again
    assert len(old.xnat.instances()) == 2


def test_a_stored_entry_of_unknown_size_cannot_be_read(new: Visitor) -> None:  # F153
    whole = bytearray(zipped({"a.dcm": dicom()}, zipfile.ZIP_STORED))
    whole[6] |= 0x8
    answer = new.send(bytes(whole), dest=place())
    assert (answer.status_code, "only DEFLATED entries" in reason(answer)) == (400, True)


def test_a_chunked_body_is_read_as_well(either: Visitor) -> None:  # F131
    content = zipped(series_of(2))
    either.send(iter([content[:100], content[100:]]), dest=place())
    assert len(either.xnat.instances()) == 2
