"""Lists, items and files of the archive, and the header dump (F24, F51 to F54)."""

from __future__ import annotations

import pytest

from tests.sandbox.kit import (
    OTHER_STUDY,
    RT_PLAN,
    STUDY,
    Visitor,
    child,
    dicom,
    place,
    reason,
    series_of,
    zipped,
)

E1 = "/data/projects/P1/subjects/S1/experiments/E1"
FLAT = "/data/experiments/XNAT_E00001"
DUMP = "/data/services/dicomdump"


@pytest.fixture
def archived(either: Visitor) -> Visitor:
    """Return a member's client of an XNAT with one session: two images and a plan."""
    members = {**series_of(2), "plan.dcm": dicom(kind=RT_PLAN, Modality="RTPLAN", series=4)}
    either.sent(zipped(members), dest=place(), session="xw_1")
    either.archived(place(), subject="S1", session="E1")
    return either


def test_projects_are_listed_as_text_only_tables(either: Visitor) -> None:  # F124
    answer = either.get("/data/projects", format="json")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.text.endswith('"totalRecords": "1"}}')
    (row,) = either.rows("/data/projects")
    assert set(row) == {"ID", "secondary_ID", "name", "description", "pi_firstname", "pi_lastname", "URI"}
    assert either.rows("/data/projects", columns="ID,URI,name") == [
        {"ID": "P1", "URI": "/data/projects/P1", "name": "P1"}
    ]


def test_writable_projects_are_those_one_may_edit(either: Visitor) -> None:  # F250
    either.xnat.add_project("P2")
    either.xnat.add_project("P3")
    either.xnat.grant("tech", "P2", "collaborator")
    assert [row["ID"] for row in either.rows("/data/projects")] == ["P1", "P2", "P3"]
    assert [row["ID"] for row in either.rows("/data/projects", data="writable")] == ["P1"]
    assert [row["ID"] for row in either.rows("/data/projects", data="readable")] == ["P1", "P2"]
    assert either.get("/data/projects", data="nonsense").status_code == 400


def test_accessible_projects_come_in_another_shape(either: Visitor) -> None:  # F249
    (row,) = either.rows("/data/projects", accessible="true")
    assert (row["id"], row["user_role_3"], row["project_access"]) == ("P1", "Members", "protected")


def test_private_projects_are_404_for_outsiders_and_ids_have_a_case(either: Visitor) -> None:  # F51, F52
    either.xnat.add_project("P2", accessibility="private")
    assert either.get("/data/projects/P2").status_code == 404
    assert either.get("/data/projects/p1").status_code == 404
    assert either.item("/data/projects/P1")["data_fields"]["ID"] == "P1"


def test_the_prearchive_code_is_a_bare_number(either: Visitor) -> None:  # F251
    path = "/data/projects/P1/prearchive_code"
    assert either.get(path).text == "0"
    assert either.put(f"{path}/4").status_code == 403
    either.xnat.grant("tech", "P1", "owner")
    assert (either.put(f"{path}/4").status_code, either.get(path).text) == (200, "4")


def test_subjects_are_listed_with_chosen_columns(archived: Visitor) -> None:  # F252
    archived.put("/data/projects/P1/subjects/S1", {"gender": "female"})
    (row,) = archived.rows("/data/projects/P1/subjects")
    assert set(row) == {"ID", "project", "label", "insert_date", "insert_user", "URI"}
    gender = "xnat:subjectData/demographics[@xsi:type=xnat:demographicData]/gender"
    (row,) = archived.rows("/data/projects/P1/subjects", columns=f"label,{gender},nonsense")
    assert row == {"label": "S1", gender.lower(): "female", "URI": "/data/subjects/XNAT_S00001"}


def test_subjects_are_not_for_outsiders(old: Visitor, new: Visitor) -> None:  # F44, F256
    for visitor, status in ((old, 500), (new, 403)):
        with Visitor(visitor.xnat, "outsider") as outsider:
            assert outsider.get("/data/projects/P1/subjects").status_code == status


def test_the_flat_list_has_a_title_and_its_own_extra_key(archived: Visitor) -> None:  # F257
    answer = archived.get("/data/experiments", format="json")
    assert answer.text.endswith('"totalRecords": "1","title": "Matching experiments"}}')
    assert "xnat:subjectassessordata/id" not in answer.text
    (row,) = archived.rows("/data/experiments", xsiType="xnat:mrSessionData", columns="label,xnat:mrSessionData/UID")
    assert (row["xnat:mrsessiondata/id"], row["xnat:mrsessiondata/uid"]) == ("XNAT_E00001", STUDY)


def test_what_may_be_asked_is_named(either: Visitor) -> None:  # F129
    options = either.ask("OPTIONS", "/data/projects")
    assert (options.status_code, options.headers["Allow"]) == (200, "GET, POST, HEAD, OPTIONS")
    refused = either.get("/data/services/import")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "POST, OPTIONS")


