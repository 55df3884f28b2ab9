"""The list and the story of a delivery, where several stations share the ledger: they tell who has taken it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ledger_conformance.engines import ENGINES, Recorder
from tests.stations import SharedLedger
from xnat_watchd.adapters.ledger.listing import DeliveryQuery
from xnat_watchd.adapters.ledger.stations import StationProcess
from xnat_watchd.operator.item_facts import delivery_facts
from xnat_watchd.operator.nameless import row_without_names, story_without_names


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[SharedLedger]:
    """Yield a ledger that several stations share."""
    made = SharedLedger(tmp_path)
    yield made
    made.close()


def test_each_delivery_is_listed_with_the_station_that_has_taken_it(shared: SharedLedger) -> None:
    first, second = shared.be("ct-1").receive(), shared.be("mr-2").receive()
    rows = shared.ledger.listing.rows(DeliveryQuery())
    assert {row["item"]: row["station"] for row in rows} == {str(first): "ct-1", str(second): "mr-2"}
    assert {row_without_names({**row}, lambda _: False)["station"] for row in rows} == {"ct-1", "mr-2"}


def test_only_what_one_station_has_taken_is_listed_where_it_is_asked_for(shared: SharedLedger) -> None:
    first, second = shared.be("ct-1").receive(), shared.be("mr-2").receive()
    listing = shared.ledger.listing
    found = {name: [row["item"] for row in listing.rows(DeliveryQuery(station=name))] for name in ("ct-1", "mr-2", "x")}
    assert found == {"ct-1": [str(first)], "mr-2": [str(second)], "x": []}


def test_a_file_that_is_not_taken_is_listed_with_the_station_where_it_lies(shared: SharedLedger) -> None:
    for name in ("ct-1", "mr-2"):
        recorder = shared.be(name)
        recorder.ledger.deliveries.ignore({f"{name}.txt": ("it is no ZIP", "")}, recorder.now)
    rows = shared.ledger.listing.rows(DeliveryQuery())
    assert {row["name"]: row["station"] for row in rows} == {"ct-1.txt": "ct-1", "mr-2.txt": "mr-2"}


def test_the_story_of_a_delivery_tells_its_station_to_all(shared: SharedLedger) -> None:
    delivery = shared.be("ct-1").receive()
    story = shared.ledger.views.delivery(delivery)
    assert story is not None
    for told in (story, story_without_names(story, lambda _: False)):
        assert delivery_facts({**told, "same_as": None}, str)["station"] == "ct-1"


def test_a_ledger_that_is_a_file_says_nothing_of_its_only_station(tmp_path: Path) -> None:
    recorder = Recorder(ENGINES[0], tmp_path)
    recorder.ledger.stations.enroll(StationProcess("ct-1", "0.2.0"))
    delivery = recorder.receive()
    (row,) = recorder.ledger.listing.rows(DeliveryQuery(station="ct-1"))
    story = recorder.ledger.views.delivery(delivery)
    assert story is not None
    assert row["station"] == story["station"] == ""
    assert "station" not in delivery_facts({**story, "same_as": None}, str)
    recorder.ledger.close()
