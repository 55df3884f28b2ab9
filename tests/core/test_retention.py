"""Which ZIPs may be deleted, and whether a clock was set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from xnat_watchd.core.clock_jumps import ClockOffset
from xnat_watchd.core.retention import KeptZip, RetentionRules, deletable, overdue

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def kept(number: int, days: float, size: int = 10, *, proved: bool = True) -> KeptZip:
    return KeptZip(
        delivery=number, project="P1", kept_as=f"done/{number}", sha256="", size=size,
        since=NOW - timedelta(days=days), studies=(number,), stays="" if proved else "held",
    )  # fmt: skip


def numbers(found: list[KeptZip]) -> list[int]:
    return [one.delivery for one in found]


def test_everything_is_kept_for_ever_by_itself() -> None:
    assert RetentionRules().everything
    assert deletable([kept(1, 9999)], RetentionRules(), NOW) == []


def test_what_lies_there_for_too_long_may_go_and_the_oldest_first() -> None:
    some = [kept(1, 29), kept(2, 31), kept(3, 400)]
    assert numbers(deletable(some, RetentionRules(timedelta(days=30)), NOW)) == [3, 2]


def test_of_what_is_too_much_the_oldest_go_until_it_fits() -> None:
    some = [kept(1, 3), kept(2, 2), kept(3, 1)]
    assert numbers(deletable(some, RetentionRules(size=30), NOW)) == []
    assert numbers(deletable(some, RetentionRules(size=29), NOW)) == [1]
    assert numbers(deletable(some, RetentionRules(size=5), NOW)) == [1, 2, 3]


def test_what_the_ledger_does_not_call_proved_stays_and_still_takes_room() -> None:
    some = [kept(1, 3, proved=False), kept(2, 2), kept(3, 1)]
    assert numbers(deletable(some, RetentionRules(timedelta(0), 20), NOW)) == [2, 3]
    assert numbers(deletable(some, RetentionRules(size=20), NOW)) == [2]


@given(st.lists(st.tuples(st.floats(-100, 100), st.integers(1, 50), st.booleans()), max_size=8), st.integers(0, 200))
def test_no_more_goes_than_must(zips: list[tuple[float, int, bool]], size: int) -> None:
    some = [kept(n, days, much, proved=proved) for n, (days, much, proved) in enumerate(zips)]
    gone = deletable(some, RetentionRules(size=size), NOW)
    left = sum(one.size for one in some) - sum(one.size for one in gone)
    assert all(not one.stays for one in gone)
    assert not gone or left + gone[-1].size > size
    assert left <= size or all(one.stays for one in some if one not in gone)


def test_people_are_told_why_something_stays_only_once_its_time_has_come() -> None:
    some = [kept(1, 31, proved=False), kept(2, 31), kept(3, 29, proved=False)]
    assert numbers(overdue(some, RetentionRules(timedelta(days=30)), NOW)) == [1]
    assert overdue(some, RetentionRules(size=1), NOW) == []


def test_what_came_to_rest_in_the_future_is_not_old() -> None:
    assert deletable([kept(1, -400)], RetentionRules(timedelta(days=1)), NOW) == []


def test_a_clock_is_set_when_it_does_not_agree_with_the_time_that_passes() -> None:
    steady = ClockOffset(NOW, 100.0)
    assert steady.jump(NOW + timedelta(days=3), 100.0 + 3 * 86400) == timedelta(0)
    assert steady.jump(NOW + timedelta(days=13), 100.0 + 3 * 86400) == timedelta(days=10)
    assert steady.jump(NOW + timedelta(days=13), 100.0 + 3 * 86400) == timedelta(0)
    assert steady.jump(NOW, 100.0 + 3 * 86400) == timedelta(days=-13)
