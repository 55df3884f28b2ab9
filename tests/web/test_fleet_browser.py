"""The page of all stations in a real Chromium: with thirty of them it is readable, also on a phone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.services.test_fleet import DOWN, FULL, hold
from tests.stations import SharedLedger
from tests.web.chromium import PICTURES, TAGS, WIDTHS, browser
from tests.web.test_server import link_of, serving
from xnat_watchd.core.station_report import StationReport

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["browser"]  # a fixture

PHONE = {"width": 360, "height": 800}


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[SharedLedger]:
    """Yield thirty stations, and some of them in trouble."""
    made = SharedLedger(tmp_path)
    for number in range(26):
        made.be(f"xa-{number:02}", report=StationReport(free=(800 - number) * 1_000_000_000))
    hold(made.be("us-1"))
    made.be("mr-1", report=DOWN)
    made.be("mr-2", report=FULL)
    made.be("pet-1", heard=300)
    yield made
    made.close()


@pytest.fixture
def page(browser: Browser, shared: SharedLedger) -> Iterator[Page]:
    with serving(shared.folder, settings=f'[ledger]\nurl = "{shared.url}"\n'):
        port, path = link_of(shared.folder)
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.goto(f"http://127.0.0.1:{port}{path}")
        page.click("text=Stations")
        page.wait_for_selector("text=pet-1")
        yield page
        context.close()


def test_thirty_stations_break_no_rule_and_are_read_on_a_phone_without_scrolling_sideways(page: Page) -> None:
    from axe_playwright_python.sync_playwright import Axe

    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page, options={"runOnly": TAGS}).response["violations"]
        assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == []
    for width in (*WIDTHS, PHONE["width"]):
        page.set_viewport_size({"width": width, "height": 800})
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wide) <= 0, width
    inside = "(() => { const one = document.querySelector('.stations'); return one.scrollWidth - one.clientWidth; })()"
    assert page.evaluate(inside) <= 0
    if os.environ.get("UPDATE_SCREENSHOTS") == "1":
        page.emulate_media(color_scheme="light")
        page.set_viewport_size({"width": 900, "height": 600})
        page.screenshot(path=PICTURES / "fleet.png")


def test_it_changes_by_itself_when_a_station_is_not_heard_of(page: Page, shared: SharedLedger) -> None:
    from playwright.sync_api import expect

    shared.be("xa-00", heard=500)
    expect(page.locator("h1")).to_contain_text("2 silent", timeout=20_000)
