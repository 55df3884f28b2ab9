"""What may still be done, by when the ledger was last heard of."""

from __future__ import annotations

import pytest

from xnat_watchd.core.lease import LEASE, RENEWED_EVERY, StationLease


class Seconds:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (0.0, (False, True, True)),
        (RENEWED_EVERY, (True, True, True)),
        (LEASE / 2 - 0.1, (True, True, True)),
        (LEASE / 2, (True, False, True)),
        (LEASE - 0.1, (True, False, True)),
        (LEASE, (True, False, False)),
        (86400.0, (True, False, False)),
    ],
)
def test_nothing_new_is_begun_after_half_of_the_lease_and_nothing_goes_on_after_all_of_it(
    after: float, told: tuple[bool, bool, bool]
) -> None:
    seconds = Seconds()
    lease = StationLease(seconds)
    lease.renewed = seconds.at
    seconds.at += after
    assert (lease.is_due(), lease.may_begin(), lease.lasts()) == told


def test_where_no_lease_is_needed_everything_may_be_done_for_ever() -> None:
    lease = StationLease(Seconds())
    assert (lease.is_due(), lease.may_begin(), lease.lasts()) == (False, True, True)
