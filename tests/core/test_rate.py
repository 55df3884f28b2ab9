"""The rate at which bytes are sent, over the last minutes."""

from __future__ import annotations

from xnat_watchd.core.rate import WINDOW, Rate


def test_a_rate_is_told_once_enough_was_seen() -> None:
    rate = Rate()
    assert rate.per_second() == 0
    rate.add(0, 0)
    rate.add(10, 1000)
    assert rate.per_second() == 0
    rate.add(30, 3000)
    assert rate.per_second() == 100


def test_what_is_long_ago_does_not_count() -> None:
    rate = Rate()
    rate.add(0, 0)
    rate.add(10, 1_000_000)
    for moment in (WINDOW, 2 * WINDOW):
        rate.add(moment, 1_000_000)
    assert rate.per_second() == 0


def test_a_total_that_begins_anew_at_midnight_is_no_negative_rate() -> None:
    rate = Rate()
    rate.add(0, 5000)
    rate.add(30, 6000)
    rate.add(31, 10)
    assert rate.per_second() == 0
    rate.add(61, 310)
    assert rate.per_second() == 10
