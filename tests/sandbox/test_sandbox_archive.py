"""Archiving: labels, subjects, conflicts, merging, and what the answers say (F27 to F38, F70 to F75)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.sandbox.kit import CT, OTHER_STUDY, STUDY, Clock, Visitor, dicom, place, reason, series_of, zipped
from xnat_watchd.sandbox import Options, Sandbox

ROWS = "/data/prearchive/projects/P1"
E1 = "/data/projects/P1/subjects/S1/experiments/E1"
EXISTS = "Session already exists, retry with overwrite enabled"
MATCHING = "Session already exists with matching files."
OTHER_UID = "Invalid modification of session UID via archive process."


def uploaded(visitor: Visitor, members: dict[str, bytes] | None = None, folder: str = "xw_1") -> str:
    return visitor.sent(zipped(members or series_of(2)), dest=place(folder), session=folder)


def archived(visitor: Visitor, members: dict[str, bytes] | None = None) -> str:
    return visitor.archived(uploaded(visitor, members), subject="S1", session="E1", triggerPipelines="false")


def status_of(visitor: Visitor) -> str:
    return visitor.rows(ROWS)[0]["status"]


def scans_of(visitor: Visitor) -> dict[str, int]:
    (session,) = visitor.xnat.sessions("P1")
    return {name: sum(scan["files"].values()) for name, scan in session["scans"].items()}


def test_a_row_becomes_a_session_and_disappears(either: Visitor) -> None:  # F27, F192
    row = uploaded(either)
    answer = either.archive(row, subject="S1", session="E1")
    assert answer.content == b"/data/archive/projects/P1/subjects/S1/experiments/E1\r\n"
    assert answer.headers["Content-Type"].startswith("text/uri-list")
    assert either.rows(ROWS) == []
    assert {one.where for one in either.xnat.instances()} == {"archive"}


def test_the_session_remembers_the_place_it_came_from(either: Visitor) -> None:  # F71, F203
    fields = either.item(archived(either))["data_fields"]
    assert fields["prearchivePath"] == "/data/xnat/prearchive/P1/20240131_101112001/xw_1"
    assert (fields["UID"], fields["label"], fields["project"]) == (STUDY, "E1", "P1")
    assert (fields["date"], fields["time"], fields["modality"]) == ("2024-01-31", "10:11:12", "MR")


def test_the_same_src_again_is_404(either: Visitor) -> None:  # F28, F197
    archived(either)
    answer = either.archive(place(), subject="S1", session="E1")
    assert (answer.status_code, reason(answer)) == (404, f"{place()} not found.")


@pytest.mark.parametrize(
    ("src", "status"), [("/foo/bar", 400), ("/archive/projects/P1/subjects/S1/experiments/E1", 400)]
)
def test_a_malformed_src_is_refused(either: Visitor, src: str, status: int) -> None:  # F28, F197
    assert either.archive(src).status_code == status


def test_no_src_is_500_on_1_6_and_404_on_1_8(old: Visitor, new: Visitor) -> None:  # F28, F197
    for visitor, status in ((old, 500), (new, 404)):
        assert visitor.ask("POST", "/data/services/archive", params={"subject": "S1"}).status_code == status


def test_somebody_without_the_right_is_refused_with_the_src_as_reason(either: Visitor) -> None:  # F28
    row = uploaded(either)
    with Visitor(either.xnat, "outsider") as outsider:
        answer = outsider.archive(row)
    assert (answer.status_code, reason(answer)) == (403, row)


def test_without_labels_the_rows_own_are_cleaned(old: Visitor) -> None:  # F27, F70
    old.sent(zipped({"a": dicom(PatientID="99 0.0", PatientName="Test^Regression@x")}), dest=place())
    assert old.archived(place()).endswith("/subjects/Test_Regression_x/experiments/99_0_0")


def test_letters_of_every_script_stay_in_a_subject_label(old: Visitor) -> None:  # F70, F74
    name = "שרון^דבורה"
    row = uploaded(old, {"a": dicom(SpecificCharacterSet="ISO_IR 192", PatientName=name)})
    assert old.archived(row, session="E1") == "/data/archive/projects/P1/subjects/????_?????/experiments/E1"
    (subject,) = old.rows("/data/projects/P1/subjects")
    assert subject["label"] == "שרון_דבורה"


def test_labels_in_the_request_are_escaped_before_they_are_cleaned(old: Visitor, new: Visitor) -> None:  # F37, F122
    for visitor, session in ((old, "E_9__amp___233_"), (new, "E_9__amp_?")):
        uri = visitor.archived(uploaded(visitor), subject="S 9/x", session="E 9 &é")
        assert uri.endswith(f"/subjects/S_9_x/experiments/{session}".replace("?", "é"))


def test_no_subject_at_all_is_400_on_1_6(old: Visitor) -> None:  # F75
    row = uploaded(old, {"a": dicom(PatientName="")})
    assert old.archive(row, session="E1").status_code == 400


def test_a_subject_may_be_given_by_its_id(either: Visitor) -> None:  # F27
    created = either.put("/data/projects/P1/subjects/S5").text
    assert "/subjects/S5/" in either.archived(uploaded(either), subject=created, session="E1")


def test_the_case_of_a_subject_matters_on_1_6_only(old: Visitor, new: Visitor) -> None:  # F199
    for visitor, count in ((old, 2), (new, 1)):
        visitor.put("/data/projects/P1/subjects/subj")
        visitor.archived(uploaded(visitor), subject="SUBJ", session="E1")
        assert len(visitor.rows("/data/projects/P1/subjects")) == count


def test_the_same_label_again_is_409_on_1_6_and_the_row_a_conflict(old: Visitor) -> None:  # F30, F33
    archived(old)
    row = uploaded(old)
    for overwrite, words in (("none", EXISTS), ("append", MATCHING)):
        answer = old.archive(row, subject="S1", session="E1", overwrite=overwrite)
        assert (answer.status_code, reason(answer), status_of(old)) == (409, words, "CONFLICT")
    old.archived(row, subject="S1", session="E1", overwrite="append", overwrite_files="true")
    assert scans_of(old) == {"1": 2}


def test_a_conflict_is_500_on_1_8_and_only_the_row_tells(new: Visitor) -> None:  # F193
    archived(new)
    answer = new.archive(uploaded(new), subject="S1", session="E1")
    assert answer.status_code == 500
    assert reason(answer) == f"FAILED: Unable to archive xw_1: Operation Failed: {MATCHING}"
    assert status_of(new) == "CONFLICT"
    assert MATCHING in new.get(f"/data{place()}/logs/last").text


def test_1_8_merges_new_series_without_being_told_to(old: Visitor, new: Visitor) -> None:  # F72, F196
    for visitor in (old, new):
        archived(visitor)
    row = uploaded(old, series_of(3, series=2))
    assert old.archive(row, subject="S1", session="E1").status_code == 409
    old.archived(row, subject="S1", session="E1", overwrite="append")
    new.archived(uploaded(new, series_of(3, series=2)), subject="S1", session="E1")
    assert scans_of(old) == scans_of(new) == {"1": 2, "2": 3}


def test_one_more_instance_of_a_series_raises_its_count(old: Visitor) -> None:  # F72
    archived(old)
    row = uploaded(old, {"s1_3.dcm": dicom(3)})
    old.archived(row, subject="S1", session="E1", overwrite="append")
    assert scans_of(old) == {"1": 3}


def test_files_match_by_name_not_by_instance(old: Visitor) -> None:  # F73
    archived(old)
    answer = old.archive(uploaded(old, {"s1_1.dcm": dicom(7)}), subject="S1", session="E1", overwrite="append")
    assert (answer.status_code, reason(answer)) == (409, MATCHING)
    old.archived(uploaded(old, {"other.dcm": dicom(7)}, "xw_2"), subject="S1", session="E1", overwrite="append")


def test_append_overrides_everything_on_1_8(new: Visitor) -> None:  # F196
    archived(new)
    other = uploaded(new, series_of(1, study=OTHER_STUDY))
    assert OTHER_UID in reason(new.archive(other, subject="S1", session="E1"))
    new.archived(other, subject="S1", session="E1", overwrite="append")
    assert scans_of(new) == {"1": 2, "1-MR1": 1}


def test_delete_mixes_two_studies_on_1_6_and_deletes_nothing(old: Visitor) -> None:  # F30, F31
    archived(old)
    row = uploaded(old, series_of(1, study=OTHER_STUDY))
    append = old.archive(row, subject="S1", session="E1", overwrite="append")
    assert (append.status_code, reason(append)) == (409, OTHER_UID)
    old.archived(row, subject="S1", session="E1", overwrite="delete")
    assert scans_of(old) == {"1": 2, "1-MR1": 1}
    assert old.item(E1)["data_fields"]["UID"] == OTHER_STUDY


def test_a_label_of_another_subject_is_a_conflict_and_the_new_subject_stays(old: Visitor) -> None:  # F32
    archived(old)
    row = uploaded(old)
    for overwrite in ("append", "delete"):
        answer = old.archive(row, subject="S2", session="E1", overwrite=overwrite)
        assert answer.status_code == 409
        assert reason(answer).endswith("E1 Already Exists for another Subject")
    assert [one["label"] for one in old.rows("/data/projects/P1/subjects")] == ["S1", "S2"]


def test_another_modality_is_a_conflict_whatever_overwrite_says(either: Visitor) -> None:  # F32, F198
    archived(either)
    row = uploaded(either, series_of(1, kind=CT, study=OTHER_STUDY))
    for overwrite in ("append", "delete"):
        answer = either.archive(row, subject="S1", session="E1", overwrite=overwrite)
        assert "Invalid modification of session modality" in reason(answer)


def test_the_same_study_under_another_label_is_a_second_session(either: Visitor) -> None:  # F36
    archived(either)
    either.archived(uploaded(either), subject="S1", session="E2")
    assert [one["uid"] for one in either.xnat.sessions("P1")] == [STUDY, STUDY]


def test_what_is_still_receiving_gets_stuck_on_1_6_until_it_is_built(old: Visitor) -> None:  # F33
    row = old.sent(zipped(series_of(1)), handler="DICOM-zip", PROJECT_ID="P1")
    answer = old.archive(row, subject="S1", session="E1")
    assert answer.status_code == 500
    assert reason(answer).startswith("java.io.FileNotFoundException")
    assert status_of(old) == "ARCHIVING"
    old.ask("POST", f"/data{row}", params={"action": "build"})
    assert old.archive(row, subject="S1", session="E1").status_code == 200


def test_from_unassigned_nothing_is_archived(old: Visitor) -> None:  # F34
    row = old.sent(zipped(series_of(1)), dest="/prearchive")
    with Visitor(old.xnat, "root") as root:
        answer = root.archive(row, subject="S1", session="E1")
        assert (answer.status_code, root.rows(f"/data{row}")[0]["status"]) == (500, "ERROR")
    assert reason(answer) == "Description of the status must not contain CR and LF characters."


def test_the_project_parameter_moves_the_session_but_not_its_subject_nor_the_answer(either: Visitor) -> None:
    """The answer alone tells another story (F35, F190)."""
    either.xnat.add_project("P2")
    src = uploaded(either)
    assert either.archive(src, project="NOPE", subject="S0").status_code == 500
    assert either.archive(src, project="P2", session="E1").status_code == (403 if either.is_old else 500)
    either.xnat.grant("tech", "P2", "member")
    answer = either.archived(src, project="P2", subject="S1", session="E1")
    assert answer == "/data/archive/projects/P1/subjects/S1/experiments/E1"
    assert (either.xnat.sessions("P1"), [one["label"] for one in either.xnat.sessions("P2")]) == ([], ["E1"])
    assert either.xnat.subject("P2", "S1") is None


def test_several_sources_answer_a_table_at_once(either: Visitor) -> None:  # F28, F195
    uploaded(either, folder="a")
    uploaded(either, series_of(1, study=OTHER_STUDY), "b")
    answer = either.ask("POST", "/data/services/archive", params={"src": [place("a"), place("b")]})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/xml")
    assert len(either.xnat.sessions("P1")) == 2


def test_validating_lists_conflicts_without_archiving(either: Visitor) -> None:  # F202
    archived(either)
    params = {"src": uploaded(either, series_of(1, study=OTHER_STUDY)), "subject": "S1", "session": "E1"}
    answer = either.ask("POST", "/data/services/validate-archive", params=params)
    assert f"<cell>{OTHER_UID}</cell>" in answer.text
    assert status_of(either) == "READY"


@pytest.fixture
def busy(tmp_path: Path, clock: Clock) -> Iterator[Visitor]:
    """Yield an XNAT 1.6 whose pipelines never end."""
    options = Options(pipelines_take=timedelta(days=1))
    xnat = Sandbox(tmp_path, "1.6", users={"tech": "secret"}, projects=["P1"], clock=clock, options=options)
    with xnat, Visitor(xnat) as visitor:
        yield visitor


def test_an_open_workflow_blocks_all_but_delete(busy: Visitor) -> None:  # F29
    busy.archived(uploaded(busy), subject="S1", session="E1")
    row = uploaded(busy, series_of(1, series=2))
    for overwrite in ("none", "append"):
        answer = busy.archive(row, subject="S1", session="E1", overwrite=overwrite)
        assert (answer.status_code, "AutoRun" in reason(answer)) == (409, True)
    busy.archived(row, subject="S1", session="E1", overwrite="delete")


def test_without_pipelines_no_workflow_is_left_open(busy: Visitor) -> None:  # F29
    archived(busy)
    busy.archived(uploaded(busy, series_of(1, series=2)), subject="S1", session="E1", overwrite="append")