def test_users_and_subjects_of_all_projects_are_listed(archived: Visitor) -> None:  # F246
    assert [row["login"] for row in archived.rows("/data/users")] == ["admin", "guest", "tech", "root", "outsider"]
    assert [row["label"] for row in archived.rows("/data/subjects")] == ["S1"]
    assert archived.get("/data/projects/P1/accessibility").text == "protected"


@pytest.mark.parametrize("path", ["/data/experiments", "/data/archive/experiments"])
def test_experiments_are_found_by_uid_and_label(archived: Visitor, path: str) -> None:  # F254
    columns = {"project": "P1", "xsiType": "xnat:imageSessionData", "columns": "ID,label,subject_label,UID"}
    (row,) = archived.rows(path, **columns, UID=STUDY)
    assert (row["ID"], row["label"], row["subject_label"], row["UID"]) == ("XNAT_E00001", "E1", "S1", STUDY)
    assert archived.rows(path, **columns, UID=OTHER_STUDY) == []
    assert len(archived.rows(path, **columns, label="E*")) == 1
    assert archived.rows(path, project="P1", xsiType="xnat:ctSessionData") == []


def test_the_list_below_a_project_filters_by_nothing_on_1_6(archived: Visitor) -> None:  # F90
    path, wanted = "/data/projects/P1/experiments", {"columns": "ID,UID", "UID": OTHER_STUDY}
    assert len(archived.rows(path, xsiType="xnat:imageSessionData", **wanted)) == archived.is_old


def test_a_row_for_every_resource_tells_all_of_a_session_at_once(archived: Visitor) -> None:  # F91
    scan = "xnat:imageSessionData/scans/scan"
    columns = ",".join(("ID", f"{scan}/ID", f"{scan}/UID", f"{scan}/file/file_count", f"{scan}/file/label"))
    rows = archived.rows("/data/experiments", project="P1", xsiType="xnat:imageSessionData", columns=columns, UID=STUDY)
    key = scan.lower()
    assert [(row[f"{key}/id"], row[f"{key}/file/label"], row[f"{key}/file/file_count"]) for row in rows] == [
        ("1", "DICOM", "2"), ("4", "secondary", "1"),
    ]  # fmt: skip


def test_a_subject_is_found_with_its_fields_by_an_ascii_label_or_its_id(archived: Visitor) -> None:  # F92
    field = "xnat:subjectData/fields/field"
    archived.put("/data/projects/P1/subjects/S1", {f"{field}[name=a]/field": "1", "gender": "male"})
    columns = {"columns": f"ID,label,gender,{field}/name,{field}/field"}
    (row,) = archived.rows("/data/subjects", project="P1", label="S1", **columns)
    assert (row["gender"], row[f"{field}/name".lower()], row[f"{field}/field".lower()]) == ("male", "a", "1")
    assert archived.rows("/data/subjects", project="P1", ID=row["ID"], **columns) == [row]
    assert archived.rows("/data/subjects", project="P2", label="S1", **columns) == []


def test_the_projects_where_one_may_write_are_listed_by_the_right(archived: Visitor) -> None:  # F92
    archived.xnat.add_project("P2")
    wanted = {"permissions": "create", "dataType": "xnat:subjectData"}
    assert [row["id"] for row in archived.rows("/data/projects", **wanted)] == ["P1"]


def test_an_experiment_row_carries_a_key_that_nobody_asked_for(archived: Visitor) -> None:  # F257
    (row,) = archived.rows("/data/projects/P1/experiments")
    assert row["xnat:subjectassessordata/id"] == row["ID"] == "XNAT_E00001"
    (row,) = archived.rows("/data/projects/P1/experiments", columns="ID,label")
    assert {"xsiType", "project", "URI"} < set(row)


def test_scans_have_no_file_counts_but_frames(archived: Visitor) -> None:  # F53
    first, second = archived.rows(f"{E1}/scans")
    assert (first["ID"], first["xsiType"], "file_count" in first) == ("1", "xnat:mrScanData", False)
    assert second["xsiType"] == "xnat:otherDicomScanData"
    (row, _) = archived.rows(f"{E1}/scans", columns="ID,frames,UID")
    assert (row["frames"], row["UID"]) == ("2", f"{STUDY}.1")


def test_counts_stand_in_the_resources_as_text_and_in_the_item_as_numbers(archived: Visitor) -> None:  # F53, F260
    rows = archived.rows(f"{FLAT}/resources", all="true")
    assert [(row["cat_id"], row["label"], row["file_count"]) for row in rows] == [
        ("1", "DICOM", "2"),
        ("4", "secondary", "1"),
    ]
    assert archived.rows(f"{FLAT}/resources") == []
    assert archived.rows(f"{E1}/scans/1/resources")[0]["file_count"] == "2"
    assert child(archived.item(f"{E1}/scans/1"), "file")[0]["file_count"] == 2


