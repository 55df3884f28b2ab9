"""The page of all stations of a ledger that several share."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.test_fleet import DOWN, FULL, hold
from tests.station import Time
from tests.stations import SharedLedger
from tests.web.visiting import ADA, EVE, LOU, Served
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.core.station_report import StationReport

ROWS = re.compile(r"<tr[^>]*><td>(?:<a [^>]*>)?(\w[\w-]*)(?:</a>)?</td><td>.*?</span> (\w+)</span>")


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[SharedLedger]:
    """Yield a ledger that several stations share."""
    made = SharedLedger(tmp_path)
    yield made
    made.close()


@pytest.fixture
def served(shared: SharedLedger) -> Served:
    return Served(shared.folder, Time(), url=shared.url)


def test_it_shows_every_station_the_worst_first_to_who_may_look(shared: SharedLedger, served: Served) -> None:
    shared.be("ct-1", report=StationReport(free=812_000_000_000))
    hold(shared.be("us-1"))
    shared.be("mr-1", report=DOWN)
    shared.be("mr-2", report=FULL)
    shared.be("pet-1", heard=300)
    for uid in (ADA, LOU):
        page = served.by(uid).get("/fleet").text
        assert ROWS.findall(page) == [
            ("pet-1", "silent"), ("mr-1", "waits"), ("mr-2", "waits"), ("us-1", "attention"), ("ct-1", "well"),
        ]  # fmt: skip
        for said in ("5 stations: 1 silent, 2 waiting, 1 with something for a person.", "XNAT cannot be reached",
                     "812.0 GB", "it was not heard of for 5 minutes", 'href="/list?station=us-1"'):  # fmt: skip
            assert said in page
        assert [name for name in ("Quoll", "ZQ-1", "1.zip") if name in page] == []
    assert served.by(EVE).get("/fleet").status_code == 403


def test_what_a_station_says_of_itself_is_text_and_nothing_else(shared: SharedLedger, served: Served) -> None:
    shared.be("<b>x</b>", report=StationReport(waits=True, why="<script>alert(1)</script>\u202e"))
    page = served.by(ADA).get("/fleet").text
    assert "<script>alert" not in page
    assert "<b>x" not in page
    assert "\u202e" not in page


def test_every_page_leads_there_where_the_ledger_is_shared_and_none_where_it_is_a_file(
    shared: SharedLedger, served: Served, tmp_path: Path
) -> None:
    shared.be("ct-1")
    assert '<a href="/fleet"' in served.by(LOU).get("/").text
    alone = tmp_path / "alone"
    alone.mkdir()
    Ledger(open_database(alone / "ledger.sqlite")).close()
    other = Served(alone, Time())
    assert "/fleet" not in other.by(LOU).get("/").text
    assert other.by(LOU).get("/fleet").status_code == 404


def test_the_list_tells_the_station_and_shows_what_one_has_taken(shared: SharedLedger, served: Served) -> None:
    shared.be("ct-1").receive()
    shared.be("mr-2").receive()
    every, of_one = (served.by(ADA).get(path).text for path in ("/list", "/list?station=mr-2"))
    assert ("<td>ct-1</td>" in every, "<td>mr-2</td>" in every) == (True, True)
    assert ("<td>ct-1</td>" in of_one, "<td>mr-2</td>" in of_one) == (False, True)
    rows = csv.DictReader(io.StringIO(served.by(ADA).get("/list.csv?station=mr-2").text.lstrip("\ufeff")))
    assert [row["station"] for row in rows] == ["mr-2"]
    assert "<dt>station</dt><dd>ct-1</dd>" in served.by(ADA).get("/item/1").text


def test_the_metrics_of_the_page_count_the_stations(shared: SharedLedger, served: Served) -> None:
    shared.be("ct-1")
    assert 'xnat_watchd_stations{condition="well"} 1.0' in served.by(LOU).get("/metrics").text
