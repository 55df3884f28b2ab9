"""Names in scripts of all the world, from the header of a ZIP to the label of a subject in XNAT."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.others import beside_others
from tests.services.desk import scan
from xnat_watchd.core.rules import ProjectRules

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
