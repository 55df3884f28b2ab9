"""The page in a real Chromium: what a browser shows, refuses and lets a person do. Skips where there is none.

XNAT_WATCHD_NEED_BROWSER=1 fails instead. UPDATE_SCREENSHOTS=1 makes the pictures of the documentation anew.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tests.dicom import instance
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.ledgers import add_archived
from tests.station import Station, Time, zipped
from tests.web.chromium import FOREIGN, PICTURES, TAGS, WIDTHS, browser
from tests.web.test_server import link_of, serving
from xnat_watchd.adapters.ledger.opening import open_database

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["browser"]  # a fixture

BAD = zipped([("1.dcm", instance(2, 1, 1, date="20240302")), ("2.dcm", instance(2, 1, 2, date="20240302")[:-100])])
SCAN = zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 2))])
NO_DATE = zipped([("1.dcm", instance(3, 1, 1, date=""))])
TWO_PEOPLE = zipped([("1.dcm", instance(4, 1, 1)), ("2.dcm", instance(4, 1, 2, patient="X", name="Other^Person"))])
NOTES = zipped([("notes.txt", b"nothing")])
PAGES = ("/", "/list", "/list?state=held", "/item/1", "/item/2", "/figures", "/figures?span=year", "/wall", "/health",
         "/item/99")  # fmt: skip


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Station, str, str]]:
    """Yield a workstation, the origin of its page, and the path of a link."""
    at = Time()
    station = Station(tmp_path, FakeGateway(FakeXnat(at), at), at)
    station.drop("Quokka.zip", SCAN)
    station.drop("damaged.zip", BAD)
    station.run()
    root = station.folders.drop.parent
    with serving(root):
        port, path = link_of(root)
        yield station, f"http://127.0.0.1:{port}", path
    station.close()


@pytest.fixture
def page(browser: Browser, served: tuple[Station, str, str]) -> Iterator[Page]:
    _, origin, path = served
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.goto(origin + path)
    yield page
    context.close()


@contextmanager
def another_site(body: str) -> Iterator[str]:
    """Serve one page at another port of this machine, and yield its origin."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_no_page_breaks_an_accessibility_rule_in_light_or_dark_or_scrolls_sideways_when_enlarged(
    page: Page, served: tuple[Station, str, str]
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    _, origin, _ = served
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    for path in PAGES:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.goto(origin + path)
            page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            found = Axe().run(page, options={"runOnly": TAGS}).response["violations"]
            assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == [], path
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, (path, width)
        page.set_viewport_size({"width": 1280, "height": 800})
    assert [text for text in said if "Content Security Policy" in text] == []


def test_the_tab_key_reaches_all_that_can_be_used_and_shows_where_it_is(
    page: Page, served: tuple[Station, str, str]
) -> None:
    _, origin, _ = served
    usable = "a[href], button, input:not([type=hidden]), select, summary"
    for path in ("/", "/list", "/item/2", "/figures"):
        page.goto(origin + path)
        page.evaluate(f"window.left = new Set(document.querySelectorAll('{usable}'))")
        unseen = []
        for _ in range(page.evaluate("window.left.size") + 10):
            page.keyboard.press("Tab")
            shown = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            on = page.evaluate("window.left.delete(document.activeElement) && document.activeElement.outerHTML")
            unseen += [on] if on and shown == "none" else []
        assert page.evaluate("[...window.left].map((one) => one.outerHTML)") == [], path
        assert unseen == [], path


@pytest.mark.parametrize("scripts", [True, False], ids=["with-javascript", "without"])
def test_every_button_does_what_it_says(browser: Browser, served: tuple[Station, str, str], *, scripts: bool) -> None:
    station, origin, path = served
    for name, content in (("undated.zip", NO_DATE), ("two.zip", TWO_PEOPLE), ("notes.zip", NOTES)):
        station.drop(name, content)
        station.take_in()
    station.work()
    context = browser.new_context(java_script_enabled=scripts)
    page = context.new_page()
    page.goto(origin + path)

    def press(item: str, decision: str, **fields: str) -> None:
        page.goto(f"{origin}/item/{item.partition('.')[0]}")
        form = page.locator(f'form[action="/item/{item}/{decision}"]')
        for name, text in fields.items():
            form.locator(f"[name={name}]").fill(text)
        form.get_by_role("button", name=f"{decision.capitalize()} {item}", exact=True).click()
        page.wait_for_selector("text=Recorded.")
        station.work()

    press("1.1", "resend", why="it was deleted there")
    press("2.1", "accept", why="the scanner stopped")
    press("3.1", "retry", label="VISIT_3")
    press("4.1", "skip", why="it is exported again")
    press("5", "skip", why="only notes")
    ended = {item: standing for item, _, standing in station.standings()}
    assert ended == {"1.1": "done", "2.1": "done", "3.1": "done", "4.1": "skipped"}
    for decision, said in (("Pause", "Paused:"), ("Resume", "Nothing is sent to XNAT until somebody resumes")):
        page.goto(f"{origin}/")
        page.get_by_role("button", name=decision, exact=True).click()
        page.wait_for_selector(f"text={said}")
        assert bool(station.ledger.pauses.open()) == (decision == "Pause")
    page.goto(f"{origin}/")
    assert page.get_by_text("nothing else needs attention").count() == 1
    context.close()


