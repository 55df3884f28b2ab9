from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

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


def test_the_uptime_goes_on_while_the_machine_sleeps() -> None:
    before, after = time.clock_gettime(time.CLOCK_BOOTTIME), SystemClock().uptime()
    assert before <= after <= time.clock_gettime(time.CLOCK_BOOTTIME)


@pytest.mark.parametrize("off", [timedelta(hours=3), timedelta(minutes=-5), timedelta(seconds=2)])
def test_a_clock_that_is_followed_is_gone_by_where_the_machine_s_is_wrong(off: timedelta) -> None:
    clock = SystemClock()
    clock.follow(datetime.now(UTC) + off)
    assert abs(clock.now() - datetime.now(UTC) - off) < timedelta(seconds=1)
    clock.follow(datetime.now(UTC) + timedelta(milliseconds=300))  # on the way there
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(milliseconds=100)
