"""Demographics of a study that somebody has touched in XNAT after it was archived."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.dicom import instance
from tests.others import beside_others
from tests.sandbox.kit import Visitor
from tests.station import Station, zipped
from xnat_watchd.core.project_rules import ProjectRules
from xnat_watchd.sandbox import Sandbox
from xnat_watchd.studies.steps.recent import STAYS_TRUE

LABEL = "Quokka_Zenobia_20240229T101530_MR"
Archived = tuple[Sandbox, Visitor, Station]


@pytest.fixture(params=["1.8", "1.6"])
def archived(request: pytest.FixtureRequest, quick_path: Path) -> Iterator[Archived]:
    """Yield a study that is archived and whose demographics are not yet written."""
    with beside_others(quick_path, request.param, ProjectRules) as (xnat, _, station), Visitor(xnat) as other:
        station.drop("scan.zip", zipped([("1.dcm", instance())]))
        station.start()
        station.take_in()
        assert [station.pipeline.step(), station.pipeline.step()] == [True, True]
        assert station.standings() == [("1.1", "archived", "ready")]
        yield xnat, other, station


@pytest.mark.parametrize("seconds", [STAYS_TRUE, STAYS_TRUE + 1])
def test_a_header_is_asked_for_without_looking_at_the_session_again(archived: Archived, seconds: float) -> None:
    xnat, _, station = archived
    station.time.pass_(seconds=seconds)
    before = len(xnat.requests)
    station.work()
    asked = [path for _, path, *_ in xnat.requests[before:]]
    assert station.standings() == [("1.1", "complete", "done")]
    assert sum("dicomdump" in path for path in asked) == 1
    assert not any(LABEL in query for _, _, query, _ in xnat.requests[before:])
    assert not any("/experiments/" in path for path in asked)
    told_lately = seconds <= STAYS_TRUE
    assert sum("/subjects" in path for path in asked) == (2 if told_lately else 3)  # perhaps read; written, read back


def test_a_value_that_somebody_has_typed_meanwhile_stays(archived: Archived) -> None:
    _, other, station = archived
    assert other.put("/data/projects/P1/subjects/Quokka_Zenobia", {"gender": "male"}).status_code == 200
    station.time.pass_(seconds=STAYS_TRUE + 1)
    station.work()
    assert (other.xnat.subject("P1", "Quokka_Zenobia") or {})["demographics"]["gender"] == "male"


def test_a_subject_that_is_renamed_just_before_the_writing_gets_the_values_and_no_other_does(
    archived: Archived,
) -> None:
    """Its label may be somebody else's by then, or nobody's, and a PUT by a label that is nobody's makes a subject."""
    xnat, other, station = archived

    def renamed() -> None:
        with xnat._site.lock:
            (one,) = xnat._site.store.subjects.values()
            one.label = "RENAMED"
        assert other.put("/data/projects/P1/subjects/Quokka_Zenobia").ok

    xnat.faults.on("GET", "/data/services/dicomdump").meanwhile(renamed)
    station.work()
    assert station.standings() == [("1.1", "complete", "done")]
    assert (xnat.subject("P1", "RENAMED") or {})["demographics"]["gender"] == "female"
    assert not (xnat.subject("P1", "Quokka_Zenobia") or {})["demographics"].get("gender")


def test_who_takes_the_accession_id_for_his_label_just_before_the_writing_gets_no_values(archived: Archived) -> None:
    """A PUT looks for a label first, and nothing that was asked before it can tell what it finds (F218, F221)."""
    xnat, other, station = archived
    (ours,) = xnat._site.store.subjects.values()

    def labelled() -> None:
        assert other.put("/data/projects/P1/subjects/ANOTHER").ok
        with xnat._site.lock:
            next(one for one in xnat._site.store.subjects.values() if one.label == "ANOTHER").label = ours.id

    xnat.faults.on("GET", "/data/services/dicomdump").meanwhile(labelled)
    station.work()
    assert station.standings() == [("1.1", "archived", "held")]
    assert station.why("1.1") == "another subject has the accession ID of this one as its label"
    assert [one.demographics for one in xnat._site.store.subjects.values()] == [{}, {}]


def test_a_subject_that_is_removed_just_before_the_writing_is_told(archived: Archived) -> None:
    """A PUT makes a subject that is missing (F215)."""
    xnat, _, station = archived

    def removed() -> None:
        with xnat._site.lock:
            xnat._site.store.subjects.clear()

    xnat.faults.on("GET", "/data/services/dicomdump").meanwhile(removed)
    station.work()
    assert station.standings() == [("1.1", "archived", "held")]
    assert station.why("1.1") == "the subject was gone from XNAT, which made an empty one for its values"