def test_a_decision_is_taken_with_the_keyboard_alone(page: Page, served: tuple[Station, str, str]) -> None:
    station, origin, _ = served
    page.goto(f"{origin}/item/2")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "why-2.1-accept":
            break
    page.keyboard.type("the scanner stopped")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Recorded.")
    assert ("2.1", "received", "ready") in station.standings()


def test_the_page_moves_by_itself_and_takes_no_words_away(page: Page, served: tuple[Station, str, str]) -> None:
    from playwright.sync_api import expect

    station, origin, _ = served
    page.goto(f"{origin}/")
    assert "(1)" in page.title()
    station.ledger.decisions.skip(2, "by a test", station.time.now())
    expect(page).not_to_have_title(re.compile(r"\(1\)"), timeout=30_000)
    page.fill("#why-pause", "half a sent")
    for _ in range(2):
        with page.expect_response(f"{origin}/"):
            pass
    assert page.input_value("#why-pause") == "half a sent"


def test_it_says_so_when_no_answer_comes_any_more_and_when_one_comes_again(
    page: Page, served: tuple[Station, str, str]
) -> None:
    _, origin, _ = served
    page.clock.install()
    page.goto(f"{origin}/")
    page.context.set_offline(offline=True)
    page.clock.run_for(15_000)
    assert page.locator("#stale").is_hidden()
    page.clock.run_for(15_000)
    page.wait_for_selector("#stale:not([hidden]) >> text=The page gets no answer any more")
    page.context.set_offline(offline=False)
    page.clock.run_for(10_000)
    page.wait_for_selector("#stale", state="hidden")


def test_it_says_so_when_it_shows_an_old_state_since_somebody_types(
    page: Page, served: tuple[Station, str, str]
) -> None:
    from playwright.sync_api import expect

    station, origin, _ = served
    page.clock.install()
    page.goto(f"{origin}/")
    page.fill("#why-pause", "half a sent")
    station.ledger.decisions.skip(2, "by a test", station.time.now())
    page.clock.run_for(30_000)
    page.wait_for_selector("#stale:not([hidden]) >> text=This is not renewed while something is typed here")
    assert page.input_value("#why-pause") == "half a sent"
    page.fill("#why-pause", "")
    page.evaluate("document.activeElement.blur()")
    page.clock.run_for(6_000)
    expect(page).not_to_have_title(re.compile(r"\(1\)"), timeout=30_000)
    page.wait_for_selector("#stale", state="hidden")


def test_a_screen_whose_login_has_ended_says_so_in_place_of_the_state(
    page: Page, served: tuple[Station, str, str]
) -> None:
    from playwright.sync_api import expect

    _, origin, _ = served
    page.clock.install()
    page.goto(f"{origin}/wall")
    page.context.clear_cookies()
    page.clock.run_for(6_000)
    expect(page.locator("h1")).to_have_text("Who are you?")
    expect(page.locator("main")).to_contain_text("xnat-watchd web --open")
    page.clock.run_for(30_000)
    page.wait_for_selector("#stale", state="hidden")


