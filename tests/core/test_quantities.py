from __future__ import annotations

from datetime import timedelta

import pytest

from xnat_watchd.core.quantities import duration, size


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("500ms", 0.5),
        ("10s", 10),
        ("5m", 300),
        ("1h", 3600),
        ("2d", 172800),
        ("1h30m", 5400),
        ("1h 30m 5s", 5405),
        ("1.5h", 5400),
        (" 10 s ", 10),
        ("0s", 0),
    ],
)
def test_a_duration_is_read_as_people_write_it(written: str, seconds: float) -> None:
    assert duration(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written", ["", "10", "s", "10x", "-5s", "+5s", "5 minutes", "1e3s", "٣s", "10s;", "1..5s", "5M", "1234567890s"]
)
def test_a_duration_that_could_be_misread_is_refused_and_the_sentence_shows_a_right_one(written: str) -> None:
    with pytest.raises(ValueError, match="such as 10s, 5m or 1h30m"):
        duration(written)


def test_a_duration_beyond_ten_years_is_refused_instead_of_overflowing() -> None:
    with pytest.raises(ValueError, match="at most 3650 days"):
        duration("999999999d")


@pytest.mark.parametrize(
    ("written", "in_bytes"),
    [
        ("0B", 0),
        ("512B", 512),
        ("1kB", 1000),
        ("1KB", 1000),
        ("500MB", 500_000_000),
        ("2GB", 2_000_000_000),
        ("64KiB", 65_536),
        ("2GiB", 2_147_483_648),
        ("1.5 GiB", 1_610_612_736),
        ("1TiB", 1_099_511_627_776),
    ],
)
def test_a_size_is_read_as_people_write_it_thousands_and_1024_apart(written: str, in_bytes: int) -> None:
    assert size(written) == in_bytes


@pytest.mark.parametrize("written", ["", "2", "2G", "GiB", "-1GiB", "2GiBs", "2 Gi", "1e9B", "٣GB"])
def test_a_size_without_a_clear_unit_is_refused_and_the_sentence_shows_a_right_one(written: str) -> None:
    with pytest.raises(ValueError, match="such as 2GiB"):
        size(written)
