"""What a figure says of its aim, what is printed, kept and drawn of it, and when a short run is a failure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import __main__ as command
from benchmarks import charts, kept
from benchmarks.figures import Bench, Figure, Goal, alternately, comparison, machine, table


def figure(ours: float = 3.0, reference: float = 2.0, **more: object) -> Figure:
    told = {"name": "ZIPs", "unit": "s", "against": "a loop", "goal": "2", **more}
    return Figure(ours=ours, reference=reference, **told)  # type: ignore[arg-type]


def test_a_bound_is_on_the_figure_or_on_its_ratio() -> None:
    assert figure().met is None
    assert (figure(ratio_at_most=1.5).met, figure(ratio_at_most=1.4).met) == (True, False)
    assert (figure(at_most=3.0).met, figure(at_most=2.9).met) == (True, False)
    assert (figure(ratio_at_most=1.4).bound, figure(at_most=2.9).bound, figure().bound) == (
        "≤ 1.4 times",
        "≤ 2.9 s",
        "",
    )


def test_a_reference_of_nothing_is_exceeded_by_anything() -> None:
    assert (figure(0.0, 0.0).ratio, figure(0.1, 0.0).ratio) == (0.0, 1.0)


def test_the_table_shows_each_figure_beside_its_reference() -> None:
    *_, one, other = table([figure(at_most=2.9), figure(1234.5, 1000.0)])
    assert one == "| 2 | ZIPs | 3 s | 2 s, a loop | 1.5 | ≤ 2.9 s | **no** |"
    assert other == "| 2 | ZIPs | 1,234 s | 1,000 s, a loop | 1.23 |  |  |"
    assert "cores of" in machine()


def test_two_runs_are_compared_figure_by_figure() -> None:
    before = [figure(4.0), figure(4.0, name="bounded", at_most=2.9), figure(name="gone")]
    after = [figure(), figure(name="bounded", at_most=2.9), figure(name="new")]
    *_, relative, bounded, new = comparison(before, after)
    assert relative == "| 2 | ZIPs | 2 times | 1.5 times | a loop |  |  |"
    assert bounded == "| 2 | bounded | 4 s | 3 s |  | ≤ 2.9 s | **no** |"
    assert new == "| 2 | new |  | 1.5 times | a loop |  |  |"


def test_measurements_take_turns_and_the_least_counts() -> None:
    order: list[str] = []
    ours, theirs = iter([1.0, 9.0, 2.0]), iter([5.0, 4.0, 6.0])

    def measured(name: str, values: Iterator[float]) -> float:
        order.append(name)
        return next(values)

    assert alternately(3, lambda: measured("a", ours), lambda: measured("b", theirs)) == [1.0, 4.0]
    assert order == ["a", "b"] * 3


# -- what is kept ------------------------------------------------------------------------------------------


@pytest.fixture
def ratios(tmp_path: Path) -> Path:
    path = tmp_path / "ratios.toml"
    kept.write([figure(), figure(11.0, 10.0, name="requests, “1.6”", exact=True)], path)
    return path


def test_a_ratio_that_has_doubled_is_a_failure_and_a_smaller_change_is_none(ratios: Path) -> None:
    assert kept.worse([figure(5.9, unit="s of CPU")], ratios) == []
    assert kept.worse([figure(6.1, unit="s of CPU")], ratios) == ["2 ZIPs: the ratio to a loop was 1.5 and is 3.05"]


def test_time_by_the_clock_depends_on_the_disk_too_and_may_become_four_times_as_long(ratios: Path) -> None:
    assert kept.worse([figure(11.9)], ratios) == []
    assert kept.worse([figure(12.1)], ratios) == ["2 ZIPs: the ratio to a loop was 1.5 and is 6.05"]


def test_what_was_better_than_its_aim_is_held_against_the_aim(ratios: Path) -> None:
    assert kept.worse([figure(7.9, unit="s of CPU", ratio_at_most=2.0)], ratios) == []
    assert len(kept.worse([figure(8.1, unit="s of CPU", ratio_at_most=2.0)], ratios)) == 1


def test_a_slow_machine_is_no_failure(ratios: Path) -> None:
    assert kept.worse([figure(300.0, 200.0)], ratios) == []


def test_what_keeps_its_bound_may_be_noisy(ratios: Path) -> None:
    assert kept.worse([figure(16.1, at_most=20.0)], ratios) == []
    assert len(kept.worse([figure(16.1, at_most=16.0)], ratios)) == 1


@pytest.mark.parametrize("count", [10.0, 12.0])
def test_a_count_must_be_the_one_that_is_kept(ratios: Path, count: float) -> None:
    found = figure(count, 10.0, name="requests, “1.6”", exact=True, unit="requests", at_most=99.0)
    assert kept.worse([found], ratios) == [f"2 requests, “1.6”: {count:g} requests, and 11 are kept"]


def test_a_figure_of_which_nothing_is_kept_is_a_failure(ratios: Path) -> None:
    assert kept.worse([figure(name="new")], ratios) == ["2 new: nothing is kept of it; run with --short --keep"]


def test_figures_that_were_not_measured_stay_kept(ratios: Path) -> None:
    kept.write([figure(8.0)], ratios)
    assert dict(kept.read(ratios)) == {"2 ZIPs": 4.0, "2 requests, “1.6”": 11.0}


def test_the_command_ends_with_1_where_a_ratio_has_doubled_twice(
    ratios: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = [3.0]

    def measure(_: Bench) -> Iterator[Figure]:
        yield figure(measured.pop(0))

    monkeypatch.setattr(command, "GOALS", (Goal(number="2", title="ZIPs", measure=measure),))
    monkeypatch.setattr(kept, "worse", lambda figures, path=ratios, worse=kept.worse: worse(figures, path))
    run = ["2", "--short", "--folder", str(tmp_path), "--json", str(tmp_path / "all.json")]
    assert command.main(run) == 0
    assert kept.read_json(tmp_path / "all.json") == [figure()]
    measured += [19.0, 17.0]
    assert command.main(run) == 1
    assert "the ratio to a loop was 1.5 and is 8.5" in capsys.readouterr().out
    measured += [19.0, 3.0]
    assert command.main(run) == 0
    assert measured == []


@pytest.mark.parametrize("words", [["--keep"], ["99", "--short"]])
def test_what_makes_no_sense_is_refused_before_anything_is_measured(words: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(words)


def test_two_files_are_compared_and_drawn_without_a_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "GOALS", ())
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    kept.write_json(before, [figure(4.0)])
    kept.write_json(after, [figure()])
    assert command.main(["--compare", str(before), str(after), "--charts", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "| 2 | ZIPs | 2 times | 1.5 times | a loop |  |  |"
    assert (tmp_path / "benchmark-2.svg").exists()


def test_every_goal_has_a_number_of_its_own_and_ratios_that_are_kept() -> None:
    numbers = [goal.number for goal in command.GOALS]
    assert len(set(numbers)) == len(numbers) == 11
    assert {key.partition(" ")[0] for key in kept.read()} == set(numbers)


# -- charts ------------------------------------------------------------------------------------------------


def test_a_chart_has_two_bars_for_each_figure_and_a_line_at_its_aim(tmp_path: Path) -> None:
    before = [figure(4.0, 1.0), figure(10.0, name="<first> & next", ratio_at_most=2.0), figure(name="gone", goal="3")]
    after = [figure(2.0, 1.0), figure(5.0, name="<first> & next", ratio_at_most=2.0), figure(name="new", goal="4")]
    (path,) = charts.write(tmp_path, before, after)
    assert path.name == "benchmark-2.svg"
    drawing = ET.fromstring(path.read_text("utf-8"))  # noqa: S314 - our own
    svg = "{http://www.w3.org/2000/svg}"
    widths = [int(bar.attrib["width"]) for bar in drawing.iter(f"{svg}rect")][4:]
    assert widths == [charts.LONGEST, charts.LONGEST // 2] * 2
    (line,) = drawing.iter(f"{svg}line")
    assert int(line.attrib["x1"]) == charts.LEFT + round(charts.LONGEST * 0.4)
    assert "<first> & next / a loop" in [text.text for text in drawing.iter(f"{svg}text")]