def test_a_table_that_was_opened_stays_open_when_the_figures_change(
    page: Page, served: tuple[Station, str, str]
) -> None:
    from playwright.sync_api import expect

    station, origin, _ = served
    page.clock.install()
    page.goto(f"{origin}/figures?span=year")
    page.locator("summary").nth(1).click()
    page.evaluate("document.querySelector('main').dataset.before = 'yes'")
    add_archived(station.ledger.deliveries._db, [(datetime.now(UTC), timedelta(0), 3_000_000_000, "")])
    restarted = "fetch = ((was) => (address, more) => was(address + '&' + Math.random(), more))(fetch)"
    page.evaluate(restarted)  # the span is the same, and so is what is kept for a minute
    page.clock.run_for(6_000)
    expect(page.locator("main:not([data-before])")).to_have_count(1)
    assert page.evaluate("[...document.querySelectorAll('details')].map((one) => one.open)") == [
        False, True, False, False,
    ]  # fmt: skip
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_a_changed_item_is_not_decided_and_without_javascript_all_works(
    browser: Browser, served: tuple[Station, str, str]
) -> None:
    station, origin, path = served
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(origin + path)
    page.goto(f"{origin}/item/2")
    station.ledger.decisions.skip(2, "by another", station.time.now())
    page.fill('[id="why-2.1-accept"]', "too late")
    page.press('[id="why-2.1-accept"]', "Enter")
    page.wait_for_selector("text=it has changed since you looked")
    context.close()


def test_another_site_can_neither_frame_it_nor_send_its_forms_nor_read_it(
    page: Page, served: tuple[Station, str, str]
) -> None:
    station, origin, _ = served
    body = (
        f'<iframe src="{origin}/"></iframe>'
        f'<form id="f" method="post" action="{origin}/pause"><input name="seen" value="0"></form>'
    )
    with another_site(body) as evil:
        page.goto(evil)
        page.wait_for_timeout(500)
        framed = next(frame for frame in page.frames if frame is not page.main_frame)
        assert "xnat-watchd" not in framed.content()
        read = f"fetch('{origin}/', {{credentials: 'include'}}).then(() => 'read', () => 'refused')"
        assert page.evaluate(read) == "refused"
        page.evaluate("document.getElementById('f').submit()")
        page.wait_for_selector("text=This was not sent by a page of this service.")
    assert station.ledger.pauses.open() == []


def test_a_foreign_name_for_this_machine_shows_nothing(page: Page, served: tuple[Station, str, str]) -> None:
    _, origin, path = served
    answer = page.goto(f"{origin.replace('127.0.0.1', FOREIGN)}{path}")
    assert answer is not None
    assert answer.status == 403  # HTTP's


# -- the pictures of the documentation ---------------------------------------------------------------------------


@pytest.mark.skipif(os.environ.get("UPDATE_SCREENSHOTS") != "1", reason="UPDATE_SCREENSHOTS=1 makes them anew")
def test_the_pictures_are_made(browser: Browser) -> None:
    """Show the demo: the service, a practice XNAT and invented patients; then a month of invented figures."""
    from xnat_watchd.interfaces.cli import demo

    with demo._stage() as stage:
        dropped = demo._drop_samples(stage.root)
        end = time.monotonic() + demo.LONGEST
        rows: list[dict[str, Any]] = []
        while len(rows) < dropped or not all(map(demo._at_rest, rows)) or not demo._is_listed(stage):
            assert time.monotonic() < end
            time.sleep(demo.LOOK)
            rows = demo._deliveries(stage.root, dropped)
        held = next(row["id"] for row in rows if row["state"] == "taken")
        page = browser.new_context(viewport={"width": 900, "height": 600}).new_page()
        page.goto(stage.page)
        origin = stage.page.partition("/enter/")[0]
        PICTURES.mkdir(exist_ok=True)
        for name, path in (
            ("now", "/"),
            ("item", f"/item/{held}"),
            ("wall", "/wall"),
            ("figures", "/figures?span=month"),
        ):
            if name == "figures":
                database = open_database(stage.root / "ledger.sqlite")
                add_archived(database, a_month_of_work(datetime.now(UTC)))
                database.close()
            page.goto(origin + path)
            page.screenshot(path=PICTURES / f"{name}.png", full_page=name in ("item", "figures"))


def a_month_of_work(now: datetime) -> Iterator[tuple[datetime, timedelta, int, str]]:
    """Yield what a scanner may have done in a month, with less at the weekends."""
    chance = Random(11)
    for day in range(30):
        morning = (now - timedelta(days=day)).replace(hour=7, minute=0)
        busy = 5 if morning.weekday() > 4 else chance.randint(18, 30)
        for _ in range(busy):
            arrived = morning + timedelta(minutes=chance.randrange(600))
            took = timedelta(seconds=90 + chance.expovariate(1 / 240))
            why = chance.choice(["2 of 40 images are damaged (cut short)", "the study date is missing or not a date",
                                 "two patients in one study"]) if chance.random() < 0.03 else ""  # fmt: skip
            if arrived + took < now:
                yield arrived, took, chance.randint(40_000_000, 900_000_000), why
