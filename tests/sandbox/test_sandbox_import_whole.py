"""The importer SI, which 1.6 uses by itself: what is kept, what is refused, where it goes (F9 to F20, F64 to F76)."""

from __future__ import annotations

import zipfile
from typing import Any

import pytest

from tests.sandbox.kit import (
    CT,
    ENHANCED_SR,
    MR,
    OTHER_STUDY,
    RT_DOSE,
    RT_PLAN,
    SECONDARY_CAPTURE,
    STUDY,
    Visitor,
    dicom,
    place,
    reason,
    series_of,
    zipped,
)

NOTHING = "Upload did not include parseable files for session generation."
ROWS = "/data/prearchive/projects/P1"


def test_an_upload_becomes_a_ready_row_with_the_listings_own_columns(
    old: Visitor,
) -> None:  # F10, F12, F21
    answer = old.send(zipped(series_of(2)), dest="/prearchive", project="P1")
    assert answer.content == b"/data/prearchive/projects/P1/20261122_095410219/CAN01\r\n"
    assert answer.headers["Content-Type"] == "text/uri-list;charset=ISO-8859-1"
    assert old.rows(ROWS) == [
        {
            "project": "P1", "timestamp": "20261122_095410219", "lastmod": "2026-11-22 09:54:10.219",
            "uploaded": "2026-11-22 09:54:10.219", "scan_date": "2024-01-31 00:00:00.0", "scan_time": "10:11:12",
            "subject": "Canary^Kim", "folderName": "CAN01", "name": "CAN01", "tag": STUDY, "status": "READY",
            "url": "/prearchive/projects/P1/20261122_095410219/CAN01", "autoarchive": "Manual",
            "prevent_anon": "false", "prevent_auto_commit": "false", "SOURCE": "", "VISIT": "", "PROTOCOL": "",
            "TIMEZONE": "",
        }
    ]  # fmt: skip


def test_every_file_is_kept_byte_for_byte_and_named_by_the_last_part_of_its_path(old: Visitor) -> None:  # F18, F147
    content = dicom(1)
    row = old.sent(zipped({"a/b/one": content}), dest=place(), session="xw_1")
    (file,) = old.rows(f"/data{row}/scans/1/resources/DICOM/files")
    assert file["Name"] == "one"
    assert old.get(file["URI"]).content == content
    (stored,) = old.xnat.instances()
    assert (stored.where, stored.project, stored.session) == ("prearchive", "P1", "xw_1")
    assert stored.path.read_bytes() == content


def test_a_place_of_our_own_is_honoured_and_its_label_is_the_rows_name(old: Visitor) -> None:  # F66, F71
    assert old.sent(zipped(series_of(1)), dest=place(), session="xw_1", subject="S1") == place()
    (row,) = old.rows(ROWS)
    assert (row["timestamp"], row["folderName"], row["name"]) == ("20240131_101112001", "xw_1", "xw_1")
    assert row["subject"] == "S1"


def test_a_timestamp_of_our_own_needs_no_folder(old: Visitor) -> None:  # F66
    assert old.sent(zipped(series_of(1)), dest="/prearchive/projects/P1/any_stamp") == place("CAN01", "any_stamp")


def test_the_same_zip_to_the_same_place_is_409_and_changes_nothing(old: Visitor) -> None:  # F66
    content = zipped(series_of(2))
    old.sent(content, dest=place())
    before = old.xnat.instances()
    for more in ({}, {"overwrite": "append"}):
        answer = old.send(content, dest=place(), **more)
        assert (answer.status_code, reason(answer)) == (409, "Session already exists with matching files.")
    assert old.xnat.instances() == before
    assert old.rows(ROWS)[0]["status"] == "READY"
    assert old.sent(content, dest=place(), overwrite="delete") == place()
    assert len(old.xnat.instances()) == 2


