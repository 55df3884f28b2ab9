from __future__ import annotations

import time
from datetime import UTC, datetime

from xnat_watchd.adapters.clock import SystemClock
from xnat_watchd.core.ports import Clock


def test_the_clock_gives_the_time_of_day_in_utc_and_says_so() -> None:
    clock: Clock = SystemClock()
    before, now, after = datetime.now(UTC), clock.now(), datetime.now(UTC)
    assert before <= now <= after
    assert now.tzinfo is UTC


def test_the_clock_gives_the_seconds_that_never_jump() -> None:
    clock: Clock = SystemClock()
    assert time.monotonic() <= clock.monotonic() <= clock.monotonic() <= time.monotonic()
