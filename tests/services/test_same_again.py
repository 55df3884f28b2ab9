"""The same thing again: never mixed, never overwritten, only what is missing is sent. Against the practice XNAT."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.dicom import instance, series_uid, sop_uid
from tests.station import Station, Time, zipped
from xnat_watchd.adapters.clock import SystemClock
from xnat_watchd.adapters.credentials import Secret
from xnat_watchd.adapters.xnat.gateway import XnatServer
from xnat_watchd.core.errors import Impossible, InDoubt, NotYet
from xnat_watchd.core.limits import Limits
from xnat_watchd.core.ports import Gateway
from xnat_watchd.sandbox import Sandbox

Image = tuple[int, int, int]  #: study, series, number


class Desk:
    """A workstation before an XNAT with two projects."""

    def __init__(self, root: Path, xnat: Sandbox, gateway: Gateway) -> None:
        self.xnat, self._root, self._gateway, self._time = xnat, root, gateway, Time()
        self.station = self.anew()

    def anew(self, **more: Any) -> Station:
        """Begin another service on the same root."""
        if hasattr(self, "station"):
            self.station.close()
        self.station = Station(self._root, self._gateway, self._time, projects=("P2", "P3"), **more)
        self.station.start()
        return self.station

    def carry(self, *dropped: tuple[str, bytes]) -> dict[str, int]:
        """Drop these one after another, and work until all rests; give how the deliveries stand."""
        for name, data in dropped:
            self.station.drop(name, data)
            self.station.take_in()
        self.station.work()
        return self.station.ledger.views.deliveries()

    def stored(self) -> Counter[tuple[str, str, str, str]]:
        """Count what XNAT holds anywhere, by where, project, session and instance."""
        return Counter((one.where, one.project, one.session, one.sop_uid) for one in self.xnat.instances())

    def release(self, item: str, **chosen: str) -> None:
        key = self.station.ledger.views.held()[item]
        self.station.ledger.decisions.retry(key, self._time.now(), **chosen)

    def why(self, item: str) -> str:
        return self.station.why(item)

    def events(self, delivery: int) -> list[str]:
        found = self.station.ledger.views.delivery(delivery)
        assert found is not None
        return [one["event"] for one in found["events"]]


@pytest.fixture(params=["1.6", "1.8"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    with Sandbox(tmp_path / "xnat", request.param, users={"tech": "secret"}, projects=["P1", "P2"]) as xnat:
        server = XnatServer(xnat.url, user="tech", password=Secret("secret"), clock=SystemClock(), stop=Event())
        one = Desk(tmp_path / "watchd", xnat, server.gateway())
        yield one
        one.station.close()
        server.close()


LABEL = "Quokka_Zenobia_20240229T101530_MR"


def zip_of(*images: Image, comment: str = "", **about: Any) -> bytes:
    """Return a ZIP of these images; with a clutter file it has other bytes and the same images."""
    members = [(f"{study}-{series}-{number}.dcm", instance(study, series, number, **about))
               for study, series, number in images]  # fmt: skip
    return zipped([*members, ("readme.txt", comment.encode())] if comment else members)


def held_by_xnat(*images: Image, project: str = "P1", label: str = LABEL) -> Counter[tuple[str, str, str, str]]:
    return Counter(("archive", project, label, sop_uid(*one)) for one in images)


FIRST: tuple[Image, ...] = ((1, 1, 1), (1, 1, 2))


# -- the same bytes ----------------------------------------------------------------------------------------


def test_the_same_bytes_when_all_is_complete_are_a_duplicate_once_xnat_was_asked(desk: Desk) -> None:
    desk.carry(("scan.zip", zip_of(*FIRST)))
    assert desk.carry(("again.zip", zip_of(*FIRST))) == {"finished": 1, "duplicate": 1}
    assert desk.stored() == held_by_xnat(*FIRST)
    assert [name for name in desk.station.files() if name.endswith(".zip")] == [
        *("done/2026-01/1_scan.zip", "done/2026-01/2_again.zip")
    ]


def test_the_same_bytes_bring_back_what_somebody_has_deleted_in_xnat(desk: Desk) -> None:
    desk.carry(("scan.zip", zip_of(*FIRST)))
    desk.xnat._site.store.experiments.clear()
    assert desk.stored() == Counter()
    desk.carry(("again.zip", zip_of(*FIRST)))
    assert desk.stored() == held_by_xnat(*FIRST)


def test_the_same_bytes_when_the_first_is_held_are_its_retry(desk: Desk) -> None:
    desk.carry(("P3/scan.zip", zip_of(*FIRST)))
    assert desk.why("1.1") == "XNAT lists no such project that this account may write to"
    desk.xnat.add_project("P3")
    desk.xnat.grant("tech", "P3", "member")
    assert desk.carry(("P3/scan.zip", zip_of(*FIRST))) == {"finished": 1, "duplicate": 1}
    assert "released" in desk.events(1)
    assert desk.stored() == held_by_xnat(*FIRST, project="P3")


def test_the_same_bytes_when_the_first_came_to_nothing_are_looked_at_anew(desk: Desk) -> None:
    desk.anew(limits=lambda: Limits(members=1))
    assert desk.carry(("scan.zip", zip_of(*FIRST))) == {"rejected": 1}
    assert desk.carry(("scan.zip", zip_of(*FIRST))) == {"rejected": 2}
    desk.anew()
    assert desk.carry(("scan.zip", zip_of(*FIRST))) == {"rejected": 2, "finished": 1}
    assert desk.stored() == held_by_xnat(*FIRST)
    assert desk.station.ledger.views.attention() == []


def test_the_same_bytes_while_the_first_is_under_way_end_at_once_and_disturb_nothing(desk: Desk) -> None:
    station = desk.station
    for name in ("scan.zip", "again.zip"):
        station.drop(name, zip_of(*FIRST))
        station.take_in()
    assert station.ledger.views.deliveries() == {"taken": 1, "duplicate": 1}
    station.work()
    assert desk.stored() == held_by_xnat(*FIRST)


def test_the_same_bytes_for_another_project_are_another_delivery(desk: Desk) -> None:
    for name in ("scan.zip", "P2/scan.zip"):
        desk.station.drop(name, zip_of(*FIRST))
    desk.station.take_in()
    desk.station.work()
    assert desk.station.ledger.views.deliveries() == {"finished": 2}
    assert desk.stored() == held_by_xnat(*FIRST) + held_by_xnat(*FIRST, project="P2")


# -- what is wrong with a content --------------------------------------------------------------------------


def cut_short(*images: Image, also: Image) -> bytes:
    """Return a ZIP of these images and of one that ends in its pixels."""
    members = [(f"{one}.dcm", instance(*one)) for one in images]
    return zipped([*members, (f"{also}.dcm", instance(*also)[:-100])])


def test_two_people_in_one_study_are_never_sent_whoever_drops_and_retries_what(desk: Desk) -> None:
    people = zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 2, name="Alpha^Anna", patient="PA"))])
    for name in ("scan.zip", "scan (1).zip", "again.zip"):
        desk.carry((name, people))
        for item in desk.station.ledger.views.held():
            with pytest.raises(Impossible):
                desk.release(item)
        desk.anew().work()
        assert desk.stored() == Counter()
    assert {one["item"] for one in desk.station.ledger.views.attention()} == {"1.1"}


def test_of_a_damaged_study_that_is_accepted_the_whole_images_come_to_xnat_and_nothing_else(desk: Desk) -> None:
    desk.carry(("scan.zip", cut_short(*FIRST, also=(1, 1, 3))))
    desk.station.ledger.decisions.accept(1, "the scanner has deleted it", "ada", desk.station.time.now())
    assert desk.carry() == {"finished": 1}
    assert desk.stored() == held_by_xnat(*FIRST)
    assert {one.sha256 for one in desk.xnat.instances()} == {sha256(instance(*one)).hexdigest() for one in FIRST}


def test_a_whole_export_comes_to_xnat_and_settles_the_damaged_one(desk: Desk) -> None:
    desk.carry(("scan.zip", cut_short(*FIRST, also=(1, 1, 3))), ("whole.zip", zip_of(*FIRST, (1, 1, 3))))
    assert desk.stored() == held_by_xnat(*FIRST, (1, 1, 3))
    assert desk.station.standings() == [("1.1", "received", "skipped"), ("2.1", "complete", "done")]
    assert desk.station.ledger.views.attention() == []


def test_another_content_that_is_accepted_stays_behind_and_the_rest_joins_the_study(desk: Desk) -> None:
    other = zipped([("1.dcm", instance(1, 1, 1, pixels=b"\x02" * 512)), ("3.dcm", instance(1, 1, 3))])
    desk.carry(("scan.zip", zip_of(*FIRST)), ("other.zip", other))
    desk.station.ledger.decisions.accept(2, "the first is right", "ada", desk.station.time.now())
    desk.carry()
    assert desk.stored() == held_by_xnat(*FIRST, (1, 1, 3))
    assert sha256(instance(1, 1, 1)).hexdigest() in {one.sha256 for one in desk.xnat.instances()}


# -- the same study ----------------------------------------------------------------------------------------


def test_a_part_of_what_xnat_holds_sends_nothing(desk: Desk) -> None:
    states = desk.carry(("scan.zip", zip_of(*FIRST)), ("part.zip", zip_of((1, 1, 2))))
    assert states == {"finished": 1, "duplicate": 1}
    assert desk.stored() == held_by_xnat(*FIRST)


def test_a_new_series_of_a_study_joins_it_under_its_label(desk: Desk) -> None:
    second: tuple[Image, ...] = ((1, 2, 1), (1, 2, 2))
    desk.carry(("scan.zip", zip_of(*FIRST)), ("more.zip", zip_of(*FIRST, *second)))
    assert desk.stored() == held_by_xnat(*FIRST, *second)
    assert {one.series_uid for one in desk.xnat.instances()} == {series_uid(1, 1), series_uid(1, 2)}


@pytest.mark.parametrize("with_old", [True, False], ids=["with what is there", "alone"])
def test_more_images_of_a_series_that_is_there_join_it_each_once(desk: Desk, with_old: bool) -> None:  # noqa: FBT001
    more: tuple[Image, ...] = ((1, 1, 3), (1, 1, 4), (1, 1, 5))
    desk.carry(("scan.zip", zip_of(*FIRST)), ("more.zip", zip_of(*(FIRST if with_old else ()), *more)))
    assert desk.stored() == held_by_xnat(*FIRST, *more)


def test_another_image_under_a_uid_that_is_there_is_held_and_overwrites_nothing(desk: Desk) -> None:
    desk.carry(("scan.zip", zip_of(*FIRST)))
    before = {one.sop_uid: one.sha256 for one in desk.xnat.instances()}
    desk.carry(("other.zip", zip_of((1, 1, 1), (1, 1, 3), pixels=b"\x02" * 512)))
    assert desk.why("2.1") == "1 of its images came before under the same UID with other contents"
    assert {one.sop_uid: one.sha256 for one in desk.xnat.instances()} == before


def test_a_study_that_comes_again_while_its_first_zip_is_under_way_waits_for_it(desk: Desk) -> None:
    station = desk.station
    station.drop("a.zip", zip_of(*FIRST))
    station.take_in()
    now = station.time.now()
    first = station.ledger.studies.take(now)
    assert first is not None
    station.ledger.studies.postpone(
        first, now + timedelta(minutes=1), now, NotYet("XNAT is at work on it"), charged=False
    )
    station.drop("b.zip", zip_of((1, 1, 2), (1, 1, 3)))
    station.take_in()
    assert not station.pipeline.step()
    station.work()
    assert desk.stored() == held_by_xnat(*FIRST, (1, 1, 3))
    assert desk.station.ledger.views.deliveries() == {"finished": 2}


def test_a_study_behind_a_held_one_waits_says_for_what_and_goes_on_after_it(desk: Desk) -> None:
    desk.carry(("P3/scan.zip", zip_of(*FIRST)), ("P3/more.zip", zip_of(*FIRST, (1, 1, 3))))
    (waiting,) = desk.station.ledger.views.under_way()
    assert (waiting["item"], waiting["why"]) == ("2.1", "waits for 1.1, which has part of the same study and is held")
    assert desk.stored() == Counter()
    desk.xnat.add_project("P3")
    desk.xnat.grant("tech", "P3", "member")
    desk.release("1.1")
    desk.station.work()
    assert desk.stored() == held_by_xnat(*FIRST, (1, 1, 3), project="P3")


# -- people and labels -------------------------------------------------------------------------------------


def test_one_study_under_two_patient_ids_is_held_before_anything_of_the_second_is_sent(desk: Desk) -> None:
    desk.carry(("scan.zip", zip_of(*FIRST)), ("other.zip", zip_of((1, 1, 3), patient="ANOTHER-1")))
    assert desk.why("2.1") == "two people under one subject label"
    assert desk.stored() == held_by_xnat(*FIRST)


def test_two_people_of_one_name_are_never_one_subject(desk: Desk) -> None:
    desk.carry(("scan.zip", zip_of(*FIRST)), ("other.zip", zip_of((2, 1, 1), patient="ANOTHER-1", date="20240301")))
    assert desk.why("2.1") == "two people under one subject label"
    assert {one for one in desk.stored() if one[0] == "archive"} == set(held_by_xnat(*FIRST))
    desk.release("2.1", subject="Another")
    desk.station.work()
    assert desk.stored() == held_by_xnat(*FIRST) + held_by_xnat((2, 1, 1), label="Another_20240301T101530_MR")


def test_one_name_in_two_spellings_is_one_subject(desk: Desk) -> None:
    desk.carry(
        ("scan.zip", zip_of(*FIRST)), ("other.zip", zip_of((2, 1, 1), name="QUOKKA^ZENOBIA^^^", date="20240301"))
    )
    assert desk.stored() == held_by_xnat(*FIRST) + held_by_xnat((2, 1, 1), label="QUOKKA_ZENOBIA_20240301T101530_MR")


def test_two_people_are_told_apart_by_all_that_earlier_zips_have_said(desk: Desk) -> None:
    spellings = ["Quokka^Zenobia", "Quokka^Zenobia=山田", "Quokka^Zenobia=山本"]

    for number, name in enumerate(spellings, 1):
        desk.carry((f"{number}.zip", zip_of((1, 1, number), name=name)))

    assert desk.why("3.1") == "two people under one subject label"
    assert sum(desk.stored().values()) == 2


def test_two_people_without_id_are_told_apart_by_their_birth_dates(desk: Desk) -> None:
    desk.carry(
        ("scan.zip", zip_of(*FIRST, patient="")),
        ("other.zip", zip_of((2, 1, 1), patient="", birth="19990101", date="20240301")),
    )
    assert desk.why("2.1") == "two people under one subject label"


def slip(desk: Desk, item: str, subject: str) -> None:
    """Release a held study as somebody does who mistypes: under this subject, with a label that another study has."""
    desk.release(item, subject=subject, label=LABEL)
    desk.station.work()
    assert desk.why(item) == "XNAT has another study under the label that this one would get"


def a_namesake(desk: Desk) -> None:
    """Carry a study, and hold one of another person of the same name."""
    desk.carry(("scan.zip", zip_of(*FIRST)), ("other.zip", zip_of((2, 1, 1), patient="ANOTHER-1", date="20240301")))


def test_a_slip_in_a_subject_label_is_forgotten_once_it_is_corrected(desk: Desk) -> None:
    a_namesake(desk)
    slip(desk, "2.1", "Wombat_Iris")
    desk.release("2.1", subject="Another", label="SECOND")
    desk.station.work()
    desk.carry(("third.zip", zip_of((3, 1, 1), name="Wombat^Iris", patient="W-1")))
    assert desk.station.ledger.views.deliveries() == {"finished": 3}
    assert desk.stored()["archive", "P1", "Wombat_Iris_20240229T101530_MR", sop_uid(3, 1, 1)] == 1


def test_a_study_that_is_skipped_claims_no_subject_label_any_more(desk: Desk) -> None:
    a_namesake(desk)
    slip(desk, "2.1", "Wombat_Iris")
    desk.station.ledger.decisions.skip(desk.station.ledger.views.held()["2.1"], "not wanted", desk.station.time.now())
    desk.station.work()
    desk.carry(("third.zip", zip_of((3, 1, 1), name="Wombat^Iris", patient="W-1")))
    assert desk.station.ledger.views.deliveries() == {"finished": 3}


def test_a_subject_label_is_claimed_as_long_as_one_study_of_its_person_is_not_ended(desk: Desk) -> None:
    a_namesake(desk)
    slip(desk, "2.1", "Wombat_Iris")
    desk.carry(("more.zip", zip_of((4, 1, 1), patient="ANOTHER-1", date="20240302")))
    slip(desk, "3.1", "Wombat_Iris")  # the same person: they share it
    desk.station.ledger.decisions.skip(desk.station.ledger.views.held()["2.1"], "not wanted", desk.station.time.now())
    desk.station.work()
    desk.carry(("third.zip", zip_of((3, 1, 1), name="Wombat^Iris", patient="W-1")))
    assert desk.why("4.1") == "two people under one subject label"
    assert {one for one in desk.stored() if one[0] == "archive"} == set(held_by_xnat(*FIRST))


@pytest.mark.parametrize("asked", ["archive", "listed_sessions"])
@pytest.mark.parametrize("died", [False, True])
def test_a_subject_under_which_xnat_may_have_something_stays_its_persons(desk: Desk, died: bool, asked: str) -> None:  # noqa: FBT001
    class Killed(BaseException):
        pass

    class Lost:
        """XNAT does what is asked, and nobody hears of it any more."""

        def __getattr__(self, name: str) -> Any:
            return self._lost if name == asked else getattr(desk._gateway, name)

        def _lost(self, *args: Any, **how: Any) -> None:
            getattr(desk._gateway, asked)(*args, **how)
            raise Killed if died else InDoubt("the line died")

    station = desk.anew(around=lambda part, thing: Lost() if part == "gateway" else thing)
    station.drop("scan.zip", zip_of(*FIRST))
    station.take_in()
    with suppress(Killed):
        for _ in range(2):
            station.pipeline.step()
    station = desk.anew()
    (row,) = station.ledger.views._db.rows("SELECT key FROM studies")
    station.ledger.decisions.skip(row["key"], "not wanted", station.time.now())
    station.work()
    assert station.standings() == [("1.1", "uploaded", "skipped")]
    desk.carry(("other.zip", zip_of((2, 1, 1), patient="ANOTHER-1", date="20240301")))
    assert desk.why("2.1") == "two people under one subject label"


def test_a_subject_stays_the_person_s_whose_study_was_archived(desk: Desk) -> None:
    desk.carry(("scan.zip", zip_of(*FIRST)))
    assert desk.station.standings() == [("1.1", "complete", "done")]
    desk.carry(("other.zip", zip_of((2, 1, 1), patient="ANOTHER-1", date="20240301")))
    assert desk.why("2.1") == "two people under one subject label"


def test_two_studies_with_one_label_are_never_one_session(desk: Desk) -> None:
    desk.carry(("scan.zip", zip_of(*FIRST)), ("other.zip", zip_of((2, 1, 1))))
    assert desk.why("2.1") == "XNAT has another study under the label that this one would get"
    assert {one for one in desk.stored() if one[0] == "archive"} == set(held_by_xnat(*FIRST))
    desk.release("2.1", label="SECOND")
    desk.station.work()
    assert desk.stored() == held_by_xnat(*FIRST) + held_by_xnat((2, 1, 1), label="SECOND")


def test_two_studies_with_one_label_in_one_zip_are_never_one_session(desk: Desk) -> None:
    desk.carry(("cd.zip", zip_of(*FIRST, (2, 1, 1))))
    assert desk.why("1.2") == "XNAT has another study under the label that this one would get"
    assert {one for one in desk.stored() if one[0] == "archive"} == set(held_by_xnat(*FIRST))


def test_other_bytes_of_the_same_content_send_nothing(desk: Desk) -> None:
    states = desk.carry(("scan.zip", zip_of(*FIRST)), ("packed-anew.zip", zip_of(*FIRST, comment="another viewer")))
    assert states == {"finished": 1, "duplicate": 1}
    assert desk.stored() == held_by_xnat(*FIRST)
