"""What others put into the prearchive is shown as it is, and carried on only as it was shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.dicom import instance, study_uid
from tests.others import STAMP, archived_by_others, beside_others, sent_by_others
from tests.sandbox.kit import Visitor
from tests.station import Station, zipped
from xnat_watchd.adapters.xnat.gateway import XnatGateway
from xnat_watchd.core.errors import Permanent
from xnat_watchd.core.project_rules import ProjectRules
from xnat_watchd.core.states import Progress
from xnat_watchd.operator.prearchive import LABEL_IT, PrearchiveContext, RowLine, RowOutcome, plan
from xnat_watchd.sandbox import Sandbox

LABEL = "Quokka_Zenobia_20240229T101530_MR"


def scan(study: int = 1, images: int = 2, **about: Any) -> bytes:
    return zipped([(f"{n}.dcm", instance(study, 1, n, **about)) for n in range(1, images + 1)])


OTHER: dict[str, Any] = {"name": "Bilby^Theodora", "patient": "ZQ-7733"}


@dataclass
class Stand:
    """One XNAT, and one workstation that looks at it."""

    xnat: Sandbox
    gateway: XnatGateway
    station: Station
    rules: ProjectRules = field(default_factory=ProjectRules)

    is_served: bool = False

    def plan(self, *names: str, label: str | None = None) -> list[RowLine]:
        context = PrearchiveContext(
            gateway=self.gateway, ledger=self.station.ledger, rules=lambda _: self.rules, is_served=self.is_served
        )
        return plan("P1", names, context, label)

    def fates(self, *names: str) -> dict[str, tuple[RowOutcome, str]]:
        return {line.row.place.folder: (line.outcome, line.why) for line in self.plan(*names)}

    def carry(self, *lines: RowLine) -> None:
        for line in lines:
            assert line.existing is not None
            self.station.ledger.existing_sessions.admit(line.existing, self.station.time.now())
        self.station.work()

    def archived(self) -> list[tuple[str, str]]:
        return [(one.session, one.sop_uid) for one in self.xnat.instances() if one.where == "archive"]


@pytest.fixture(params=["1.8", "1.6"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def stand(tmp_path: Path, dialect: str) -> Iterator[Stand]:
    with beside_others(tmp_path, dialect, lambda: one.rules) as (xnat, gateway, station):
        one = Stand(xnat, gateway, station)
        yield one


def test_the_plan_names_everything_that_a_person_must_know(stand: Stand) -> None:
    sent_by_others(stand.xnat, "SENT", scan())
    (line,) = stand.plan()
    assert (line.outcome, line.why) == (RowOutcome.ARCHIVE, "")
    assert (line.row.name, line.row.status, line.date, line.images) == ("SENT", "READY", "20240229", 2)
    assert (line.subject, line.label) == ("Quokka_Zenobia", LABEL)
    assert stand.archived() == []


def test_what_is_carried_is_counted_archived_and_described(stand: Stand) -> None:
    sent_by_others(stand.xnat, "SENT", scan())
    stand.carry(*stand.plan())
    assert [label for label, _ in stand.archived()] == [LABEL, LABEL]
    subject = stand.xnat.subject("P1", "Quokka_Zenobia") or {}
    assert subject["demographics"]["gender"] == "female"
    story = stand.station.ledger.views.delivery(1) or {}
    assert (story["kind"], story["state"], story["resting"]) == ("prearchive", "finished", None)
    assert [event["event"] for event in story["events"]][:2] == ["found", "taken"]
    assert story["studies"][0]["instances"] == 2
    assert stand.station.files() == []


def test_only_what_is_ready_in_this_project_is_taken(stand: Stand) -> None:
    sent_by_others(stand.xnat, "READY_ONE", scan(1))
    sent_by_others(stand.xnat, "COMING", scan(2, **OTHER), ready=False)
    sent_by_others(stand.xnat, "ELSEWHERE", scan(3), project="P2")
    fates = stand.fates()
    assert fates.keys() == {"READY_ONE", "COMING"}
    assert fates["COMING"] == (RowOutcome.NOT_READY, "XNAT says RECEIVING of it")


def test_only_the_sessions_that_are_named_are_shown(stand: Stand) -> None:
    sent_by_others(stand.xnat, "A", scan(1))
    sent_by_others(stand.xnat, "B", scan(2, **OTHER))
    assert stand.fates("B").keys() == {"B"}


def test_a_session_without_a_date_is_no_unknown_one_and_a_label_settles_it(stand: Stand) -> None:
    sent_by_others(stand.xnat, "NODATE", scan(date=""))
    assert stand.fates()["NODATE"] == (RowOutcome.CONFLICT, "the study date is missing or not a date")
    assert stand.plan()[0].advice == LABEL_IT
    stand.carry(*stand.plan("NODATE", label="VISIT_1"))
    assert {label for label, _ in stand.archived()} == {"VISIT_1"}


def test_a_session_is_named_by_its_images_whatever_scan_comes_first(stand: Stand) -> None:
    drawn = instance(1, 1, 1, modality="SEG", sop_class="1.2.840.10008.5.1.4.1.1.66.4")
    image = instance(1, 2, 1, modality="CT", sop_class="1.2.840.10008.5.1.4.1.1.2")
    sent_by_others(stand.xnat, "SENT", zipped([("a.dcm", drawn), ("b.dcm", image)]))
    (line,) = stand.plan()
    assert (line.label.rpartition("_")[2], line.images) == ("CT", 2)
    stand.carry(line)
    assert stand.station.standings() == [("1.1", "complete", "done")]


def test_a_study_that_the_archive_has_already_is_a_conflict(stand: Stand) -> None:
    archived_by_others(stand.xnat, "FIRST", scan(), "S1", "E1")
    sent_by_others(stand.xnat, "AGAIN", scan(), stamp="20240131_101112002")
    assert stand.fates()["AGAIN"] == (RowOutcome.CONFLICT, "the archive has this study already, as E1")


def test_a_label_that_another_study_has_is_a_conflict(stand: Stand) -> None:
    archived_by_others(stand.xnat, "FIRST", scan(2), "Quokka_Zenobia", LABEL)
    sent_by_others(stand.xnat, "SECOND", scan(1), stamp="20240131_101112002")
    assert stand.fates()["SECOND"] == (RowOutcome.CONFLICT, "the archive has another session of this label")


def test_two_sessions_that_would_get_one_label_are_both_left(stand: Stand) -> None:
    sent_by_others(stand.xnat, "A", scan(1))
    sent_by_others(stand.xnat, "B", scan(2), stamp="20240131_101112002")
    assert set(stand.fates().values()) == {(RowOutcome.CONFLICT, "another session here would get the same label")}


def test_one_study_that_lies_there_twice_is_left(stand: Stand) -> None:
    sent_by_others(stand.xnat, "A", scan())
    sent_by_others(stand.xnat, "B", scan(), stamp="20240131_101112002")
    assert {why for _, why in stand.fates().values()} == {"this study lies in the prearchive more than once"}


def test_another_person_behind_the_subject_is_a_conflict(stand: Stand) -> None:
    stand.station.drop("scan.zip", scan(1))
    stand.station.run()
    sent_by_others(stand.xnat, "SENT", scan(2, patient="ZQ-9999", date="20240301"))
    assert stand.fates()["SENT"] == (RowOutcome.CONFLICT, "this subject is known to be another person")


def test_what_this_ledger_carries_itself_is_left_to_it(stand: Stand) -> None:
    stand.rules = ProjectRules(until=Progress.UPLOADED)
    stand.station.drop("scan.zip", scan())
    stand.station.run()
    assert set(stand.fates().values()) == {(RowOutcome.GOES_ON, "it is study 1.1 of scan.zip")}
    stand.is_served = True
    assert set(stand.fates().values()) == {(RowOutcome.OURS, "it is study 1.1 of scan.zip, of this service")}


def test_what_another_service_sent_is_left_unless_it_is_named(stand: Stand) -> None:
    folder = "watchd-3-1-abcdefghij"
    sent_by_others(stand.xnat, folder, scan())
    assert stand.fates()[folder][0] is RowOutcome.CONFLICT
    assert stand.fates(folder)[folder][0] is RowOutcome.ARCHIVE


def test_one_session_that_cannot_be_read_does_not_stop_the_others(stand: Stand) -> None:
    sent_by_others(stand.xnat, "BROKEN", scan(1))
    sent_by_others(stand.xnat, "SOUND", scan(2, **OTHER))
    stand.xnat._site.store.rows["P1", STAMP, "BROKEN"].session = None
    fates = stand.fates()
    assert fates["BROKEN"] == (RowOutcome.CONFLICT, "XNAT has not built the session yet")
    assert fates["SOUND"][0] is RowOutcome.ARCHIVE


def test_a_session_that_grew_since_it_was_shown_is_held_and_may_be_shown_again(stand: Stand, dialect: str) -> None:
    address = sent_by_others(stand.xnat, "GROWS", scan(images=2))
    shown = stand.plan()
    if dialect == "1.8":
        sent_by_others(stand.xnat, "GROWS", scan(images=3))
    else:  # 1.6 adds nothing to a place (F66): somebody puts another one there
        with Visitor(stand.xnat) as other:
            other.ask("DELETE", f"/data{address}")
        sent_by_others(stand.xnat, "GROWS", scan(images=3))
    stand.carry(*shown)
    assert stand.archived() == []
    assert "not what it was when it was shown" in stand.station.why("1.1")
    stand.carry(*stand.plan())
    assert len(stand.archived()) == 3
    assert stand.station.standings() == [("1.1", "complete", "done")]


def test_a_study_that_came_into_the_archive_after_it_was_shown_is_never_joined(stand: Stand) -> None:
    sent_by_others(stand.xnat, "SENT", scan(images=2))
    shown = stand.plan()
    archived_by_others(stand.xnat, "FASTER", scan(images=1), "S1", "E1")
    stand.carry(*shown)
    assert [label for label, _ in stand.archived()] == ["E1"]
    assert "archive has this study already" in stand.station.why("1.1")


def test_a_session_that_somebody_archives_by_hand_meanwhile_is_found_there(stand: Stand) -> None:
    address = sent_by_others(stand.xnat, "SENT", scan())
    shown = stand.plan()
    with Visitor(stand.xnat) as other:
        other.archived(address, subject="Quokka_Zenobia", session="BY_HAND")
    stand.carry(*shown)
    assert stand.station.standings() == [("1.1", "complete", "done")]
    assert {label for label, _ in stand.archived()} == {"BY_HAND"}


def test_a_session_that_somebody_deletes_meanwhile_is_held(stand: Stand) -> None:
    address = sent_by_others(stand.xnat, "SENT", scan())
    shown = stand.plan()
    with Visitor(stand.xnat) as other:
        other.ask("DELETE", f"/data{address}")
    stand.carry(*shown)
    assert stand.station.standings() == [("1.1", "uploaded", "held")]


def test_who_asks_to_archive_gets_at_least_that(stand: Stand) -> None:
    stand.rules = ProjectRules(until=Progress.UPLOADED)
    sent_by_others(stand.xnat, "SENT", scan())
    stand.carry(*stand.plan())
    assert stand.station.standings() == [("1.1", "archived", "waiting")]


def test_a_project_that_may_not_be_changed_is_refused_before_anything_is_read(stand: Stand) -> None:
    stand.xnat.grant("tech", "P1", "collaborator")
    with pytest.raises(Permanent, match="P1"):
        stand.plan()
    assert not any("prearchive" in path for _, path, *_ in stand.xnat.requests)


def test_subjects_that_came_to_be_by_our_hand_are_told_from_the_others(stand: Stand) -> None:
    archived_by_others(stand.xnat, "FIRST", scan(1), "Quokka_Zenobia", "E1")
    sent_by_others(stand.xnat, "OLD_SUBJECT", scan(2, date="20240301"))
    sent_by_others(stand.xnat, "NEW_SUBJECT", scan(3, **OTHER))
    began = stand.station.time.now()
    stand.carry(*stand.plan())
    rows = stand.station.ledger.existing_sessions.new_subjects(began, None)
    assert [(row["label"], row["project"]) for row in rows] == [("Bilby_Theodora", "P1")]
    assert stand.station.ledger.existing_sessions.new_subjects(began, "P2") == []
    stand.station.time.pass_(days=8)
    assert stand.station.ledger.existing_sessions.new_subjects(stand.station.time.now(), None) == []


def test_a_study_that_was_ready_when_until_was_set_back_goes_no_further(stand: Stand) -> None:
    stand.station.drop("scan.zip", scan())
    stand.station.start()
    stand.station.take_in()
    assert stand.station.pipeline.step()  # uploaded, and ready for the next step
    stand.rules = ProjectRules(until=Progress.UPLOADED)
    stand.station.work()
    assert stand.station.standings() == [("1.1", "uploaded", "waiting")]
    stand.rules = ProjectRules()
    stand.station.ledger.studies.raise_until({"P1": Progress.COMPLETE}, stand.station.time.now())
    stand.station.work()
    assert stand.station.standings() == [("1.1", "complete", "done")]
    assert {one.study_uid for one in stand.xnat.instances()} == {study_uid(1)}