def test_another_study_to_a_taken_place_is_refused(old: Visitor, new: Visitor) -> None:  # F66, F150
    for visitor, status in ((old, 409), (new, 400)):
        visitor.sent(zipped(series_of(1)), dest=place(), handler="SI")
        answer = visitor.send(zipped(series_of(1, study=OTHER_STUDY)), dest=place(), handler="SI")
        assert answer.status_code == status
        assert {one.study_uid for one in visitor.xnat.instances()} == {STUDY}


def test_the_same_zip_without_a_place_is_always_a_new_row(old: Visitor) -> None:  # F13
    for overwrite in ("none", "append", "delete", "banana"):
        old.sent(zipped(series_of(1)), dest="/prearchive", project="P1", overwrite=overwrite)
    assert len({row["timestamp"] for row in old.rows(ROWS)}) == 4


def test_two_studies_give_two_lines_and_one_timestamp(old: Visitor) -> None:  # F11
    members = {**series_of(1), "other": dicom(1, study=OTHER_STUDY)}
    lines = old.send(zipped(members), dest="/prearchive", project="P1").text.split("\r\n")
    assert {line.rpartition("/")[2] for line in lines if line} == {"CAN01", "CAN01_1"}
    assert len({row["timestamp"] for row in old.rows(ROWS)}) == 1


def test_two_studies_without_a_prearchive_destination_are_refused(old: Visitor) -> None:  # F11
    members = {**series_of(1), "other": dicom(1, study=OTHER_STUDY)}
    answer = old.send(zipped(members), project="P1")
    assert (answer.status_code, reason(answer)) == (400, "Upload included files for multiple imaging sessions.")


@pytest.mark.parametrize(
    ("media", "status"),
    [("application/zip", 200), ("application/octet-stream", 400), ("application/x-zip-compressed", 500), ("", 500)],
)
def test_the_content_type_decides_whether_an_upload_is_read(old: Visitor, media: str, status: int) -> None:  # F9
    assert old.send(zipped(series_of(1)), media, dest="/prearchive", project="P1").status_code == status


@pytest.mark.parametrize(
    "content", [b"garbage" * 40, zipped({}), zipped({"a.txt": b"x"})], ids=["garbage", "empty", "no DICOM"]
)
def test_an_upload_without_dicom_is_refused(old: Visitor, content: bytes) -> None:  # F14
    answer = old.send(content, dest="/prearchive", project="P1")
    assert (answer.status_code, reason(answer)) == (400, NOTHING)
    assert old.rows(ROWS) == []


def test_zero_bytes_are_refused_with_words_of_their_own(old: Visitor) -> None:  # F14
    answer = old.send(b"", dest="/prearchive", project="P1")
    assert answer.status_code == 400
    assert reason(answer) == "In-body File posts must include the file directly as the body of the message."


