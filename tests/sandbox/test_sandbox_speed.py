"""What the practice XNAT costs: no upload is ever whole in its memory. `tests/sandbox/speed.py` prints figures."""

from __future__ import annotations

import pytest

from tests.sandbox.speed import MIB, measured


@pytest.mark.parametrize("dialect", ["1.6", "1.8"])
def test_an_import_is_never_whole_in_memory(dialect: str) -> None:
    figures = measured(dialect, 48 * MIB, often=50)
    assert figures.size > 45 * MIB
    assert figures.memory_after - figures.memory_before < 16 * MIB
