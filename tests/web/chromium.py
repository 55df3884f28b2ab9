"""A real Chromium for tests. Who imports this is skipped where there is none, or fails where one is demanded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

CHROMIUM = shutil.which("chromium")
NEEDED = os.environ.get("XNAT_WATCHD_NEED_BROWSER") == "1"
if not NEEDED:
    pytest.importorskip("playwright.sync_api")
    pytest.importorskip("axe_playwright_python")
    if CHROMIUM is None:
        pytest.skip("there is no chromium", allow_module_level=True)

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOREIGN = "watchd.example"
ARGUMENTS = [
    "--no-sandbox",  # it may be root who tests
    "--disable-dev-shm-usage",  # a container has little shared memory
    f"--host-resolver-rules=MAP {FOREIGN} 127.0.0.1",
]
WIDTHS = (1280, 640, 320)  #: as they are, at 200 %, and at 400 %
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
PICTURES = Path(__file__).parents[2] / "docs" / "screenshots"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()
