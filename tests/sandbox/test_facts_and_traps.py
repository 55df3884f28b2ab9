"""Every fact and trap that the practice XNAT must play has a test or a row that names it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent
FACTS = (11, 14, 18, *range(29, 33), *range(36, 39), *range(41, 45), *range(46, 49), 59, 61, 62, 64, *range(66, 78))
TRAPS = range(1, 37)  # contract section 13


def _named(pattern: str, files: Iterable[Path]) -> set[int]:
    """Give the numbers behind such a word in the comments of these files."""
    comments = (line.partition("# ")[2] for file in files for line in file.read_text(encoding="utf-8").splitlines())
    return {int(number) for comment in comments for number in re.findall(pattern, comment)}


def test_every_fact_has_its_test() -> None:
    assert _named(r"\bF(\d+)\b", HERE.glob("test_*.py")) >= set(FACTS)


def test_every_trap_has_its_test_or_its_row() -> None:
    assert _named(r"\btrap (\d+)\b", [*HERE.glob("test_*.py"), *HERE.glob("contract/*.py")]) >= set(TRAPS)
