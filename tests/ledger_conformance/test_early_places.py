"""The places of ZIPs that are sent while they are checked: whose they are, and from when on they may be cleared."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.ledger_conformance.engines import Recorder, study
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.stations import StationProcess
from xnat_watchd.core.delivery import Place, ZipContents

CT_1, CT_2 = StationProcess("ct-1", "0.2.0", "boot:1:1"), StationProcess("ct-2", "0.2.0", "boot:2:2")
UID = "1.2.1"
PLACE = Place("P1", "20260101_120000000", "watchd-1-1-abc")
HOUR = timedelta(hours=1)


@pytest.fixture
def other(recorder: Recorder) -> Iterator[Ledger]:
    """Yield the ledger as another station of the same root sees it."""
    other = recorder.another()
    recorder.ledger.stations.shared = other.stations.shared = True
    recorder.ledger.stations.enroll(CT_1)
    other.stations.enroll(CT_2)
    yield other
    other.close()


def arriving(recorder: Recorder, name: str = "1.zip") -> int:
    return recorder.ledger.deliveries.expect(name, "P1", name, recorder.now)


def begun(recorder: Recorder) -> int:
    delivery = arriving(recorder)
    assert recorder.ledger.early_places.begin(delivery, PLACE, UID, 2)
    return delivery


def recorded(recorder: Recorder, delivery: int, uid: str = UID) -> None:
    contents = ZipContents(sha256=f"{delivery:064}", size=10, studies=(study(uid),), clutter_kinds={}, as_it_is=True)
    recorder.ledger.deliveries.record(delivery, contents, "done/1.zip", recorder.now, "stamp")


def left(ledger: Ledger, now: datetime) -> list[Place]:
    return [one.place for one in ledger.early_places.left(now - timedelta(days=30), now)]


def test_a_delivery_has_one_place_and_an_interrupted_one_gets_no_second(recorder: Recorder) -> None:
    delivery = begun(recorder)
    assert not recorder.ledger.early_places.begin(delivery, Place("P1", "20260101_120000001", "watchd-x"), UID, 2)
    assert recorder.ledger.early_places.delivery_at(PLACE) == delivery


def test_none_is_begun_for_what_is_recorded_or_what_another_station_takes(recorder: Recorder, other: Ledger) -> None:
    delivery = arriving(recorder)
    assert not other.early_places.begin(delivery, PLACE, UID, 2)
    recorded(recorder, delivery)
    assert not recorder.ledger.early_places.begin(delivery, PLACE, UID, 2)
    assert recorder.ledger.early_places.delivery_at(PLACE) is None


def test_a_station_that_was_found_gone_begins_none_before_it_has_begun_anew(recorder: Recorder, other: Ledger) -> None:
    delivery = arriving(recorder)
    other.stations.lease = 0.0
    assert other.gone_stations.put_in_doubt(recorder.now) == ["ct-1"]
    assert not recorder.ledger.early_places.begin(delivery, PLACE, UID, 2)
    recorder.ledger.stations.enroll(CT_1)
    assert recorder.ledger.early_places.begin(delivery, PLACE, UID, 2)


def test_a_study_that_goes_on_there_has_the_place_as_if_all_were_sent(recorder: Recorder) -> None:
    delivery = begun(recorder)
    recorded(recorder, delivery)
    key = recorder.ledger.early_places.adopt(delivery, recorder.now, "stamp")
    assert key == recorder.key(delivery)
    item = recorder.take()
    assert (item.place, item.import_began, item.uploads) == (PLACE, recorder.now, 1)
    assert recorder.ledger.places.stamp(PLACE) == "stamp"
    assert [len(uids) for uids in recorder.ledger.contents.at_place(item).values()] == [2]
    assert recorder.ledger.early_places.delivery_at(PLACE) is None
    recorder.ledger.early_places.end(delivery, recorder.now)
    assert left(recorder.ledger, recorder.now) == []


@pytest.mark.parametrize("why", ["its sender has ended", "another study", "the study of an earlier ZIP", "never sent"])
def test_no_study_goes_on_at_a_place_that_is_not_its_own(recorder: Recorder, why: str) -> None:
    if why == "the study of an earlier ZIP":
        recorder.receive(study(UID))
    delivery = arriving(recorder, "2.zip") if why == "never sent" else begun(recorder)
    if why == "its sender has ended":
        recorder.ledger.early_places.end(delivery, recorder.now)
    recorded(recorder, delivery, "1.2.99" if why == "another study" else UID)
    assert recorder.ledger.early_places.adopt(delivery, recorder.now, "stamp") is None
    assert recorder.ledger.places.study_at("P1", PLACE.timestamp) is None


def test_a_place_may_be_cleared_once_its_sender_has_ended_and_is_looked_at_for_a_while(recorder: Recorder) -> None:
    delivery = begun(recorder)
    recorded(recorder, delivery)
    assert left(recorder.ledger, recorder.now) == []
    recorder.ledger.early_places.end(delivery, recorder.now)
    assert left(recorder.ledger, recorder.now) == [PLACE]
    assert left(recorder.ledger, recorder.now + timedelta(days=31)) == []


def test_a_start_ends_what_the_station_itself_was_sending(recorder: Recorder, other: Ledger) -> None:
    begun(recorder)
    other.studies.recover(recorder.now)
    assert left(other, recorder.now) == []
    recorder.ledger.studies.recover(recorder.now, HOUR)
    assert left(other, recorder.now) == []
    assert left(other, recorder.now + HOUR) == [PLACE]


def test_what_a_gone_station_was_sending_may_be_cleared_when_nothing_of_it_can_appear_any_more(
    recorder: Recorder, other: Ledger
) -> None:
    recorder.now = datetime.now(UTC)
    begun(recorder)
    recorder.ledger.stations.renew(HOUR)
    other.stations.lease = 0.0
    assert other.gone_stations.put_in_doubt(recorder.now) == ["ct-1"]
    assert other.deliveries.take_over()
    assert left(other, recorder.now) == []
    assert left(other, recorder.now + 2 * HOUR) == [PLACE]


def test_a_study_that_is_known_or_a_site_that_gives_new_uids_is_none_for_it(recorder: Recorder) -> None:
    may_begin = recorder.ledger.early_places.may_begin
    assert may_begin("P1", UID)
    recorder.receive(study(UID))
    assert not may_begin("P1", UID)
    assert may_begin("P2", UID)


def test_what_is_not_proved_to_be_ours_is_told_until_it_is_gone(recorder: Recorder) -> None:
    delivery = begun(recorder)
    for mixed in (True, False):
        recorder.ledger.early_places.end(delivery, recorder.now)
        recorder.ledger.early_places.flag(delivery, mixed=mixed)
        told = [row["why"] for row in recorder.ledger.views.attention()]
        assert told == ["what lies at a place of ours in XNAT is not proved to be ours"] * mixed
