"""Whatever people, time, other clients and broken lines do: no image is lost, doubled or mixed."""

from __future__ import annotations

import pytest

from tests.stateful.machine import run

SEED = 11


@pytest.mark.parametrize("dialect", ["1.8", "1.6"])
def test_whatever_happens_no_image_is_lost_doubled_or_mixed(dialect: str) -> None:
    done, _ = run(dialect, 400, SEED, shrink=False)
    assert done.total() > 400
