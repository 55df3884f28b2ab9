"""What another client of the same account does to an import, and one series under several numbers."""

from __future__ import annotations

import pytest

from tests.sandbox.kit import OTHER_STUDY, STUDY, Visitor, dicom, place, series_of, zipped

IMPORT = "/data/services/import"
ROWS = "/data/prearchive/projects/P1"
OURS, THEIRS = zipped(series_of(2)), zipped(series_of(2, study=OTHER_STUDY))


def studies(visitor: Visitor) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for one in visitor.xnat.instances():
        found.setdefault((one.project, one.session), set()).add(one.study_uid)
    return found


def test_anothers_files_may_lie_in_our_place_in_the_stead_of_ours(either: Visitor) -> None:  # F96
    either.xnat.faults.on("POST", IMPORT).collide(THEIRS)
    assert either.sent(OURS, dest=place(), session="xw_1") == place()
    assert studies(either) == {("P1", "xw_1"): {OTHER_STUDY}}
    assert either.rows(ROWS)[0]["tag"] == OTHER_STUDY


def test_two_imports_into_two_projects_may_exchange_their_files(either: Visitor) -> None:  # F96
    either.xnat.add_project("P2")
    either.xnat.grant("tech", "P2", "member")
    either.xnat.faults.on("POST", IMPORT).collide(THEIRS, "swap", place("other", project="P2"))
    assert either.sent(OURS, dest=place(), session="xw_1") == place()
    assert studies(either) == {("P1", "xw_1"): {OTHER_STUDY}, ("P2", "other"): {STUDY}}


@pytest.mark.parametrize("how", [("mix", ""), ("swap", ""), ("replace", "/prearchive/projects/P2/x/y")])
def test_what_is_no_way_to_collide_cannot_be_planned(either: Visitor, how: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="no way to collide"):
        either.xnat.faults.on("POST", IMPORT).collide(THEIRS, *how)
    either.xnat.faults.clear()


def test_a_series_under_three_numbers_is_three_scans_that_each_count_all_its_files(old: Visitor) -> None:
    """As it was seen on 1.6.4, in the prearchive and in the archive (F81)."""
    members = {f"{n}.dcm": dicom(n, SeriesNumber=n) for n in (1, 2, 3)}
    old.sent(zipped(members), dest=place(), session="xw_1")
    counts = {one["cat_id"]: one["file_count"] for one in old.rows(f"/data{place()}/resources")}
    assert counts == {"1": "3", "2": "3", "3": "3"}
    listed = old.rows(f"/data{place()}/scans/2/resources/DICOM/files")
    assert {one["Name"] for one in listed} == set(members)
    old.archived(place(), subject="S1", session="E1")
    (session,) = old.rows("/data/projects/P1/experiments")
    counts = {
        one["cat_id"]: one["file_count"] for one in old.rows(f"/data/experiments/{session['ID']}/scans/ALL/resources")
    }
    assert counts == {"1": "3", "2": "3", "3": "3"}
    for number in ("1", "2", "3"):
        listed = old.rows(f"/data/experiments/{session['ID']}/scans/{number}/files")
        assert {one["Name"] for one in listed} == set(members)
        assert all(old.get(one["URI"]).ok for one in listed)
    assert len(old.xnat.instances()) == 3


def test_a_newer_server_keeps_such_a_series_as_one_scan(new: Visitor) -> None:
    new.sent(zipped({f"{n}.dcm": dicom(n, SeriesNumber=n) for n in (1, 2, 3)}), dest=place(), session="xw_1")
    assert [one["file_count"] for one in new.rows(f"/data{place()}/resources")] == ["3"]
