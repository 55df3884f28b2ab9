"""The page in a real Chromium: what a browser shows, refuses and lets a person do. Skips where there is none.

XNAT_WATCHD_NEED_BROWSER=1 fails instead. XNAT_WATCHD_SCREENSHOTS=DIR writes pictures of the pages there.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.dicom import instance
from tests.fake_xnat import FakeGateway, FakeXnat
from tests.station import Station, Time, zipped
from tests.web.test_server import link_of, serving

CHROMIUM = shutil.which("chromium")
NEEDED = os.environ.get("XNAT_WATCHD_NEED_BROWSER") == "1"
if not NEEDED:
    pytest.importorskip("playwright.sync_api")
    pytest.importorskip("axe_playwright_python")
    if CHROMIUM is None:
        pytest.skip("there is no chromium", allow_module_level=True)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FOREIGN = "watchd.example"
BAD = zipped([("1.dcm", instance(2, 1, 1)), ("2.dcm", instance(2, 1, 2)[:-100])])
SCAN = zipped([("1.dcm", instance(1, 1, 1)), ("2.dcm", instance(1, 1, 2))])
PAGES = ("/", "/list", "/item/2", "/wall", "/health")
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
SHOTS = os.environ.get("XNAT_WATCHD_SCREENSHOTS")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", f"--host-resolver-rules=MAP {FOREIGN} 127.0.0.1"]
        )
        yield browser
        browser.close()


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


def test_no_page_breaks_an_accessibility_rule_in_light_or_dark_or_at_twice_the_size(
    page: Page, served: tuple[Station, str, str]
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    _, origin, _ = served
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for path in PAGES:
            page.goto(origin + path)
            if SHOTS:
                page.screenshot(path=f"{SHOTS}/page-{path.strip('/').partition('/')[0] or 'now'}-{scheme}.png")
            found = Axe().run(page, options={"runOnly": TAGS}).response["violations"]
            assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == [], path
            page.set_viewport_size({"width": 640, "height": 400})  # 1280 x 800 at 200 %
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, path
            page.set_viewport_size({"width": 1280, "height": 800})
    assert [text for text in said if "Content Security Policy" in text] == []


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


def test_it_says_so_when_no_answer_comes_any_more(page: Page, served: tuple[Station, str, str]) -> None:
    _, origin, _ = served
    page.goto(f"{origin}/")
    page.context.set_offline(True)
    page.wait_for_selector("#stale:not([hidden])", timeout=40_000)


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