def test_files_can_be_listed_and_fetched_everywhere(archived: Visitor) -> None:  # F53
    for path, count in (
        (f"{E1}/scans/1/files", 2),
        (f"{E1}/scans/1/resources/DICOM/files", 2),
        (f"{FLAT}/scans/ALL/files", 3),
    ):
        files = archived.rows(path)
        assert len(files) == count
        fetched = archived.get(files[0]["URI"])
        assert (fetched.headers["Content-Type"], fetched.content) == ("application/octet-stream", dicom(1))
    assert archived.rows(f"{E1}/files") == []


def test_what_is_missing_is_404(archived: Visitor) -> None:  # F265
    assert (
        reason(archived.get("/data/projects/P1/subjects/S1/experiments/NO"))
        == "Unable to find the specified experiment."
    )
    assert reason(archived.get(f"{E1}/scans/99")) == "Unable to find the specified scan."
    assert archived.get("/data/experiments/E1").status_code == 404
    assert archived.get("/data/user").status_code == 404


def test_scans_by_the_short_path_answer_with_the_experiment(archived: Visitor) -> None:  # F52
    node = archived.item("/data/projects/P1/experiments/E1/scans")
    assert node["data_fields"]["ID"] == "XNAT_E00001"


def test_a_thing_is_a_page_unless_json_is_asked_for(archived: Visitor) -> None:  # F123
    assert archived.get(E1).text.startswith("<!DOCTYPE html>")
    assert archived.ask("GET", E1, headers={"Accept": "application/json"}).json()["items"]
    root = archived.get(E1, format="xml")
    assert root.headers["Content-Type"] == "text/xml"
    assert f'UID="{STUDY}"' in root.text


def test_a_table_comes_in_other_forms_too(archived: Visitor) -> None:  # F123
    assert "Result" in archived.get("/data/projects").json()["ResultSet"]
    assert archived.get("/data/projects", format="csv").text.splitlines()[0].startswith("ID,secondary_ID,name")
    assert "<cell>P1</cell>" in archived.get("/data/projects", format="xml").text
    assert archived.get("/data/projects", format="html").text.startswith("<html")


def test_a_flat_put_stores_nothing_on_1_8(new: Visitor) -> None:  # F227
    new.sent(zipped(series_of(1)), dest=place())
    new.archived(place(), subject="S1", session="E1")
    assert new.put(FLAT, {"note": "x"}).text == "XNAT_E00001"
    assert "note" not in new.item(FLAT)["data_fields"]
    assert new.put(E1, {"note": "x"}).text == "XNAT_E00001"
    assert new.item(FLAT)["data_fields"]["note"] == "x"


def test_a_dump_gives_the_asked_fields_of_one_file(archived: Visitor) -> None:  # F24, F211
    for src in ("/archive/projects/P1/subjects/S1/experiments/E1", "/archive/projects/P1/experiments/E1/scans/1"):
        rows = archived.rows(DUMP, src=src, field=["PatientID", "00100010", "PatientAge", "StudyInstanceUID"])
        assert rows == [
            {"tag1": "(0010,0010)", "tag2": "", "vr": "PN", "value": "Canary^Kim", "desc": "Patient's Name"},
            {"tag1": "(0010,0020)", "tag2": "", "vr": "LO", "value": "CAN01", "desc": "Patient ID"},
            {"tag1": "(0020,000D)", "tag2": "", "vr": "UI", "value": STUDY, "desc": "Study Instance UID"},
        ]


@pytest.mark.parametrize("src", ["/data/archive/projects/P1/experiments/E1", "/archive/experiments/XNAT_E00001"])
def test_a_dump_of_a_source_it_does_not_know_is_empty(archived: Visitor, src: str) -> None:  # F24, F211
    assert archived.rows(DUMP, src=src) == []


def test_a_dump_of_a_missing_scan_is_empty_and_of_a_missing_session_an_error(archived: Visitor) -> None:  # F24
    assert archived.rows(DUMP, src="/archive/projects/P1/experiments/E1/scans/99") == []
    assert archived.get(DUMP, src="/archive/projects/P1/experiments/NO").status_code in {400, 404}
    assert archived.get(DUMP, src=place("never")).status_code == 404


def test_a_dump_refuses_what_is_no_tag_or_asked_twice(archived: Visitor) -> None:  # F24, F211
    src = "/archive/projects/P1/experiments/E1"
    answer = archived.get(DUMP, src=src, field="NoSuchKeyword")
    assert (answer.status_code, reason(answer)) == (400, "not a valid DICOM attribute tag: NoSuchKeyword")
    assert archived.get(DUMP, src=src, field=["PatientID", "00100020"]).status_code == 400
    assert reason(archived.get(DUMP)) == "Please set the src parameter"


def test_a_dump_reads_the_prearchive_too_and_escapes_values(either: Visitor) -> None:  # F210, F211
    either.sent(zipped({"a": dicom(StudyDescription="a<b>&c")}), dest=place())
    (row,) = either.rows(DUMP, src=place(), field="StudyDescription")
    assert row["value"] == "a&lt;b&gt;&amp;c"