def test_a_truncated_zip_gives_what_came_before_the_break_without_a_word(old: Visitor) -> None:  # F14
    whole = zipped(series_of(5), zipfile.ZIP_STORED)
    assert old.send(whole[: len(whole) * 6 // 10], dest=place()).status_code == 200
    assert old.rows(f"/data{place()}/resources")[0]["file_count"] == "3"


def test_clutter_is_skipped_in_silence(old: Visitor) -> None:  # F164
    members = {"README": b"text", **series_of(2), "__MACOSX/._x": b"\0" * 200, "DICOMDIR": b"x" * 300}
    old.sent(zipped(members), dest=place())
    assert len(old.xnat.instances()) == 2


def test_an_unknown_project_is_500_and_a_forbidden_one_403(old: Visitor) -> None:  # F15
    unknown = old.send(zipped(series_of(1)), dest="/prearchive", project="NOPE")
    assert (unknown.status_code, reason(unknown)) == (500, "java.io.IOException: No project named NOPE")
    with Visitor(old.xnat, "outsider") as outsider:
        refused = outsider.send(zipped(series_of(1)), dest=place())
    assert refused.status_code == 403
    assert "user outsider does not have create permissions for project P1" in reason(refused)


def test_an_unknown_importer_is_404_a_bad_destination_500_and_reading_405(old: Visitor) -> None:  # F15
    assert old.send(zipped(series_of(1)), handler="nonsense").status_code == 404
    assert old.send(zipped(series_of(1)), dest="/nowhere", project="P1").status_code == 500
    assert old.get("/data/services/import").status_code == 405


def test_without_a_project_the_rows_go_to_unassigned_which_only_admins_see(old: Visitor) -> None:  # F12, F21
    assert old.sent(zipped(series_of(1)), dest="/prearchive").startswith("/prearchive/projects/Unassigned/")
    assert old.rows("/data/prearchive/projects") == []
    with Visitor(old.xnat, "root") as root:
        assert [row["project"] for row in root.rows("/data/prearchive/projects")] == ["Unassigned"]
    assert old.xnat.instances()[0].where == "unassigned"


def test_labels_come_from_the_header_and_folders_are_clean(old: Visitor) -> None:  # F12, F70
    old.sent(zipped({"a": dicom(PatientID="PAT 01/x", PatientName="Doe^John^^")}), dest="/prearchive/projects/P1")
    content = dicom(
        study=OTHER_STUDY, SpecificCharacterSet="ISO_IR 192", PatientID="Müller 7", PatientName="Müller^Jörg"
    )
    old.sent(zipped({"a": content}), dest="/prearchive/projects/P1")
    seen = [(row["folderName"], row["name"], row["subject"]) for row in old.rows(ROWS)]
    assert seen == [("PAT_01_x", "PAT 01/x", "Doe^John"), ("M_ller_7", "Müller 7", "Müller^Jörg")]


def test_a_report_without_an_extension_is_dropped_and_one_with_an_extension_kept(old: Visitor) -> None:  # F64, F77
    report: dict[str, Any] = {"kind": ENHANCED_SR, "Modality": "SR", "series": 99}
    members = {
        **series_of(2),
        "DICOM/0001": dicom(1, **report),
        "1.2.3.4": dicom(2, **report),
        "x.SR": dicom(3, **report),
    }
    old.sent(zipped(members), dest=place())
    counts = {row["cat_id"]: (row["label"], row["file_count"]) for row in old.rows(f"/data{place()}/resources")}
    assert counts == {"1": ("DICOM", "2"), "99": ("secondary", "1")}


def test_what_is_no_image_stands_beside_images_as_secondary(old: Visitor) -> None:  # F64, F77
    members = {**series_of(1, kind=CT), "plan": dicom(kind=RT_PLAN, Modality="RTPLAN", series=4)}
    old.sent(zipped(members), dest=place())
    assert {row["ID"]: row["xsiType"] for row in old.rows(f"/data{place()}/scans")} == {
        "1": "xnat:ctScanData",
        "4": "xnat:otherDicomScanData",
    }


def test_a_captured_ct_alone_is_refused_and_beside_another_study_dropped(old: Visitor) -> None:  # F69
    capture = dicom(kind=SECONDARY_CAPTURE, Modality="CT", study=OTHER_STUDY)
    answer = old.send(zipped({"a.dcm": capture}), dest=place())
    assert (answer.status_code, reason(answer)) == (400, NOTHING)
    old.sent(zipped({"a.dcm": capture, **series_of(1)}), dest="/prearchive/projects/P1")
    assert {one.study_uid for one in old.xnat.instances()} == {STUDY}


def test_a_captured_nm_is_kept(old: Visitor) -> None:  # F69
    old.sent(zipped({"a": dicom(kind=SECONDARY_CAPTURE, Modality="NM")}), dest=place())
    assert old.rows(f"/data{place()}/scans")[0]["xsiType"] == "xnat:scScanData"


def test_a_study_without_images_ends_in_500(old: Visitor) -> None:  # F76
    answer = old.send(zipped({"a.dcm": dicom(kind=RT_DOSE, Modality="RTDOSE")}), dest=place())
    assert (answer.status_code, reason(answer)) == (500, "Premature end of file.")


def test_dicom_without_a_preamble_ends_in_500(old: Visitor) -> None:  # F76
    bare = dicom()[132:]
    answer = old.send(zipped({"a.dcm": bare}), dest=place())
    assert answer.status_code == 500
    assert "transfer syntax is null" in reason(answer)


def test_two_series_of_one_number_become_two_scans(old: Visitor) -> None:  # F143
    members = {**series_of(1), "b": dicom(1, series=2, SeriesNumber=1, kind=MR)}
    old.sent(zipped(members), dest=place())
    assert [row["ID"] for row in old.rows(f"/data{place()}/scans")] == ["1", "1-MR1"]


def test_a_project_that_archives_by_itself_does_so_unless_the_prearchive_is_named(old: Visitor) -> None:  # F16
    old.xnat.add_project("AUTO", prearchive_code=4)
    old.xnat.grant("tech", "AUTO", "member")
    straight = old.sent(zipped(series_of(1)), project="AUTO", subject="S9", session="E9")
    assert straight == "/archive/projects/AUTO/subjects/S9/experiments/E9"
    row = old.sent(zipped(series_of(1, study=OTHER_STUDY)), dest="/prearchive", project="AUTO")
    assert row.startswith("/prearchive/projects/AUTO/")


def test_an_upload_to_a_session_that_exists_is_409_and_waits_as_conflict(old: Visitor) -> None:  # F19
    home = "/archive/projects/P1/subjects/S/experiments/E"
    assert old.sent(zipped(series_of(1)), dest=home) == home
    answer = old.send(zipped(series_of(1)), dest=home)
    assert (answer.status_code, reason(answer)) == (409, "Session already exists, retry with overwrite enabled")
    assert [row["status"] for row in old.rows(ROWS)] == ["CONFLICT"]


def test_implicit_objects_are_read_too(either: Visitor) -> None:  # DICOM PS3.5
    either.sent(zipped({"a": dicom(implicit=True)}), dest=place(), handler="SI")
    assert len(either.xnat.instances()) == 1


def test_names_in_a_zip_lead_nowhere_else(either: Visitor) -> None:
    members = {"../../../../up.dcm": dicom(1), "..": dicom(2), "/abs.dcm": dicom(3), "a\\..\\b.dcm": dicom(4)}
    either.sent(zipped(members), dest=place("f.f", ".."), handler="SI")
    stored = either.xnat.instances()
    assert len(stored) == 4
    assert all("prearchive/P1/_/f.f" in str(one.path.resolve()) for one in stored)


def multipart(visitor: Visitor, files: dict[str, tuple[str, bytes]], **fields: str) -> int:
    return visitor.ask("POST", "/data/services/import", files=files, data=fields).status_code


def test_a_multipart_upload_is_taken_with_its_fields(either: Visitor) -> None:  # F9, F131
    content = zipped(series_of(50))
    assert multipart(either, {"file": ("x.zip", content)}, dest=place(), session="xw_1") == 200
    assert len(either.xnat.instances()) == 50
    assert either.rows(ROWS)[0]["name"] == "xw_1"
    assert multipart(either, {"a": ("x.zip", content), "b": ("y.zip", content)}) == 400


def test_the_case_of_a_multipart_name_matters_on_1_8(old: Visitor, new: Visitor) -> None:  # F132
    for visitor, status in ((old, 200), (new, 400)):
        assert multipart(visitor, {"file": ("X.ZIP", zipped(series_of(1)))}, dest=place()) == status


def test_a_report_of_a_siemens_xa_is_dropped_whatever_its_name(old: Visitor) -> None:  # F77, as the careful side has it
    report = dicom(kind=ENHANCED_SR, Modality="SR", series=99, Manufacturer="Siemens Healthineers")
    old.sent(zipped({**series_of(1), "x.SR": report}), dest=place())
    assert len(old.xnat.instances()) == 1


def test_a_comment_in_the_header_sets_the_labels_but_not_the_folder(old: Visitor) -> None:  # F12
    content = dicom(PatientComments="Project:P1 Subject:S6 Session:E6")
    assert old.sent(zipped({"a": content}), dest="/prearchive").endswith("/CAN01")
    with Visitor(old.xnat, "root") as root:
        (row,) = root.rows("/data/prearchive/projects")
    assert (row["project"], row["subject"], row["name"]) == ("Unassigned", "S6", "E6")
