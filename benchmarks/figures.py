"""What a goal is, what is measured for it, and the table that is printed."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of the program and its reference, both in `unit`; less is better for every figure.

    `at_most` bounds `ours`, `ratio_at_most` bounds the ratio; a figure without a bound is only watched. An `exact` one
    is a count that is the same on every machine.
    """

    name: str
    unit: str
    ours: float
    reference: float
    against: str
    at_most: float | None = None
    ratio_at_most: float | None = None
    exact: bool = False
    goal: str = ""

    @property
    def ratio(self) -> float:
        """The program's figure in units of the reference."""
        return self.ours / self.reference if self.reference else float(self.ours > 0)

    @property
    def is_relative(self) -> bool:
        """Whether its ratio is what counts, by which two runs can be compared, and not its own size."""
        return self.at_most is None and not self.exact

    @property
    def value(self) -> float:
        """What counts: its ratio or its own size."""
        return self.ratio if self.is_relative else self.ours

    @property
    def told(self) -> str:
        """What counts, in words."""
        return f"{number(self.ratio)} times" if self.is_relative else f"{number(self.ours)} {self.unit}"

    @property
    def met(self) -> bool | None:
        """Whether it keeps its bound; None where it has none."""
        if self.at_most is not None:
            return self.ours <= self.at_most
        return None if self.ratio_at_most is None else self.ratio <= self.ratio_at_most

    @property
    def key(self) -> str:
        """The name by which it is kept from one run to the next."""
        return f"{self.goal} {self.name}"

    @property
    def bound(self) -> str:
        """The bound in words."""
        if self.at_most is not None:
            return f"≤ {number(self.at_most)} {self.unit}".rstrip()
        return "" if self.ratio_at_most is None else f"≤ {number(self.ratio_at_most)} times"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured."""

    name: str
    dialects: tuple[str, ...]  #: of those measurements that take long
    zips: int  #: that are dropped at once, of ten images each
    repeats: int  #: of what is timed in turns; the least counts
    large: int  #: bytes of the large ZIP
    studies: int  #: over which memory is watched
    rows: int  #: of the large ledger
    instances: int  #: of the ledger whose status is asked for
    flood: int  #: ZIPs of one image that are dropped at once; 0: left out
    share_rows: int
    names: int  #: in the drop folder that are never taken
    idle: float  #: seconds of watching an idle service


MIB = 1024 * 1024
SHORT = Sizes(
    name="the short form", dialects=("1.6",),
    zips=8, repeats=2, large=64 * MIB, studies=40, rows=10_000, instances=100_000, flood=0,
    share_rows=60, names=10_000, idle=3.0,
)  # fmt: skip
FULL = Sizes(
    name="the full form", dialects=("1.8", "1.6"),
    zips=40, repeats=3, large=2048 * MIB, studies=400, rows=100_000, instances=1_000_000, flood=2_000,
    share_rows=1_000, names=100_000, idle=20.0,
)  # fmt: skip
LONG = Sizes(
    name="the long form", dialects=("1.8", "1.6"),
    zips=40, repeats=5, large=10 * 1024 * MIB, studies=10_000, rows=100_000, instances=1_000_000, flood=20_000,
    share_rows=1_000, names=100_000, idle=60.0,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a goal measures with: the checkout of the program, a folder, how much, and the toolkit's command if any."""

    checkout: Path
    folder: Path
    sizes: Sizes
    toolkit: Path | None = None

    def new_folder(self, name: str) -> Path:
        """Make an empty folder."""
        return Path(mkdtemp(prefix=f"{name}-", dir=self.folder))


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One goal: its number, what it is about, and how it is measured."""

    number: str
    title: str
    measure: Callable[[Bench], Iterator[Figure]]


def alternately(times: int, *measured: Callable[[], float]) -> list[float]:
    """Measure each in turns, and return the least of each: what disturbs a machine only adds."""
    found = [[measure() for measure in measured] for _ in range(times)]
    return [min(figures) for figures in zip(*found, strict=True)]


def number(value: float) -> str:
    """Return a number with three significant digits, and whole from 100 on."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def machine() -> str:
    """Return what the figures were measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    python = ".".join(map(str, sys.version_info[:3]))
    return f"{os.cpu_count()} cores of {model}, Python {python}, {platform.system()} {platform.release()}"


def table(figures: Iterable[Figure]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield "| goal | figure | ours | reference | ratio | aim | met |"
    yield "|---|---|---|---|---|---|---|"
    for one in figures:
        ours, reference = f"{number(one.ours)} {one.unit}", f"{number(one.reference)} {one.unit}, {one.against}"
        yield f"| {one.goal} | {one.name} | {ours} | {reference} | {number(one.ratio)} | {one.bound} | {_met(one)} |"


def comparison(before: Iterable[Figure], after: Iterable[Figure]) -> Iterator[str]:
    """Yield the lines of a Markdown table of two runs: the ratio to the reference of each run, or the figure itself."""
    known = {one.key: one.told for one in before}
    yield "| goal | figure | before | after | reference | aim | met |"
    yield "|---|---|---|---|---|---|---|"
    for one in after:
        cells = one.goal, one.name, known.get(one.key, ""), one.told, one.against if one.is_relative else ""
        yield f"| {' | '.join(cells)} | {one.bound} | {_met(one)} |"


def _met(one: Figure) -> str:
    return {True: "yes", False: "**no**", None: ""}[one.met]
