"""The demographics of subjects that XNAT has already: what is filled, kept, and not agreed upon."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.dicom import instance
from tests.others import archived_by_others, beside_others, entered_by_others
from tests.station import Station, zipped
from xnat_watchd.adapters.xnat.gateway import XnatGateway
from xnat_watchd.core.project_rules import DemographicRules, ProjectRules
from xnat_watchd.core.states import Progress
from xnat_watchd.operator.demographics import SubjectLine, plan
from xnat_watchd.sandbox import Sandbox

ALL = ("age", "dob", "gender", "subject_age", "subject_dob", "subject_gender")


def scan(study: int = 1, **about: str) -> bytes:
    return zipped([("1.dcm", instance(study, 1, 1, **about))])


@dataclass
class Stand:
    """One XNAT, and one workstation that asks about its subjects."""

    xnat: Sandbox
    gateway: XnatGateway
    station: Station
    rules: ProjectRules = field(default_factory=ProjectRules)

    def plan(self, *labels: str) -> list[SubjectLine]:
        return plan("P1", labels, self.gateway, self.rules.demographics)

    def carry(self, *labels: str) -> None:
        for line in self.plan(*labels):
            assert line.existing is not None
            self.station.ledger.existing_sessions.admit(line.existing, self.station.time.now())
        self.station.work()

    def about(self, subject: str) -> dict[str, object]:
        found = self.xnat.subject("P1", subject) or {}
        return {**found["demographics"], **found["fields"]}


@pytest.fixture(params=["1.8", "1.6"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def stand(tmp_path: Path, dialect: str) -> Iterator[Stand]:
    with beside_others(tmp_path, dialect, lambda: one.rules) as (xnat, gateway, station):
        one = Stand(xnat, gateway, station)
        yield one


def test_what_is_empty_is_filled(stand: Stand) -> None:
    archived_by_others(stand.xnat, "A", scan(), "S1", "E1")
    (line,) = stand.plan("S1")
    assert (line.fills, line.keeps, line.has, line.disagrees, line.why) == (ALL, (), (), (), "")
    assert stand.about("S1") == {}
    stand.carry("S1")
    assert stand.about("S1")["dob"] == "1931-04-17"
    assert stand.about("S1")["subject_age"] == "92"
    assert stand.station.standings() == [("1.1", "complete", "done")]
    assert stand.plan("S1")[0].has == ALL


def test_what_somebody_entered_is_kept_and_said(stand: Stand) -> None:
    archived_by_others(stand.xnat, "A", scan(), "S1", "E1")
    entered_by_others(stand.xnat, "S1", gender="male", dob="1931-04-17")
    (line,) = stand.plan("S1")
    assert (line.keeps, line.has) == (("gender",), ("dob",))
    stand.carry("S1")
    assert stand.about("S1")["gender"] == "male"


def test_it_is_replaced_where_the_settings_say_so(stand: Stand) -> None:
    stand.rules = ProjectRules(demographics=DemographicRules(overwrite=True))
    archived_by_others(stand.xnat, "A", scan(), "S1", "E1")
    entered_by_others(stand.xnat, "S1", gender="male")
    assert stand.plan("S1")[0].replaces == ("gender",)
    stand.carry("S1")
    assert stand.about("S1")["gender"] == "female"


@pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")  # by pydicom, of what we write here
def test_a_value_that_is_none_stops_nothing(stand: Stand) -> None:
    archived_by_others(stand.xnat, "A", scan(1, age="45", birth="somewhen"), "S1", "E1")
    archived_by_others(stand.xnat, "B", scan(2), "S2", "E2")
    odd, sound = stand.plan("S1", "S2")
    assert odd.fills == ("gender", "subject_gender")
    assert sound.fills == ("age", "dob", "gender", "subject_age", "subject_dob", "subject_gender")


def test_sessions_that_do_not_agree_about_a_person_settle_nothing(stand: Stand) -> None:
    archived_by_others(stand.xnat, "A", scan(1), "S1", "E1")
    archived_by_others(stand.xnat, "B", scan(2, birth="19320417"), "S1", "E2")
    (line,) = stand.plan("S1")
    assert line.disagrees == ("birth date",)
    assert line.fills == ("age", "gender", "subject_age", "subject_gender")


def test_the_age_is_that_of_the_first_visit(stand: Stand) -> None:
    archived_by_others(stand.xnat, "B", scan(2, date="20260301", age="094Y"), "S1", "E2")
    archived_by_others(stand.xnat, "A", scan(1, date="20240229", age="092Y"), "S1", "E1")
    stand.carry("S1")
    assert str(stand.about("S1")["age"]) == "92"


def test_a_subject_that_is_not_there_does_not_stop_the_others(stand: Stand) -> None:
    archived_by_others(stand.xnat, "A", scan(), "S1", "E1")
    entered_by_others(stand.xnat, "EMPTY", gender="male")
    missing, empty, sound = stand.plan("NOBODY", "EMPTY", "S1")
    assert missing.why == "XNAT has no such subject in the project"
    assert empty.why == "it has no imaging session of this project"
    assert sound.existing is not None


def test_asking_for_it_goes_to_the_end_whatever_is_set(stand: Stand) -> None:
    stand.rules = ProjectRules(until=Progress.UPLOADED)
    archived_by_others(stand.xnat, "A", scan(), "S1", "E1")
    stand.carry("S1")
    assert stand.station.standings() == [("1.1", "complete", "done")]


def test_a_subject_is_asked_for_once_however_often_it_is_named(stand: Stand) -> None:
    archived_by_others(stand.xnat, "A", scan(), "S1", "E1")
    assert len(stand.plan("S1", "S1")) == 1


def test_an_age_that_the_images_do_not_say_is_not_guessed(stand: Stand) -> None:
    archived_by_others(stand.xnat, "A", scan(age=""), "S1", "E1")
    assert "age" not in stand.plan("S1")[0].fills


def test_a_header_is_asked_for_by_its_fields_once_for_each_session(stand: Stand) -> None:
    archived_by_others(stand.xnat, "A", scan(1), "S1", "E1")
    archived_by_others(stand.xnat, "B", scan(2), "S1", "E2")
    asked = len(stand.xnat.requests)
    stand.plan("S1")
    dumps = [query for _, path, query, _ in stand.xnat.requests[asked:] if path.endswith("dicomdump")]
    assert len(dumps) == 2
    assert all("field" in str(query) for query in dumps)
