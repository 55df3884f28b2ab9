"""Bars of two runs, before and after a change, as a small SVG for each goal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from benchmarks.figures import Figure

WIDTH, LEFT, BAR, ROW, TOP = 900, 440, 11, 38, 34
LONGEST = WIDTH - LEFT - 110
BEFORE, AFTER, AIM = "#b0b7c3", "#2f6fb0", "#c0392b"


def write(folder: Path, before: Sequence[Figure], after: Sequence[Figure]) -> list[Path]:
    """Draw a chart for each goal that both have, and return the files."""
    known = {one.key: one for one in before}
    paths = []
    for goal in dict.fromkeys(one.goal for one in after):
        pairs = [(known[one.key], one) for one in after if one.goal == goal and one.key in known]
        if pairs:
            paths.append(folder / f"benchmark-{goal}.svg")
            paths[-1].write_text("\n".join(_chart(pairs)) + "\n", encoding="utf-8")
    return paths


def _chart(pairs: Sequence[tuple[Figure, Figure]]) -> Iterator[str]:
    """Yield the lines of one chart: each figure has a scale of its own, since their units differ."""
    height = TOP + ROW * len(pairs) + 8
    box = f'viewBox="0 0 {WIDTH} {height}"'
    yield f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="12">'
    yield f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
    for x, colour, word in ((LEFT, BEFORE, "before"), (LEFT + 90, AFTER, "after"), (LEFT + 170, AIM, "aim")):
        yield f'<rect x="{x}" y="10" width="12" height="12" fill="{colour}"/><text x="{x + 18}" y="20">{word}</text>'
    for row, (old, new) in enumerate(pairs):
        yield from _bars(TOP + ROW * row, old, new)
    yield "</svg>"


def _bars(top: int, old: Figure, new: Figure) -> Iterator[str]:
    aim = new.ratio_at_most if new.at_most is None else new.at_most
    most = max(old.value, new.value, aim or 0.0) or 1.0
    yield f'<text x="{LEFT - 8}" y="{top + 16}" text-anchor="end">{escape(_title(new))}</text>'
    for y, one, colour in ((top, old, BEFORE), (top + BAR + 1, new, AFTER)):
        length = max(LONGEST * one.value / most, 1)
        yield f'<rect x="{LEFT}" y="{y}" width="{length:.0f}" height="{BAR}" fill="{colour}"/>'
        yield f'<text x="{LEFT + length + 6:.0f}" y="{y + BAR - 1}" font-size="11">{escape(one.told)}</text>'
    if aim is not None:
        x = LEFT + LONGEST * aim / most
        ends = f'x1="{x:.0f}" x2="{x:.0f}" y1="{top - 2}" y2="{top + 2 * BAR + 3}"'
        yield f'<line {ends} stroke="{AIM}" stroke-width="2"/>'


def _title(one: Figure) -> str:
    return f"{one.name} / {one.against}" if one.is_relative else one.name
