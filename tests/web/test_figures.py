"""The page of figures: every chart also says in words and as a table what it shows, and 100,000 studies are counted."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dicom import instance
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.ledgers import fill
from tests.station import Station, Time, zipped
from tests.web.visiting import ADA, LOU, Served
from xnat_watchd.adapters.ledger.ledger import Ledger
from xnat_watchd.adapters.ledger.opening import open_database

SCAN = zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 2))])
BAD = zipped([("Quokka 1.dcm", instance(2, 1, 1)), ("Quokka 2.dcm", instance(2, 1, 2)[:-100])])
SPREAD = "strftime('%Y-%m-%dT%H:%M:%S.000000+00:00', '{}', '-' || (key * 315) || ' seconds')"
"""A time for each study: 100,000 of them in a year."""


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    at = Time()
    station = Station(tmp_path, FakeGateway(FakeXnat(at), at), at)
    yield station
    station.close()


@pytest.fixture
def served(station: Station) -> Served:
    return Served(station.folders.drop.parent, station.time)


def test_each_chart_has_a_title_a_sum_and_a_table(station: Station, served: Served) -> None:
    station.drop("scan.zip", SCAN)
    station.drop("bad.zip", BAD)
    station.take_in()
    station.time.pass_(minutes=5)
    station.work()
    for span, periods in (("day", 24), ("month", 30), ("year", 53), ("nonsense", 24)):
        page = served.by(LOU).get(f"/figures?span={span}").text
        assert page.count('<svg class="chart"') == page.count("<details>") == 4
        for title, said in (
            ("Studies archived", "1 in the last"), ("Data in finished ZIPs", "in the last"),
            ("Deliveries not finished", "1 now, with those that are held"),
            ("Time from arrival to archive", "half within 5 min, 95 of 100 within 5 min"),
        ):  # fmt: skip
            assert re.search(rf'role="img" aria-label="{title}: [^"]*{said}', page), title
            assert re.search(rf"<h2[^>]*>{title}</h2>", page)
        rows = re.findall(r"<tr><td>[^<]*</td>(?:<td class=\"number\">[^<]*</td>)+</tr>", page)
        assert len(rows) == 4 * periods
        assert "N of N images is damaged (cut short)" in page


def test_the_figures_are_counted_anew_every_minute(station: Station, served: Served) -> None:
    served.by(LOU).get("/figures")
    station.drop("scan.zip", SCAN)
    station.run()
    served.time.pass_(seconds=45)
    assert "0 in the last 24 hours" in served.by(LOU).get("/figures").text
    served.time.pass_(seconds=10)
    assert "1 in the last 24 hours" in served.by(LOU).get("/figures").text
    tag = served.by(LOU).get("/figures").headers["ETag"]
    assert served.by(LOU).get("/figures", {"If-None-Match": tag}).status_code == 304


@pytest.mark.thorough
@pytest.mark.usefixtures("station")
def test_a_hundred_thousand_studies_are_counted_in_a_third_of_a_second(served: Served) -> None:
    path = served.root / "ledger.sqlite"
    database = open_database(path)
    fill(database, finished=100_000, waiting=0)
    moment = SPREAD.format(served.time.now().strftime("%Y-%m-%d %H:%M:%S"))
    with database.change() as db:
        db.execute(f"UPDATE deliveries SET arrived = {moment.replace('key', 'id')}, size = id * 1000")  # noqa: S608 - ours
        db.execute("UPDATE deliveries SET ended = arrived")
        db.execute(
            "INSERT INTO events (at, delivery, study, event, progress)"  # noqa: S608 - ours
            f" SELECT {moment}, delivery, key, 'advanced', 'archived' FROM studies"
        )
        db.execute(
            "INSERT INTO events (at, delivery, study, event, why)"  # noqa: S608 - ours
            f" SELECT {moment}, delivery, key, 'held', key || ' images are damaged' FROM studies WHERE key % 20 = 0"
        )
    database.close()
    page = ""
    for span in ("day", "month", "year"):
        took = []
        for _ in range(3):
            served.time.pass_(seconds=61)
            began = time.process_time()
            page = served.by(ADA).get(f"/figures?span={span}").text
            took.append(time.process_time() - began)
        assert "N images are damaged" in page
        assert min(took) < 0.3, span
    assert "99," in page or "100,000" in page
    assert Ledger(open_database(path, read_only=True)).views.deliveries() == {"finished": 100_000}
