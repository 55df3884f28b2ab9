"""The prearchive: who sees which rows, what they show, and what may be done to them (F21 to F26)."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import timedelta, timezone

from tests.sandbox.kit import OTHER_STUDY, STUDY, Clock, Visitor, dicom, place, reason, series_of, zipped

ROWS = "/data/prearchive/projects/P1"
XNAT = "{http://nrg.wustl.edu/xnat}"


def upload(visitor: Visitor, count: int = 2) -> str:
    return "/data" + visitor.sent(zipped(series_of(count)), dest=place(), session="xw_1")


def test_a_missing_session_is_an_empty_table_and_its_scans_are_404(either: Visitor) -> None:  # F22, F176
    assert either.rows(f"/data{place()}") == []
    assert either.get(f"/data{place()}/scans", format="json").status_code == 404


def test_the_session_xml_names_uid_scans_and_series(either: Visitor) -> None:  # F22, F71
    answer = either.get(upload(either))
    assert answer.headers["Content-Type"] == "text/xml"
    root = ET.fromstring(answer.content)  # noqa: S314 - the sandbox's own
    assert (root.tag, root.get("UID"), root.get("label")) == (f"{XNAT}MRSession", STUDY, "xw_1")
    assert [(scan.get("ID"), scan.get("UID")) for scan in root.iter(f"{XNAT}scan")] == [("1", f"{STUDY}.1")]
    assert root.findtext(f"{XNAT}prearchivePath") == "/data/xnat/prearchive/P1/20240131_101112001/xw_1"


def test_the_session_xml_survives_hostile_values(either: Visitor) -> None:
    content = dicom(SeriesDescription='<&"\x01>', PatientID="]]>", PatientName="&lol;")
    row = either.sent(zipped({"a": content}), dest=place())
    ET.fromstring(either.get(f"/data{row}").content)  # noqa: S314 - the sandbox's own


def test_what_was_never_built_has_no_xml_and_no_scans(new: Visitor) -> None:  # F176
    row = new.sent(zipped(series_of(1)), project="P1")
    assert new.get(f"/data{row}").status_code == 404
    assert new.get(f"/data{row}/scans", format="json").status_code == 404
    assert len(new.rows(f"/data{row}")) == 1


def test_scans_have_three_columns_and_single_scans_no_json(either: Visitor) -> None:  # F22
    row = upload(either)
    (scan,) = either.rows(f"{row}/scans", columns="ID,URI")
    assert scan == {"ID": "1", "xsiType": "xnat:mrScanData", "series_description": "series 1"}
    answer = either.get(f"{row}/scans/1", format="json")
    assert (answer.status_code, reason(answer)) == (400, "Requested type application/json is not supported")


def test_resources_give_counts_and_sizes_as_text(either: Visitor) -> None:  # F22
    row = upload(either)
    size = str(sum(one.path.stat().st_size for one in either.xnat.instances()))
    counts = {"label": "DICOM", "file_count": "2", "file_size": size}
    assert either.rows(f"{row}/resources") == [{"category": "scans", "cat_id": "1", **counts}]
    assert either.rows(f"{row}/scans/1/resources") == [counts]


def test_a_listing_shows_protected_projects_to_anyone_on_1_6_and_404_on_1_8(old: Visitor, new: Visitor) -> None:
    for visitor in (old, new):  # F23, F171
        upload(visitor)
    with Visitor(old.xnat, "outsider") as outsider:
        assert [row["subject"] for row in outsider.rows(ROWS)] == ["Canary^Kim"]
        assert outsider.get(f"/data{place()}", format="json").status_code == 403
    with Visitor(new.xnat, "outsider") as outsider:
        assert outsider.get(ROWS, format="json").status_code == 404


def test_an_unknown_project_lists_nothing_on_1_6_and_is_404_on_1_8(old: Visitor, new: Visitor) -> None:  # F21, F171
    assert old.rows("/data/prearchive/projects/NOPE") == []
    assert new.get("/data/prearchive/projects/NOPE", format="json").status_code == 404


def test_a_tag_filters_and_is_for_admins_on_1_8(old: Visitor, new: Visitor) -> None:  # F21, F171
    for visitor in (old, new):
        upload(visitor)
    assert old.rows(ROWS, tag=OTHER_STUDY) == []
    assert len(old.rows(ROWS, tag=STUDY)) == 1
    assert new.get(ROWS, format="json", tag=STUDY).status_code == 404


def test_admins_see_unassigned_rows_in_every_project_on_1_8(new: Visitor) -> None:  # F170
    new.sent(zipped(series_of(1)), project="NOPE")
    assert new.rows(ROWS) == []
    with Visitor(new.xnat, "root") as root:
        assert [row["project"] for row in root.rows(ROWS)] == ["Unassigned"]


def test_a_listing_shows_everybodys_rows(either: Visitor) -> None:  # F173
    either.xnat.grant("outsider", "P1", "member")
    upload(either)
    with Visitor(either.xnat, "outsider") as other:
        other.sent(zipped(series_of(1, study=OTHER_STUDY)), dest=place("xw_2"), session="xw_2")
        for visitor in (either, other):
            assert {row["name"] for row in visitor.rows(ROWS)} == {"xw_1", "xw_2"}


def test_times_are_the_servers_own_and_name_no_zone(either: Visitor, clock: Clock) -> None:  # F172
    clock.moment = clock.moment.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert "20261122_152410" in either.sent(zipped(series_of(1)), dest="/prearchive/projects/P1")
    (shown,) = either.rows(ROWS)
    assert (shown["uploaded"], shown["TIMEZONE"]) == ("2026-11-22 15:24:10.219", "")


def test_deleting_answers_200_whether_or_not_there_was_anything(either: Visitor) -> None:  # F25, F179
    row = upload(either)
    for _ in range(2):
        answer = either.ask("DELETE", row)
        assert (answer.status_code, answer.content) == (200, b"")
    assert either.xnat.instances() == []
    assert either.ask("DELETE", f"/data{place('never')}").status_code == 200


def test_somebody_without_the_right_cannot_delete(either: Visitor) -> None:  # F179
    row = upload(either)
    either.xnat.add_user("col", "secret")
    either.xnat.grant("col", "P1", "collaborator")
    for name in ("outsider", "col"):
        with Visitor(either.xnat, name) as visitor:
            assert visitor.ask("DELETE", row).status_code == 403
    assert len(either.xnat.instances()) == 2


def test_building_again_answers_the_place_without_a_line_end(either: Visitor) -> None:  # F180
    row = upload(either)
    answer = either.ask("POST", row, params={"action": "build"})
    assert (answer.status_code, answer.text) == (200, row)


def test_committing_archives_where_the_policy_says_so_and_answers_301(old: Visitor) -> None:  # F39, F181
    old.xnat.add_project("AUTO", prearchive_code=4)
    old.xnat.grant("tech", "AUTO", "member")
    row = old.sent(zipped(series_of(1)), dest=place(project="AUTO"), session="E1")
    answer = old.ask("POST", f"/data{row}", params={"action": "commit"})
    assert (answer.status_code, answer.text) == (301, "/data/archive/projects/AUTO/subjects/Canary_Kim/experiments/E1")


def test_committing_elsewhere_only_builds(either: Visitor) -> None:  # F181
    row = upload(either)
    assert either.ask("POST", row, params={"action": "commit"}).status_code == 200
    assert either.rows(ROWS)[0]["status"] == "READY"


def test_moving_carries_row_and_files_to_another_project(either: Visitor) -> None:  # F182
    row = upload(either)
    either.xnat.add_project("P2")
    move = {"action": "move", "newProject": "P2"}
    assert either.ask("POST", row, params=move).status_code == 403
    either.xnat.grant("tech", "P2", "owner")
    answer = either.ask("POST", row, params=move)
    assert (answer.status_code, answer.text) == (301, f"/data{place(project='P2')}")
    assert {one.project for one in either.xnat.instances()} == {"P2"}
    assert either.rows(f"/data{place(project='P2')}/resources")[0]["file_count"] == "2"


def test_other_actions_are_400_and_missing_rows_their_own_status(either: Visitor) -> None:  # F180
    row = upload(either)
    answer = either.ask("POST", row, params={"action": "nonsense"})
    assert (answer.status_code, reason(answer)) == (400, "unsupported action on prearchive session: nonsense")
    missing = f"/data{place('never')}"
    found = {
        one: either.ask("POST", missing, params={"action": one}).status_code for one in ("build", "commit", "move")
    }
    assert found == {"build": 500, "commit": 404, "move": 404}


def test_the_batch_services_answer_a_table_of_queued_rows(either: Visitor) -> None:  # F25, F183
    row = upload(either)
    for verb, status in (("rebuild", "QUEUED_BUILDING"), ("delete", "QUEUED_DELETING")):
        answer = either.ask("POST", f"/data/services/prearchive/{verb}", params={"src": row})
        assert answer.headers["Content-Type"] == "text/xml"
        assert f"<cell>{status}</cell>" in answer.text
    assert either.xnat.instances() == []
    again = either.ask("POST", "/data/services/prearchive/delete", params={"src": row})
    assert again.status_code == 500
