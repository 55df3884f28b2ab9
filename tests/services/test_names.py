"""Names in scripts of all the world, from the header of a ZIP to the label of a subject in XNAT."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.others import beside_others, entered_by_others
from tests.services.desk import scan
from tests.station import Station
from xnat_watchd.core.project_rules import ProjectRules
from xnat_watchd.sandbox import Sandbox

NAMES = {
    "Ξανθοπουλίδου^Ερασμία": "Ξανθοπουλίδου_Ερασμία", "שרון^דבורה": "שרון_דבורה", "山田^太郎": "山田_太郎",
    "やまだ^たろう": "やまだ_たろう", "김^희중": "김_희중", "Ярославна^Евдокия": "Ярославна_Евдокия",
}  # fmt: skip


@pytest.mark.parametrize("dialect", ["1.8", "1.6"])
def test_a_name_in_letters_of_another_script_is_the_subjects_label(tmp_path: Path, dialect: str) -> None:
    with beside_others(tmp_path, dialect, ProjectRules) as (xnat, _, station):
        for number, name in enumerate(NAMES, 1):
            station.drop(f"{number}.zip", scan(number, name=name, patient=f"ZQ-{number}"))
        station.run()
        assert station.ledger.views.attention() == []
        assert {one.subject for one in xnat.instances()} == set(NAMES.values())
        sessions = [one["label"] for one in xnat.sessions("P1")]
        assert len(set(sessions)) == len(NAMES)
        assert all(one.isascii() and "__" not in one for one in sessions) == (dialect == "1.6")
        told = [(xnat.subject("P1", label) or {})["demographics"]["gender"] for label in NAMES.values()]
        assert told == ["female"] * len(NAMES)


@pytest.mark.parametrize("dialect", ["1.8", "1.6"])
def test_what_is_known_about_a_person_is_written_whatever_the_letters_of_the_name(tmp_path: Path, dialect: str) -> None:
    """A label beyond ASCII is not found in a path of 1.6; the accession ID is."""
    with beside_others(tmp_path, dialect, ProjectRules) as (xnat, _, station):
        station.drop("1.zip", scan(1, name="山田^太郎", patient="ZQ-1"))
        station.run()
        stored = xnat.subject("P1", "山田_太郎")
        assert stored is not None
        assert (stored["demographics"]["gender"], stored["demographics"]["dob"]) == ("female", "1931-04-17")


def test_session_labels_that_1_6_would_spoil_can_be_read_and_stay_apart(tmp_path: Path) -> None:
    with beside_others(tmp_path, "1.6", ProjectRules) as (xnat, _, station):
        for number, name in enumerate(("Müller^Jörg", "Muller^Jorg"), 1):
            station.drop(f"{number}.zip", scan(number, name=name, patient=f"ZQ-{number}", time="101530"))
        station.run()
        assert station.ledger.views.attention() == []
        labels = sorted(one["label"] for one in xnat.sessions("P1"))
        assert labels[0] == "Muller_Jorg_20240229T101530_MR"
        assert labels[1].startswith("Muller_Jorg_20240229T101530_MR-")
        assert {one.subject for one in xnat.instances()} == {"Müller_Jörg", "Muller_Jorg"}


# -- a subject that a person chose ---------------------------------------------------------------------------------

CHOSEN = "Müller_Jörg"


def relabelled(xnat: Sandbox, label: str, new: str) -> None:
    """Change a subject's label to any letters, as XNAT's own pages can."""
    with xnat._site.lock:
        (one,) = (one for one in xnat._site.store.subjects.values() if one.label == label)
        one.label = new


def without_a_name(station: Station, number: int, patient: str, chosen: str) -> None:
    """Drop a study that no PatientName files, and give its subject as a person does."""
    station.drop(f"{number}.zip", scan(number, name="", patient=patient, time="131415"))
    station.run()
    assert f"{number}.1" in station.ledger.views.held()
    station.ledger.decisions.retry(station.ledger.views.held()[f"{number}.1"], station.time.now(), subject=chosen)
    station.run()


@pytest.mark.parametrize("dialect", ["1.8", "1.6"])
def test_a_chosen_subject_of_any_letters_is_filed_under_where_xnat_has_it(tmp_path: Path, dialect: str) -> None:
    """XNAT 1.6 spoils the letters of a label that it is sent, and takes the accession ID instead."""
    with beside_others(tmp_path, dialect, ProjectRules) as (xnat, _, station):
        entered_by_others(xnat, "J_M")
        relabelled(xnat, "J_M", CHOSEN)
        without_a_name(station, 1, "ZQ-1", CHOSEN)
        assert station.ledger.views.attention() == []
        assert {one.subject for one in xnat.instances()} == {CHOSEN}
        assert [len(xnat.sessions("P1")), len(xnat._site.store.subjects)] == [1, 1]


@pytest.mark.parametrize("dialect", ["1.8", "1.6"])
def test_a_chosen_subject_that_1_6_cannot_be_sent_is_held_with_advice_that_works(tmp_path: Path, dialect: str) -> None:
    with beside_others(tmp_path, dialect, ProjectRules) as (xnat, _, station):
        without_a_name(station, 1, "ZQ-1", CHOSEN)
        if dialect == "1.6":
            (row,) = station.ledger.views.attention()
            assert row["why"] == "this XNAT would spoil the letters of this label for a new subject"
            assert "A to Z, digits, - and _, or the label of a subject that XNAT has" in row["advice"]
            assert not xnat._site.store.subjects
            station.ledger.decisions.retry(
                station.ledger.views.held()["1.1"], station.time.now(), subject="Mueller_Joerg"
            )
            station.run()
        assert station.ledger.views.attention() == []
        assert {one.subject for one in xnat.instances()} == {CHOSEN if dialect == "1.8" else "Mueller_Joerg"}


def test_a_subject_whose_accession_id_is_anothers_label_is_not_mistaken_for_it(tmp_path: Path) -> None:
    with beside_others(tmp_path, "1.6", ProjectRules) as (xnat, _, station):
        entered_by_others(xnat, "J_M")
        relabelled(xnat, "J_M", CHOSEN)
        (accession,) = xnat._site.store.subjects
        entered_by_others(xnat, "OTHER")
        relabelled(xnat, "OTHER", accession)
        without_a_name(station, 1, "ZQ-1", CHOSEN)
        assert [one["why"] for one in station.ledger.views.attention()] == [
            "this XNAT would spoil the letters of this label for a new subject"
        ]


# -- a session whose label 1.6 would spoil ---------------------------------------------------------------------------


def test_nothing_is_added_on_1_6_to_a_session_whose_label_it_would_spoil(tmp_path: Path) -> None:
    """It would make a second session of the study."""
    with beside_others(tmp_path, "1.6", ProjectRules) as (xnat, _, station):
        station.drop("1.zip", scan(1, name="Müller^Jörg", patient="ZQ-1"))
        station.run()
        with xnat._site.lock:
            (one,) = xnat._site.store.experiments.values()
            plain, one.label = one.label, "Müller"
        station.drop("2.zip", scan(1, images=3, name="Müller^Jörg", patient="ZQ-1"))
        station.run()
        (row,) = station.ledger.views.attention()
        assert row["why"] == "XNAT has a session of this study, and would spoil the letters of its label"
        assert len(xnat.sessions("P1")) == 1
        with xnat._site.lock:
            one.label = plain
        station.ledger.decisions.retry(station.ledger.views.held()["2.1"], station.time.now())
        station.run()
        assert station.ledger.views.attention() == []
        assert [len(xnat.instances()), len(xnat.sessions("P1"))] == [3, 1]


def test_more_of_a_study_is_added_on_1_6_under_a_subject_of_any_letters(tmp_path: Path) -> None:
    with beside_others(tmp_path, "1.6", ProjectRules) as (xnat, _, station):
        station.drop("1.zip", scan(1, name="MÜLLER^JÖRG", patient="ZQ-1"))
        station.run()
        relabelled(xnat, "MÜLLER_JÖRG", CHOSEN)
        station.drop("2.zip", scan(1, images=3, name="MÜLLER^JÖRG", patient="ZQ-1"))
        station.run()
        assert station.ledger.views.attention() == []
        assert [len(xnat.instances()), len(xnat.sessions("P1"))] == [3, 1]
        assert {one.subject for one in xnat.instances()} == {CHOSEN}
