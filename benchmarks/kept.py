"""Figures that are kept: all of a run as JSON, and the ratios of a short run, which the next one is held against."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, number

RATIOS = Path(__file__).with_name("ratios.toml")
DOUBLED = 2.0
BY_THE_CLOCK = (
    4.0  #: the same for elapsed time: what waits for a disk may take half or twice as long on another machine
)
HEAD = (
    "# Ratios of `python -m benchmarks --short`, and counts, which are the same on every machine. Written by --keep.\n"
)


def write_json(path: Path, figures: Iterable[Figure]) -> None:
    """Write all figures."""
    path.write_text(json.dumps([asdict(one) for one in figures], indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> list[Figure]:
    """Read what `write_json` wrote."""
    return [Figure(**one) for one in json.loads(path.read_text("utf-8"))]


def write(figures: Iterable[Figure], path: Path = RATIOS) -> None:
    """Keep these ratios and counts; those of goals that were not measured stay."""
    known = {**read(path), **{one.key: _value(one) for one in figures}}
    lines = "".join(f"{json.dumps(key, ensure_ascii=False)} = {value}\n" for key, value in known.items())
    path.write_text(HEAD + lines, encoding="utf-8")


def read(path: Path = RATIOS) -> Mapping[str, float]:
    """Return the value that is kept for each figure, by its key."""
    found: dict[str, Any] = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    return {key: float(value) for key, value in found.items()}


def worse(figures: Sequence[Figure], path: Path = RATIOS) -> list[str]:
    """Return a sentence for each count that differs, each ratio that has doubled, and each that nothing is kept of.

    A ratio of elapsed times must have become four times as large. A figure that keeps its bound may be as noisy as it
    likes.
    """
    known = read(path)
    found = []
    for one in figures:
        before = known.get(one.key)
        if before is None:
            found.append(f"{one.key}: nothing is kept of it; run with --short --keep")
        elif one.exact and one.ours != before:
            found.append(f"{one.key}: {number(one.ours)} {one.unit}, and {number(before)} are kept")
        elif not one.exact and not one.met and one.ratio > _worst(one, before):
            found.append(f"{one.key}: the ratio to {one.against} was {number(before)} and is {number(one.ratio)}")
    return found


def _worst(one: Figure, before: float) -> float:
    """Return the largest ratio that is no failure. One that was better than its aim is held against the aim."""
    return max(before, one.ratio_at_most or 0.0) * (BY_THE_CLOCK if one.unit == "s" else DOUBLED)


def _value(one: Figure) -> float:
    return round(one.ours if one.exact else one.ratio, 4)
