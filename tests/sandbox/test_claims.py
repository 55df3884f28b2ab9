"""The page that says where the practice XNAT has its answers from is what the tests say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sandbox.claims import ASSUMED, PAGE, Assumption, page

LIVE = Path(__file__).resolve().parents[1] / "adapters" / "contract"


def test_the_page_is_what_the_tests_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "`python -m tests.sandbox.claims` writes it anew"


@pytest.mark.parametrize("one", ASSUMED, ids=lambda one: one.name)
def test_an_assumption_has_a_live_test(one: Assumption) -> None:
    texts = [path.read_text(encoding="utf-8") for path in LIVE.glob("test_*.py")]
    assert any(f"def {one.test}(" in text for text in texts)
