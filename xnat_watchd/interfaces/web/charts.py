"""Charts as SVG, made from numbers: bars, and lines with points. Nothing here knows what the numbers are about.

A chart is drawn in a box of its own measure and scales with the page. Colours and fonts come from the style sheet; each
line also has a shape of its own. What a bar or point says is its title, which browsers show under the pointer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

WIDTH, HEIGHT = 480, 190
LEFT, RIGHT, TOP, BOTTOM = 62, 8, 12, 24  #: what is kept free around the field of the bars and lines
FIELD = WIDTH - LEFT - RIGHT
FLOOR = HEIGHT - BOTTOM  #: where zero is
MOST_LINES = 4  #: lines across, the one at zero not counted
MOST_MARKS = 5  #: periods that are named below
ENOUGH = 10  #: of a unit of time: the next smaller one says nothing more
LARGEST = 1e15  #: numbers beyond it are drawn as it

_DECIMAL = tuple(factor * 10**power for power in range(16) for factor in (1, 2, 5))
_TIMES = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


@dataclass(frozen=True, slots=True)
class Unit:
    """How numbers are told, and which distances between the lines across are round."""

    text: Callable[[float], str]
    steps: Sequence[int] = _DECIMAL


@dataclass(frozen=True, slots=True)
class ChartLine:
    """Numbers of one kind, one for each period; None where there is none."""

    name: str
    values: Sequence[float | None]


def in_bytes(count: float) -> str:
    """Return a number of bytes, with a tenth only where it says something."""
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f}".removesuffix(".0") + f" {name}"
    return f"{count:.0f} B"


def in_time(seconds: float) -> str:
    """Return a time in its largest unit, and where that says little, the next: `40 s`, `1 h 20 min`, `14 min`."""
    left = round(seconds)
    first = next((n for n, (_, unit) in enumerate(_TIMES) if left >= unit), len(_TIMES) - 1)
    (name, unit), *smaller = _TIMES[first:]
    count, left = divmod(left, unit)
    said = f"{count} {name}"
    if smaller and count < ENOUGH and left >= smaller[0][1]:
        said += f" {left // smaller[0][1]} {smaller[0][0]}"
    return said


COUNT = Unit(lambda count: f"{count:,.0f}")
BYTES = Unit(in_bytes)
TIME = Unit(in_time, (*_SECONDS, *(86400 * step for step in _DECIMAL)))


def bars(name: str, marks: Sequence[str], values: Sequence[float | None], unit: Unit) -> Markup:
    """Return a chart with one bar for each period. `marks`: what the periods are called."""
    sound = [_sound(value) for value in values]
    step, top = scale(sound, unit)
    return _chart(name, _across(step, top, unit), _below(marks), _bars(marks, sound, top, unit))


def lines(name: str, marks: Sequence[str], drawn_lines: Sequence[ChartLine], unit: Unit) -> Markup:
    """Return a chart with a line for each, which is broken where there is no number. At most two."""
    every = [[_sound(value) for value in one.values] for one in drawn_lines]
    step, top = scale([value for values in every for value in values], unit)
    drawn = [
        piece
        for number, (one, values) in enumerate(zip(drawn_lines, every, strict=True))
        for piece in _line(one.name if len(drawn_lines) > 1 else "", number, marks, values, top, unit)
    ]
    return _chart(name, _across(step, top, unit), _below(marks), drawn)


def share(value: float, most: float) -> Markup:
    """Return one bar, as a part of the longest of several that stand in a table."""
    length = 100 * min(1.0, (_sound(value) or 0) / (_sound(most) or 1))
    return Markup(
        '<svg class="share" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="bar" x="0" y="0" width="{}" height="10"/></svg>'
    ).format(_n(length))


def scale(values: Sequence[float | None], unit: Unit) -> tuple[float, float]:
    """Return the distance of the lines across, and the highest: a round one above all values."""
    most = max((value for value in values if value is not None), default=0.0)
    step = next((one for one in unit.steps if one * MOST_LINES >= most), unit.steps[-1])
    return step, step * max(1, math.ceil(most / step))


# -- pieces --------------------------------------------------------------------------------------------------


def _sound(value: float | None) -> float | None:
    """Return a number that can be drawn; None for what is none."""
    return None if value is None or not math.isfinite(value) else min(max(0.0, float(value)), LARGEST)


def _n(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _y(value: float, top: float) -> float:
    return FLOOR - (FLOOR - TOP) * min(1.0, value / top)


def _x(index: int, count: int) -> float:
    """Return the middle of a period."""
    return LEFT + FIELD * (index + 0.5) / count


def _chart(name: str, *pieces: Iterator[Markup] | Sequence[Markup]) -> Markup:
    drawn = Markup().join(piece for group in pieces for piece in group)
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, name, drawn
    )


def _across(step: float, top: float, unit: Unit) -> Iterator[Markup]:
    """Yield the lines across with what each stands for."""
    for number in range(round(top / step) + 1):
        y = _n(_y(number * step, top))
        yield Markup('<line class="line" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(LEFT, WIDTH - RIGHT, y, y)
        yield Markup('<text x="{}" y="{}" dy="4" text-anchor="end">{}</text>').format(
            LEFT - 6, y, unit.text(number * step)
        )


def _below(marks: Sequence[str]) -> Iterator[Markup]:
    """Yield the names of some periods, the last among them."""
    every = max(1, math.ceil(len(marks) / MOST_MARKS))
    for index in range(len(marks) - 1, -1, -every):
        x = _x(index, len(marks))
        anchor = "end" if index == len(marks) - 1 else "middle"
        shown = WIDTH - RIGHT if anchor == "end" else max(x, LEFT)
        yield Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(
            _n(shown), HEIGHT - 6, anchor, marks[index]
        )


def _title(*words: str) -> Markup:
    return Markup("<title>{}</title>").format(": ".join(filter(None, words)))


def _bars(marks: Sequence[str], values: Sequence[float | None], top: float, unit: Unit) -> Iterator[Markup]:
    wide = FIELD / max(1, len(values))
    for index, value in enumerate(values):
        if value:
            y = min(_y(value, top), FLOOR - 1)  # the least is seen, too
            yield Markup('<rect class="bar" x="{}" y="{}" width="{}" height="{}">{}</rect>').format(
                _n(LEFT + wide * (index + 0.1)), _n(y), _n(wide * 0.8), _n(FLOOR - y),
                _title(marks[index], unit.text(value)),
            )  # fmt: skip


def _line(
    name: str, number: int, marks: Sequence[str], values: Sequence[float | None], top: float, unit: Unit
) -> Iterator[Markup]:
    """Yield what joins neighbouring points, then the points: round ones, or squares on edge for the second line."""
    points = [None if v is None else (_x(i, len(values)), _y(v, top)) for i, v in enumerate(values)]
    kind = "second" if number else "first"
    for before, after in pairwise(points):
        if before is not None and after is not None:
            yield Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(kind, *map(_n, before + after))
    for index, point in enumerate(points):
        value = values[index]
        if point is not None and value is not None:
            shape = _DIAMOND if number else _POINT
            yield shape.format(
                *map(_n, _corners(*point) if number else point), _title(name, marks[index], unit.text(value))
            )


_POINT = Markup('<circle class="first" cx="{}" cy="{}" r="3">{}</circle>')
_DIAMOND = Markup('<polygon class="second" points="{},{} {},{} {},{} {},{}">{}</polygon>')


def _corners(x: float, y: float) -> tuple[float, ...]:
    return (x, y - 4, x + 4, y, x, y + 4, x - 4, y)


def key(number: int, name: str) -> Markup:
    """Return what a line looks like, beside its name."""
    shape = _DIAMOND.format(*_corners(10, 5), "") if number else _POINT.format(10, 5, "")
    kind = "second" if number else "first"
    line = Markup('<line class="{}" x1="0" x2="20" y1="5" y2="5"/>').format(kind)
    return Markup('<svg class="key" viewBox="0 0 20 10" aria-hidden="true">{}{}</svg> {}').format(line, shape, name)
