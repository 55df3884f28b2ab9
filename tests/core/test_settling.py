"""A file is whole when nobody has changed anything about it for long enough."""

from __future__ import annotations

import pytest

from xnat_watchd.core.settling import FileStat, WatchedFile, next_quiet, quiet, settle

SCAN = FileStat("scan.zip", size=100, mtime_ns=1, inode=7, device=1, links=1)


def test_a_file_is_quiet_only_after_it_stood_still_for_long_enough() -> None:
    sightings = settle([SCAN], {}, 0)
    assert quiet(sightings, 9.9, 10) == []
    assert quiet(sightings, 10, 10) == [WatchedFile(SCAN, 0, 0)]


@pytest.mark.parametrize("change", ["size", "mtime_ns", "inode", "device", "links"])
def test_any_change_starts_the_quiet_time_anew(change: str) -> None:
    changed = SCAN._replace(**{change: 99})  # type: ignore[arg-type]
    sightings = settle([changed], settle([SCAN], {}, 0), 8)
    assert quiet(sightings, 10, 10) == []
    assert quiet(sightings, 18, 10) == [WatchedFile(changed, 8, 0)]


def test_an_old_modification_time_says_nothing() -> None:
    ancient = SCAN._replace(mtime_ns=-(10**18))
    assert quiet(settle([ancient], {}, 5), 5, 10) == []


def test_what_is_gone_is_forgotten_and_begins_anew_when_it_comes_back() -> None:
    gone = settle([], settle([SCAN], {}, 0), 5)
    assert gone == {}
    assert quiet(settle([SCAN], gone, 6), 12, 10) == []


def test_the_next_look_is_due_when_the_first_file_may_be_quiet() -> None:
    sightings = settle([SCAN, SCAN._replace(path="b.zip")], settle([SCAN], {}, 0), 4)
    assert next_quiet(sightings, 4, 10) == 6
    assert next_quiet(sightings, 11, 10) == 3
    assert next_quiet(sightings, 20, 10) is None


def test_the_longest_quiet_comes_first() -> None:
    later = SCAN._replace(path="a.zip")
    sightings = settle([SCAN, later], settle([SCAN], {}, 0), 1)
    assert [one.seen.path for one in quiet(sightings, 20, 10)] == ["scan.zip", "a.zip"]
