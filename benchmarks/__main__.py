"""Measure the goals of speed, each beside a reference in the same run: `python -m benchmarks [GOAL ...]`.

Prints a Markdown table. With `--short` it takes a few minutes, and ends with 1 where a ratio is more than twice the
one that is kept in `ratios.toml`, or a count differs. Seconds are compared with nothing but a reference of the same
run, so that a verdict holds on every machine.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import charts, kept
from benchmarks.figures import FULL, LONG, SHORT, Bench, Figure, Goal, comparison, machine, table
from benchmarks.goals import (
    commands,
    forty,
    idle,
    large,
    ledger,
    memory,
    opening,
    overlap,
    requests,
    shares,
)

GOALS = (
    requests.GOAL, forty.GOAL, overlap.GOAL, large.GOAL, memory.GOAL, ledger.GOAL, ledger.PER_STUDY_GOAL, commands.GOAL,
    idle.GOAL, shares.GOAL, opening.GOAL,
)  # fmt: skip
CHECKOUT = Path(__file__).parents[1]


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and judge."""
    parser = _parser()
    told = parser.parse_args(arguments)
    if told.keep and not told.short:
        parser.error("--keep is for the short form")
    if unknown := set(told.goals) - {goal.number for goal in GOALS}:
        parser.error(f"no such goal: {', '.join(sorted(unknown))}")
    if told.compare:
        return _compare(told.compare, told.charts)
    sizes = SHORT if told.short else LONG if told.long else FULL
    sizes = replace(sizes, repeats=told.repeats or sizes.repeats)
    chosen = [goal for goal in GOALS if not told.goals or goal.number in told.goals]
    toolkit = told.toolkit or shutil.which("xnat-upload")
    _say(machine())
    _say(f"the toolkit: {toolkit or 'not installed'}")
    with tempfile.TemporaryDirectory(prefix="benchmarks-", dir=told.folder) as folder:
        bench = Bench(
            checkout=told.program.absolute(), folder=Path(folder), sizes=sizes,
            toolkit=Path(toolkit).absolute() if toolkit else None,
        )  # fmt: skip
        figures = []
        for goal in chosen:
            figures += _measured(goal, bench)
            if told.json:
                kept.write_json(told.json, figures)  # each time: a later goal may fail
        if told.short and not told.keep:
            figures = _again(figures, chosen, bench)
    print("\n".join(["", f"{machine()}; {sizes.name}", "", *table(figures)]))
    if told.keep:
        kept.write(figures)
    if not told.short or told.keep:
        return 0
    worse = kept.worse(figures)
    print("\n".join(["", *worse]) if worse else "\nno ratio has doubled")
    return 1 if worse else 0


def _compare(files: Sequence[Path], folder: Path | None) -> int:
    """Print a table of two runs, and draw it."""
    before, after = map(kept.read_json, files)
    print("\n".join(comparison(before, after)))
    if folder:
        charts.write(folder, before, after)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure the program beside references, and print a Markdown table.",
        epilog="Goals: " + "; ".join(f"{goal.number} {goal.title}" for goal in GOALS) + ".",
    )  # fmt: skip
    parser.add_argument("goals", metavar="GOAL", nargs="*", help="a number of those below; else all")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--short", action="store_true", help="a few minutes, and a verdict")
    size.add_argument("--long", action="store_true", help="10 GB, 10,000 studies, 20,000 ZIPs: hours")
    parser.add_argument("--repeats", type=int, metavar="N", help="of what is timed in turns; the least counts")
    parser.add_argument("--program", type=Path, default=CHECKOUT, metavar="FOLDER", help="another checkout to measure")
    parser.add_argument("--toolkit", type=Path, metavar="FILE", help="xnat-upload of XNAT_CLI_Toolkit, if not on PATH")
    parser.add_argument("--folder", type=Path, help="where files are written, on a disk like the service's")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--keep", action="store_true", help="with --short: write ratios.toml anew")
    parser.add_argument(
        "--compare", nargs=2, type=Path, metavar=("BEFORE", "AFTER"), help="compare two JSON files; measure nothing"
    )
    parser.add_argument("--charts", type=Path, metavar="FOLDER", help="with --compare: draw charts there, too")
    return parser


def _measured(goal: Goal, bench: Bench) -> list[Figure]:
    _say(f"{goal.number}: {goal.title} ...")
    began, found = time.monotonic(), []
    for figure in goal.measure(bench):
        one = replace(figure, goal=goal.number)
        found.append(one)
        _say(f"   {one.name}: {one.ours:.4g} {one.unit}, {one.ratio:.3g} of {one.against}")
    _say(f"   {time.monotonic() - began:.0f} s")
    return found


def _again(figures: list[Figure], goals: Sequence[Goal], bench: Bench) -> list[Figure]:
    """Measure the goals of what has become worse once more, and return the better figures: much else may have run."""
    doubtful = {one.goal for one in figures if kept.worse([one])}
    others = {one.key: one for goal in goals if goal.number in doubtful for one in _measured(goal, bench)}
    return [min(one, others.get(one.key, one), key=lambda figure: figure.ratio) for one in figures]


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
