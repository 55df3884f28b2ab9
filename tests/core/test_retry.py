"""Delays grow, end, and do not break when clocks or counters do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnat_watchd.core.retry import LONGEST_DELAY, RetryPolicy, is_due

NOW = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = RetryPolicy()


def test_the_first_delay_is_short_and_later_ones_are_longer() -> None:
    delays = [POLICY.delay(n, 0.5) for n in range(1, POLICY.patience)]
    assert all(delay is not None for delay in delays)
    assert delays == sorted(delays, key=lambda delay: delay or timedelta(0))
    assert delays[0] == timedelta(seconds=15) * 0.75


def test_patience_has_an_end() -> None:
    assert POLICY.delay(POLICY.patience, 0) is None


@given(st.integers(0, 10**9), st.floats(0, 1, exclude_max=True))
def test_no_delay_is_longer_than_the_longest_and_none_is_negative(attempts: int, jitter: float) -> None:
    delay = POLICY.delay(attempts, jitter)
    assert delay is None or timedelta(0) < delay <= POLICY.ceiling <= LONGEST_DELAY


def test_looks_are_close_at_first_and_a_minute_apart_later() -> None:
    assert POLICY.look_delay(NOW, NOW, 0.999) <= timedelta(seconds=2)  # type: ignore[operator]
    late = POLICY.look_delay(NOW, NOW + timedelta(hours=1), 0.5)
    assert late == timedelta(minutes=1) * 0.75


def test_xnat_has_a_deadline_too() -> None:
    assert POLICY.look_delay(NOW, NOW + POLICY.deadline, 0.5) is None


def test_a_clock_that_went_back_does_not_make_a_look_wait_for_years() -> None:
    delay = POLICY.look_delay(NOW, NOW - timedelta(days=3650), 0.5)
    assert delay is not None
    assert delay <= POLICY.look_again


@pytest.mark.parametrize(
    ("due", "expected"),
    [
        (None, False),
        (NOW, True),
        (NOW - timedelta(days=1), True),
        (NOW + timedelta(minutes=5), False),
        (NOW + timedelta(days=3650), True),
    ],
)
def test_what_is_due_beyond_the_longest_delay_is_due_now(due: datetime | None, *, expected: bool) -> None:
    assert is_due(due, NOW) is expected


def test_what_is_not_there_is_looked_for_ever_more_rarely() -> None:
    early, late = (POLICY.look_delay(NOW, NOW + timedelta(minutes=n), 0.5, absent=True) for n in (1, 60))
    assert early == timedelta(seconds=15) * 0.75
    assert late == POLICY.absent_ceiling * 0.75
