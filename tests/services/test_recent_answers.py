"""What XNAT said a moment ago is not asked again, and what has become untrue meanwhile is found out all the same."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from tests.dicom import instance
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.others import archived_by_others, beside_others, entered_by_others
from tests.station import Station, Time, zipped
from xnat_watchd.core.delivery import Place, PrearchiveRow, Subject
from xnat_watchd.core.project_rules import ProjectRules
from xnat_watchd.sandbox import Options
from xnat_watchd.studies.steps.recent import ROW_STAYS_TRUE, STAYS_TRUE, RecentAnswers

PLACE, ANOTHER = (Place("P1", "20240229_101112130", f"watchd-1-1-{one}") for one in "xy")
ROW = PrearchiveRow(PLACE, "READY", "S", "1.2.3")
SUBJECT = Subject(id="XNAT_S00001", label="S")
SCAN = zipped([("1.dcm", instance())])


def study(**other: Any) -> Any:
    return SimpleNamespace(**{"key": 1, "place": PLACE, "in_doubt": False, **other})


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def recent(time: Time) -> RecentAnswers:
    """Return answers about study 1, which lies in its row."""
    answers = RecentAnswers(time)
    answers.remember_row(study(), ROW)
    answers.remember_subject(SUBJECT, answers.now())
    return answers


@pytest.mark.parametrize("kind", ["row", "subject"])
def test_a_second_attempt_asks_anew(recent: RecentAnswers, kind: str) -> None:
    def told() -> object:
        return recent.row(study()) if kind == "row" else recent.subject(SUBJECT.id)

    assert told() == (ROW if kind == "row" else SUBJECT)
    assert told() is None


@pytest.mark.parametrize(
    "other",
    [{"key": 2}, {"in_doubt": True}, {"place": Place("P1", "20240229_101112130", "watchd-1-1-y")}, {"place": None}],
)
def test_a_row_is_known_of_the_same_study_at_the_same_place_while_nothing_is_in_doubt(
    recent: RecentAnswers, other: dict[str, object]
) -> None:
    assert recent.row(study(**other)) is None


def test_a_row_and_a_subject_are_known_for_seconds(recent: RecentAnswers, time: Time) -> None:
    time.pass_(seconds=ROW_STAYS_TRUE + 1)
    assert recent.row(study()) is None
    time.pass_(seconds=STAYS_TRUE - ROW_STAYS_TRUE)
    assert recent.subject(SUBJECT.id) is None


@pytest.mark.parametrize("dialect", ["1.6", "1.8"])
def test_a_study_that_others_archive_at_the_same_time_is_told(quick_path: Path, dialect: str) -> None:
    with beside_others(quick_path, dialect, ProjectRules) as (xnat, _, station):
        plan = xnat.faults.on("POST", "/data/services/archive")
        plan.meanwhile(lambda: archived_by_others(xnat, "theirs", SCAN, "Theirs", "THEIRS"))
        station.drop("scan.zip", SCAN)
        station.run()
        assert station.standings() == [("1.1", "uploaded", "held")]
        assert station.why("1.1") == "XNAT has this study 2 times in the project"
        assert Counter(one.where for one in xnat.instances()) == {"archive": 2}


def test_a_study_that_others_archived_under_the_uid_that_the_site_gives_it_is_not_doubled(quick_path: Path) -> None:
    with beside_others(quick_path, "1.8", ProjectRules, Options(remaps_uids=True)) as (xnat, _, station):
        archived_by_others(xnat, "theirs", SCAN, "Quokka_Zenobia", "THEIRS")
        station.drop("scan.zip", SCAN)
        station.run()
        assert [one.session for one in xnat.instances() if one.where == "archive"] == ["THEIRS"]
        assert station.standings() == [("1.1", "uploaded", "held")]  # a person must compare them: names differ, too


@pytest.mark.parametrize("dialect", ["1.6", "1.8"])
def test_a_session_that_is_not_listed_for_a_moment_is_looked_for_soon(
    tmp_path: Path, time: Time, dialect: Literal["1.6", "1.8"]
) -> None:
    xnat = FakeXnat(time, dialect=dialect)
    station = Station(tmp_path, FakeGateway(xnat, time), time)
    station.drop("scan.zip", SCAN)
    station.start()
    station.take_in()
    assert station.pipeline.step()
    began, xnat.delay = time.now(), timedelta(seconds=1)
    station.work()
    assert station.standings() == [("1.1", "complete", "done")]
    assert time.now() - began < timedelta(seconds=5)
    assert len(xnat.instances()) == 1
    station.close()


@pytest.mark.parametrize("dialect", ["1.6", "1.8"])
def test_a_study_that_others_archive_during_the_upload_is_not_doubled(quick_path: Path, dialect: str) -> None:
    with beside_others(quick_path, dialect, ProjectRules) as (xnat, _, station):
        station.drop("scan.zip", SCAN)
        station.start()
        station.take_in()
        assert station.pipeline.step()
        archived_by_others(xnat, "theirs", SCAN, "Quokka_Zenobia", "THEIRS")
        station.work()
        assert [one.session for one in xnat.instances() if one.where == "archive"] == ["THEIRS"]


def test_a_subject_of_other_capitals_keeps_its_values(quick_path: Path) -> None:
    with beside_others(quick_path, "1.8", ProjectRules) as (xnat, _, station):
        entered_by_others(xnat, "quokka_zenobia", gender="male")
        station.drop("scan.zip", SCAN)
        station.run()
        assert station.standings() == [("1.1", "complete", "done")]
        assert (xnat.subject("P1", "quokka_zenobia") or {})["demographics"]["gender"] == "male"
        written = [path for method, path, *_ in xnat.requests if method == "PUT" and "/subjects/" in path]
        assert len(written) == 2  # by them, by us
        assert len(xnat._site.store.subjects) == 1
