"""Every fact that the practice XNAT must play has a test that names it, or a row of the table for 1.8."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent
FACTS = (11, 14, 18, *range(29, 33), *range(36, 39), *range(41, 45), *range(46, 49), 59, 61, 62, 64, *range(66, 78))
#: The traps for a client of a newer server.
TRAPS = (
    29, 36, 37, 47, 49, 103, 104, 105, 108, 124, 132, 136, 138, 139, 141, 147, 151, 152, 168, 170, 172, 173, 176, 181,
    183, 191, 193, 194, 196, 197, 210, 211, 215, 216, 217, 233,
)  # fmt: skip


def _named(files: Iterable[Path]) -> set[int]:
    """Return the facts that the comments of these files name."""
    comments = (line.partition("# ")[2] for file in files for line in file.read_text(encoding="utf-8").splitlines())
    return {int(number) for comment in comments for number in re.findall(r"\bF(\d+)\b", comment)}


def test_every_fact_has_its_test() -> None:
    assert _named(HERE.glob("test_*.py")) >= set(FACTS)


def test_every_trap_has_its_test_or_its_row() -> None:
    assert _named([*HERE.glob("test_*.py"), *HERE.glob("contract/*.py")]) >= set(TRAPS)
