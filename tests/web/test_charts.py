"""Charts: whatever the numbers are, what is drawn is sound, stays in its box and says them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnat_watchd.interfaces.web import charts
from xnat_watchd.interfaces.web.charts import BYTES, COUNT, HEIGHT, LARGEST, TIME, WIDTH, ChartLine, Unit

NUMBERS = st.none() | st.floats() | st.integers(-(10**30), 10**30)
VALUES = st.lists(NUMBERS, max_size=60)
UNITS = st.sampled_from([COUNT, BYTES, TIME])
HOSTILE = '</title><script>alert("1")</script>&<a x=\'"'
ACROSS, DOWN = {"x", "x1", "x2", "cx"}, {"y", "y1", "y2", "cy"}


def named(values: list[float | None]) -> list[str]:
    return [f"{number} {HOSTILE}" for number in range(len(values))]


def boxes(svg: str) -> Iterator[tuple[float, float]]:
    """Yield each corner of all that is drawn. What is not well-formed raises."""
    for one in ET.fromstring(svg).iter():  # noqa: S314 - made here
        at = {
            name: float(value) for name, value in one.attrib.items() if name in ACROSS | DOWN | {"width", "height", "r"}
        }
        if one.tag == "rect":
            assert at["width"] >= 0
            assert at["height"] >= 0
            yield at["x"] + at["width"], at["y"] + at["height"]
        if one.tag == "polygon":
            for corner in one.attrib["points"].split():
                x, y = map(float, corner.split(","))
                yield x, y
        radius = at.get("r", 0.0)
        for sign in (-1, 1):
            yield from ((at[x] + sign * radius, HEIGHT / 2) for x in ACROSS & at.keys())
            yield from ((WIDTH / 2, at[y] + sign * radius) for y in DOWN & at.keys())


def drawn(svg: str, *tags: str) -> list[ET.Element]:
    return [one for one in ET.fromstring(svg).iter() if one.tag in tags and one.find("title") is not None]  # noqa: S314


def made(values: list[float | None], others: list[float | None], unit: Unit) -> list[str]:
    both = [ChartLine(HOSTILE, values), ChartLine(f"2 {HOSTILE}", [*others, *values][: len(values)])]
    return [charts.bars(HOSTILE, named(values), values, unit), charts.lines(HOSTILE, named(values), both, unit)]


@given(values=VALUES, others=VALUES, unit=UNITS)
def test_whatever_the_numbers_are_all_is_drawn_within_the_box(
    values: list[float | None], others: list[float | None], unit: Unit
) -> None:
    for svg in made(values, others, unit):
        assert [(x, y) for x, y in boxes(svg) if not (0 <= x <= WIDTH and 0 <= y <= HEIGHT)] == []
        assert not re.search(r"nan|inf|e[+-]\d", re.sub(r"<title>.*?</title>|aria-label=\S+|>[^<]*<", "", svg))
        assert "<script" not in svg
        assert "style=" not in svg  # the policy of the page allows none


@given(values=VALUES, unit=UNITS)
def test_each_number_is_drawn_once_and_said(values: list[float | None], unit: Unit) -> None:
    sound = [value if value is None or not math.isfinite(value) else min(max(0, value), LARGEST) for value in values]
    bars = drawn(charts.bars("n", named(values), values, unit), "rect")
    shown = {number: value for number, value in enumerate(sound) if value and math.isfinite(value)}
    titles = [one.findtext("title") or "" for one in bars]
    assert titles == [f"{number} {HOSTILE}: {unit.text(float(value))}" for number, value in shown.items()]
    points = drawn(charts.lines("n", named(values), [ChartLine("n", values)], unit), "circle")
    assert len(points) == sum(value is not None and math.isfinite(value) for value in sound)


@given(values=st.lists(st.integers(0, 10**14), min_size=2, max_size=40), unit=UNITS)
def test_a_larger_number_is_never_drawn_lower(values: list[int], unit: Unit) -> None:
    points = drawn(charts.lines("n", named([*values]), [ChartLine("n", values)], unit), "circle")
    heights = sorted(zip(values, (-float(one.attrib["cy"]) for one in points), strict=True))
    assert [height for _, height in heights] == sorted(height for _, height in heights)
    bars = [float(one.attrib["height"]) for one in drawn(charts.bars("n", named([*values]), values, unit), "rect")]
    assert min(bars, default=1) >= 1  # what is little is seen


@given(values=st.lists(st.integers(0, 10**14)), unit=UNITS)
def test_the_lines_across_are_few_and_round_and_the_highest_is_above_all(values: list[int], unit: Unit) -> None:
    step, top = charts.scale(values, unit)
    assert step in unit.steps
    assert top >= max(values, default=0)
    assert 1 <= top / step <= charts.MOST_LINES


@given(values=VALUES)
def test_few_periods_are_named_and_the_last_always(values: list[float | None]) -> None:
    svg = ET.fromstring(charts.bars("n", [f"at {n}" for n in range(len(values))], values, COUNT))  # noqa: S314
    below = [one.text for one in svg.iter("text") if (one.text or "").startswith("at ")]
    assert len(below) <= charts.MOST_MARKS
    assert not values or f"at {len(values) - 1}" in below


@given(value=NUMBERS, most=NUMBERS)
def test_a_share_is_a_part_of_the_whole(value: float | None, most: float | None) -> None:
    (bar,) = ET.fromstring(charts.share(value or 0.0, most or 0.0))  # noqa: S314
    assert 0 <= float(bar.attrib["width"]) <= 100


@pytest.mark.parametrize(
    ("unit", "number", "said"),
    [
        (COUNT, 12345, "12,345"), (BYTES, 0, "0 B"), (BYTES, 40_000_000, "40 MB"), (BYTES, 1_250_000_000, "1.2 GB"),
        (BYTES, 2e12, "2 TB"), (TIME, 0, "0 s"), (TIME, 59.6, "1 min"), (TIME, 300, "5 min"),
        (TIME, 4800, "1 h 20 min"),
        (TIME, 3605, "1 h"), (TIME, 90000, "1 d 1 h"), (TIME, 86400 * 3, "3 d"), (TIME, 61, "1 min 1 s"),
        (TIME, 599, "9 min 59 s"), (TIME, 851, "14 min"), (TIME, 36_000 + 1800, "10 h"),
    ],
)  # fmt: skip
def test_numbers_are_said_as_people_read_them(unit: Unit, number: float, said: str) -> None:
    assert unit.text(number) == said