def test_a_subject_that_is_moved_just_before_the_writing_is_not_made_a_second_time(archived: Archived) -> None:
    xnat, _, station = archived
    xnat.add_project("P2")

    def moved() -> None:
        with xnat._site.lock:
            (one,) = xnat._site.store.subjects.values()
            one.project = "P2"

    xnat.faults.on("GET", "/data/services/dicomdump").meanwhile(moved)
    station.work()
    assert station.standings() == [("1.1", "archived", "held")]
    assert [one.demographics for one in xnat._site.store.subjects.values()] == [{}]


def test_a_session_that_was_renamed_meanwhile_is_asked_by_its_id(archived: Archived) -> None:  # F288
    xnat, _, station = archived
    before = len(xnat.requests)
    with xnat._site.lock:
        (one,) = xnat._site.store.experiments.values()
        one.label = "RENAMED"
    station.work()
    assert sum("dicomdump" in path for _, path, *_ in xnat.requests[before:]) == 1
    assert station.standings() == [("1.1", "complete", "done")]
    assert (xnat.subject("P1", "Quokka_Zenobia") or {})["demographics"]["gender"] == "female"
    assert "ZIP" not in note(station)


def test_a_session_that_was_moved_meanwhile_is_asked_in_the_project_where_it_is(archived: Archived) -> None:
    xnat, _, station = archived
    xnat.add_project("P2")
    xnat.grant("tech", "P2", "member")
    with xnat._site.lock:
        (one,) = xnat._site.store.experiments.values()
        one.project = "P2"
    station.work()
    assert station.standings() == [("1.1", "complete", "done")]
    assert (xnat.subject("P1", "Quokka_Zenobia") or {})["demographics"]["gender"] == "female"
    assert "ZIP" not in note(station)


def test_a_session_that_was_removed_meanwhile_is_held_with_whom_to_ask(archived: Archived) -> None:
    xnat, other, station = archived
    xnat.grant("tech", "P1", "owner")
    assert other.ask("DELETE", f"/data/projects/P1/subjects/Quokka_Zenobia/experiments/{LABEL}").ok
    station.work()
    (row,) = station.ledger.views.attention()
    assert (row["why"], row["advice"]) == ("the archived session is gone from XNAT", "Ask who removed it in XNAT.")


def test_a_subject_that_was_renamed_meanwhile_is_found_by_its_id(archived: Archived) -> None:
    xnat, other, station = archived
    assert other.put("/data/projects/P1/subjects/Quokka_Zenobia", {"label": "RENAMED"}).ok
    station.work()
    assert station.standings() == [("1.1", "complete", "done")]
    assert (xnat.subject("P1", "RENAMED") or {})["demographics"]["gender"] == "female"


# -- images of which XNAT shows no header ------------------------------------------------------------------

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def lone_nm() -> bytes:
    """Return a study that XNAT files only as `xnat:scScanData` in the resource `secondary`."""
    return zipped([("1.dcm", instance(modality="NM", sop_class=SECONDARY_CAPTURE))])


def note(station: Station) -> str:
    told = station.ledger.views.delivery(1) or {}
    return " ".join(str(event["detail"]) for event in told["events"])


def test_a_study_without_a_header_takes_its_values_from_the_zip_at_once(quick_path: Path) -> None:
    """The dump of such a session and of its scan is 200 and empty for ever (seen on 1.6.4)."""
    with beside_others(quick_path, "1.6", ProjectRules) as (xnat, _, station):
        station.drop("scan.zip", lone_nm())
        station.run()
        assert station.standings() == [("1.1", "complete", "done")]
        assert (xnat.subject("P1", "Quokka_Zenobia") or {})["demographics"]["dob"] == "1931-04-17"
        asked = [query for _, path, query, _ in xnat.requests if "dicomdump" in path]
        assert [("scans" in query) for query in asked] == [False, True]


def test_its_scans_are_asked_before_the_zip_is_believed(quick_path: Path) -> None:
    with beside_others(quick_path, "1.8", ProjectRules) as (xnat, _, station):
        xnat.faults.on("GET", "/data/services/dicomdump").say('{"ResultSet":{"Result":[]}}')
        station.drop("scan.zip", zipped([("1.dcm", instance())]))
        station.run()
        assert station.standings() == [("1.1", "complete", "done")]
        assert "ZIP" not in note(station)
        assert (xnat.subject("P1", "Quokka_Zenobia") or {})["demographics"]["gender"] == "female"


def test_a_site_that_took_the_name_out_gets_no_birth_date_from_the_zip(quick_path: Path) -> None:
    with beside_others(quick_path, "1.6", ProjectRules) as (xnat, _, station):
        station.drop("scan.zip", lone_nm())
        station.start()
        station.take_in()
        assert [station.pipeline.step(), station.pipeline.step()] == [True, True]
        with xnat._site.lock:
            (one,) = xnat._site.store.experiments.values()
            one.session.header = replace(one.session.header, patient_name="ANON", patient_id="ANON")
        station.work()
        assert station.standings() == [("1.1", "complete", "done")]
        assert (xnat.subject("P1", "Quokka_Zenobia") or {})["demographics"] == {}
        assert "no header" in note(station)
