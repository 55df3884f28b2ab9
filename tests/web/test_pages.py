"""What the page shows, to whom, and what its buttons do."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.dicom import CANARIES, instance
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.ledgers import fill
from tests.station import Station, Time, zipped
from tests.web.visiting import ADA, LOU, Served
from xnat_watchd.adapters.ledger.opening import open_database
from xnat_watchd.core.errors import Unusable
from xnat_watchd.core.gate import Gate
from xnat_watchd.interfaces.web.reading import HOLDS

DAMAGED = "1 of 2 images is damaged (cut short)"
SCAN = zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 2))])
BAD = zipped([("Quokka 1.dcm", instance(2, 1, 1)), ("Quokka 2.dcm", instance(2, 1, 2)[:-100])])
HOSTILE = "=<img src=x onerror=alert(1)>\u202egpj.zip"


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    at = Time()
    station = Station(tmp_path, FakeGateway(FakeXnat(at), at), at)
    yield station
    station.close()


@pytest.fixture
def served(station: Station) -> Served:
    return Served(station.folders.drop.parent, station.time)


def test_now_says_what_needs_somebody_and_why(station: Station, served: Served) -> None:
    station.drop("Zenobia.zip", BAD)
    station.run()
    page = served.by(ADA).get("/").text
    for said in ("1 thing needs attention", "Zenobia.zip", DAMAGED, "<code>xnat-watchd accept 1.1 --why TEXT</code>",
                 'href="/item/1"', "(1) xnat-watchd", "The service does not run."):  # fmt: skip
        assert said in page


def test_now_leads_to_items_alone_and_says_which_of_them_failed(station: Station, served: Served) -> None:
    station.drop("bad.zip", BAD)
    station.drop("notes.zip", zipped([("notes.txt", b"nothing")]))
    station.drop("2.dcm", instance(9, 1, 1))
    station.run()
    station.time.pass_(hours=3)
    station.intake.sweep()
    page = " ".join(served.by(ADA).get("/").text.split())
    states = re.findall(
        r'<span aria-hidden="true">▲</span> (\w+)</span> <a href="/item/(\d)"><strong>([\d.]+)</strong>', page
    )
    assert sorted(states) == [("failed", "2", "2"), ("held", "1", "1.1")]
    assert '<strong class="name">2.dcm</strong>' in page


def test_who_may_only_look_sees_no_name_on_any_page(station: Station, served: Served) -> None:
    station.drop("Zenobia.zip", BAD)
    station.drop("growing Quokka.zip", SCAN[:-30])
    station.run()
    lou = served.by(LOU)
    pages = [lou.get(path).text for path in ("/", "/list", "/list.csv", "/item/1", "/wall", "/health", "/figures")]
    assert DAMAGED in pages[0]
    assert DAMAGED in pages[3]
    for page in pages:
        assert not [name for name in (*CANARIES, ".zip") if name.lower() in page.lower()]
    assert lou.get("/list?q=Zenobia").text.count("<tr>") == lou.get("/list?q=Nobody").text.count("<tr>") > 1
    assert "Quokka" in served.by(ADA).get("/item/1").text


def test_now_shows_whoever_looks_each_kind_of_row_that_needs_somebody(station: Station, served: Served) -> None:
    station.drop("notes.zip", zipped([("notes.txt", b"nothing")]))
    station.drop("2.dcm", instance(9, 1, 1))
    station.run()
    station.time.pass_(hours=3)
    station.intake.sweep()
    station.ledger.shares.refuse("2026 March.csv", Unusable("it has no column `subject`"), station.time.now())
    for who in (ADA, LOU):
        answer = served.by(who).get("/")
        assert answer.status_code == 200
        for said in ("there is no DICOM image in the ZIP", "DICOM without a ZIP", "it has no column"):
            assert said in answer.text


def test_the_metrics_are_for_prometheus_and_hold_no_name_whoever_asks(station: Station, served: Served) -> None:
    station.drop("Zenobia.zip", BAD)
    station.drop("scan.zip", SCAN)
    station.run()
    answer = served.by(ADA).get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'xnat_watchd_studies_reached_total{progress="archived",project="P1"} 1.0\n' in answer.text
    assert 'xnat_watchd_needs_attention{kind="studies",scope="P1"} 1.0\n' in answer.text
    assert "xnat_watchd_up 0.0\n" in answer.text
    assert not [name for name in (*CANARIES, ".zip") if name.lower() in answer.text.lower()]


def test_the_wall_holds_no_name_whoever_has_opened_it(station: Station, served: Served) -> None:
    station.drop("Zenobia.zip", BAD)
    station.run()
    wall = served.by(ADA).get("/wall").text
    assert "Needs somebody" in wall
    assert not [name for name in (*CANARIES, ".zip") if name.lower() in wall.lower()]


def test_nobody_reads_that_nothing_needs_attention_where_the_service_does_not_run(served: Served) -> None:
    for path in ("/", "/wall"):
        page = served.by(ADA).get(path).text
        assert "Nothing runs now; nothing else needs attention." in page
        assert "Nothing needs attention" not in page


@pytest.mark.parametrize("other", [{}, {"about": "the moon"}])
def test_what_a_service_of_another_version_has_published_breaks_no_page(
    station: Station, served: Served, other: dict[str, str]
) -> None:
    row = {"item": "disk", "project": "", "why": "it is full", "advice": "Make room.", **other}
    daemon = {"running": True, "pid": os.getpid(), "uploads": [], "heard": None}
    at = datetime.now(UTC).isoformat()
    for said in (
        {"at": at, "daemon": daemon, "attention": [row], "of_service": [row]},
        {"at": at, "daemon": daemon, "attention": [row]},
    ):
        (served.root / "status.json").write_text(json.dumps(said), "utf-8")
        station.time.pass_(seconds=HOLDS + 1)
        for path in ("/", "/wall", "/metrics", "/health"):
            for uid in (ADA, LOU):
                answer = served.by(uid).get(path)
                assert (answer.status_code, path) in ((200, path), (503, "/health"))
                is_told = path in ("/", "/health") and not other and "of_service" in said
                assert ("it is full" in answer.text) == is_told


def test_the_item_tells_its_story_and_counts_images_here_and_on_xnat(station: Station, served: Served) -> None:
    station.drop("scan.zip", SCAN)
    station.run()
    page = " ".join(served.by(ADA).get("/item/1").text.split())
    assert '<td>1</td><td>MR</td><td class="number">2</td><td class="number">2</td>' in page
    assert page.index("seen in the drop folder") < page.index("archived") < page.index("nothing of it is left to do")
    assert served.by(ADA).get("/item/2").status_code == 404
    assert served.by(ADA).get("/item/1.1").status_code == 404


def test_names_are_shown_as_they_are_and_obeyed_by_nothing(station: Station, served: Served) -> None:
    station.drop(HOSTILE.replace("/", "_"), SCAN)
    station.run()
    for path in ("/list", "/item/1"):
        page = served.by(ADA).get(path).text
        assert "<img" not in page
        assert "=&lt;img src=x onerror=alert(1)&gt; gpj.zip" in page
    (row,) = list(csv.DictReader(io.StringIO(served.by(ADA).get("/list.csv").text.lstrip("\ufeff"))))
    assert row["name"] == "'=<img src=x onerror=alert(1)> gpj.zip"


def test_the_list_is_filtered_by_the_address_and_its_csv_holds_the_same_rows(station: Station, served: Served) -> None:
    station.drop("mri_17.zip", SCAN)
    station.drop("bad.zip", BAD)
    station.run()
    ada = served.by(ADA)
    for query, expected in (("", 2), ("state=held", 1), ("q=mri_17", 1), ("project=P2", 0), ("days=1", 2),
                            ("before=2", 1), ("state=nonsense", 2)):  # fmt: skip
        rows = list(csv.DictReader(io.StringIO(ada.get(f"/list.csv?{query}").text.lstrip("\ufeff"))))
        shown = ada.get(f"/list?{query}").text.count('<tr><td><a href="/item/')
        assert (len(rows), shown) == (expected, expected), query


def test_a_long_list_has_pages_and_none_leaves_one_out(served: Served, station: Station) -> None:
    database = open_database(served.root / "ledger.sqlite")
    fill(database, finished=120, waiting=0)
    database.close()
    seen: list[str] = []
    query = ""
    for _ in range(3):
        page = served.by(ADA).get(f"/list.csv?{query}").text.lstrip("\ufeff")
        seen += [row["item"] for row in csv.DictReader(io.StringIO(page))]
        query = f"before={seen[-1]}"
    assert seen == [str(number) for number in range(120, 0, -1)]
    assert 'rel="next" href="/list?before=71"' in served.by(ADA).get("/list").text
    assert 'rel="next"' not in served.by(ADA).get("/list?before=21").text
    assert station.ledger.views.deliveries() == {"finished": 120}


def test_a_page_that_has_not_changed_is_answered_in_a_word(station: Station, served: Served) -> None:
    station.drop("bad.zip", BAD)
    station.run()
    ada = served.by(ADA)
    tag = ada.get("/").headers["ETag"]
    served.time.pass_(seconds=5)
    assert ada.get("/", {"If-None-Match": tag}).status_code == 304
    station.ledger.decisions.skip(1, "", station.time.now())
    served.time.pass_(seconds=5)
    assert ada.get("/", {"If-None-Match": tag}).status_code == 200


def test_the_page_says_since_when_xnat_is_waited_for_as_the_status_does(station: Station, served: Served) -> None:
    since = station.time.now()
    gate = Gate(until=since + timedelta(minutes=4), since=since, why="XNAT is down", advice="Look at it.")
    station.ledger.gates.set("", gate)
    said = f"Waiting for XNAT since {since.astimezone():%H:%M:%S}: XNAT is down. It is asked again "
    for page in ("/", "/wall"):
        assert said in served.by(LOU).get(page).text


def test_without_a_ledger_the_page_says_that_nothing_came_yet(tmp_path: Path) -> None:
    answer = Served(tmp_path / "none", Time()).by(ADA).get("/")
    assert answer.status_code == 503
    assert "Nothing was ever carried here." in answer.text


@pytest.mark.usefixtures("station")
def test_health_is_a_status_that_programs_read(served: Served) -> None:
    answer = served.by(LOU).get("/health")
    assert answer.status_code == 503
    assert "the service runs: no" in answer.text


# -- buttons -----------------------------------------------------------------------------------------------


def test_accept_lets_a_study_go_on_and_the_story_says_who_and_why(station: Station, served: Served) -> None:
    station.drop("bad.zip", BAD)
    station.run()
    ada = served.by(ADA)
    answer = ada.post("/item/1.1/accept", seen=ada.seen("/item/1"), why="the scanner stopped")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/item/1?done=accept")
    assert "by ada" in ada.get("/item/1").text
    assert "the scanner stopped" in ada.get("/item/1").text
    assert "the scanner stopped" not in served.by(LOU).get("/item/1").text
    station.work()
    assert station.standings() == [("1.1", "complete", "done")]


def test_what_has_changed_since_somebody_looked_is_decided_by_nobody(station: Station, served: Served) -> None:
    station.drop("bad.zip", BAD)
    station.run()
    ada = served.by(ADA)
    seen = ada.seen("/item/1")
    assert ada.post("/item/1.1/skip", seen=seen, why="test scan").status_code == 303
    for decision in ("accept", "retry", "skip", "resend"):
        answer = ada.post(f"/item/1.1/{decision}", seen=seen, why="the second one")
        assert answer.status_code == 409
        assert "it has changed since you looked" in answer.text
    assert "the second one" not in ada.get("/item/1").text


def test_retry_and_resend_go_by_the_own_name(station: Station, served: Served) -> None:
    station.drop("undated.zip", UNDATED)
    station.run()
    ada = served.by(ADA)
    for decision in ("retry", "resend"):
        assert ada.post(f"/item/1.1/{decision}", seen=ada.seen("/item/1"), why=f"{decision} it").status_code == 303
        station.work()
        assert f"by ada: {decision} it" in ada.get("/item/1").text


UNDATED = zipped([("1.dcm", instance(1, 1, 1, date=""))])  # no label can be made of that


def test_a_study_is_retried_under_a_label_and_a_subject_of_ones_choice(station: Station, served: Served) -> None:
    station.drop("undated.zip", UNDATED)
    station.run()
    ada = served.by(ADA)
    refused: list[dict[str, Any]] = [{"label": "A B"}, {"subject": "x/y"}, {"project": "é" * 101}, {"label": "_"}]
    for wrong in refused:
        answer = ada.post("/item/1.1/retry", seen=ada.seen("/item/1"), **wrong)
        assert answer.status_code == 409
        assert "XNAT takes letters, digits, - and _ only." in answer.text
    chosen: dict[str, Any] = {"label": " VISIT_1 ", "subject": "ZQ", "why": "as the list says"}
    assert ada.post("/item/1.1/retry", seen=ada.seen("/item/1"), **chosen).status_code == 303
    station.work()
    (row,) = station.ledger.views._db.rows("SELECT subject, label, progress FROM studies")
    assert tuple(row) == ("ZQ", "VISIT_1", "complete")


def test_a_study_is_retried_in_another_project(station: Station, served: Served) -> None:
    station.drop("undated.zip", UNDATED)
    station.run()
    ada = served.by(ADA)
    assert ada.post("/item/1.1/retry", seen=ada.seen("/item/1"), project="P2", label="V1").status_code == 303
    (row,) = station.ledger.views._db.rows("SELECT project, label FROM studies")
    assert tuple(row) == ("P2", "V1")
    assert "moved: to another project" in ada.get("/item/1").text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (SCAN, ["resend"]),
        (BAD, ["accept", "skip"]),
        (UNDATED, ["retry", "skip", "resend"]),
        (
            zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 2, patient="X", name="Other^Person"))]),
            ["skip"],
        ),
    ],
)
def test_only_decisions_that_may_fit_have_a_button(
    station: Station, served: Served, content: bytes, expected: list[str]
) -> None:
    station.drop("some.zip", content)
    station.run()
    page = served.by(ADA).get("/item/1").text
    assert re.findall(r'action="/item/1.1/(\w+)"', page) == expected
    for decision in {"accept", "retry", "skip", "resend"} - {*expected}:  # what is not offered would be refused
        seen = served.by(ADA).seen("/item/1")
        assert served.by(ADA).post(f"/item/1.1/{decision}", seen=seen, why="x").status_code == 409


def test_what_cannot_be_done_says_why(station: Station, served: Served) -> None:
    station.drop("scan.zip", SCAN)
    station.run()
    ada = served.by(ADA)
    seen = ada.seen("/item/1")
    for decision, said in (("retry", "it is not held"), ("accept", "it is not held"), ("skip", "it is done already")):
        answer = ada.post(f"/item/1.1/{decision}", seen=seen, why="x")
        assert answer.status_code == 409
        assert said in answer.text
    assert ada.post("/item/1.2/retry", seen=seen).status_code == 409
    assert ada.post("/item/1.1/destroy", seen=seen).status_code == 404
    assert ada.post("/item/1.1/skip", seen=seen).text.count("a reason is missing") == 1
    assert ada.post("/item/1.1/resend").status_code == 400


def test_a_rejected_zip_is_settled(station: Station, served: Served) -> None:
    station.drop("empty.zip", zipped([("notes.txt", b"nothing")]))
    station.run()
    ada = served.by(ADA)
    assert "thing needs attention" in ada.get("/").text
    assert ada.post("/item/1/skip", seen=ada.seen("/item/1"), why="only notes").status_code == 303
    assert "Nothing runs now; nothing else needs attention" in ada.get("/").text


def test_pause_and_resume(station: Station, served: Served) -> None:
    ada = served.by(ADA)
    seen = ada.seen("/")
    assert ada.post("/pause", seen=seen, why="maintenance for Quokka").status_code == 303
    assert "ada has paused it" in ada.get("/").text
    assert "maintenance for Quokka" in ada.get("/").text
    assert "Quokka" not in served.by(LOU).get("/").text
    assert ada.post("/pause", seen=seen).status_code == 409
    assert ada.post("/resume", seen=seen).status_code == 409
    assert ada.post("/resume", seen=ada.seen("/")).status_code == 303
    assert "Paused" not in ada.get("/").text
    assert not station.ledger.pauses.open()


# -- speed -------------------------------------------------------------------------------------------------


def test_five_thousand_held_studies_are_shown_in_a_third_of_a_second(served: Served, station: Station) -> None:
    database = open_database(served.root / "ledger.sqlite")
    fill(database, finished=0, waiting=5000)
    with database.change() as db:
        db.execute("UPDATE studies SET standing = 'held', why = 'a reason', advice = '`xnat-watchd show ITEM`'")
    database.close()
    assert station.ledger.views.studies() == {"received": {"held": 5000}}
    pages = ("/", "/list?state=held", "/item/2500", "/figures", "/wall", "/health")
    for who, path in product((ADA, LOU), pages):
        took = []
        for _ in range(3):
            served.time.pass_(seconds=5)
            began = time.process_time()
            assert served.by(who).get(path).status_code in (200, 503)
            took.append(time.process_time() - began)
        assert min(took) < 0.3, (who, path)
