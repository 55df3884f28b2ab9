"""The page of figures: which charts it has, and what each says in words and as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import render_template, request
from markupsafe import Markup

from xnat_watchd.interfaces.web import charts
from xnat_watchd.interfaces.web.charts import BYTES, COUNT, TIME, ChartLine, Unit
from xnat_watchd.interfaces.web.reading import Reading
from xnat_watchd.operator.figures import Figures, Span

SPANS = {Span.DAY: "24 hours", Span.MONTH: "30 days", Span.YEAR: "year"}
PERIODS = {Span.DAY: "hour from", Span.MONTH: "day", Span.YEAR: "week from"}
LAST = {Span.DAY: "hour", Span.MONTH: "day", Span.YEAR: "week"}  #: what is not over
NOTHING = "none"


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart with its title, what it comes to, and the table that says the same."""

    key: str
    title: str
    sum: str
    picture: Markup
    names: tuple[Markup, ...]  #: of its lines, each with what it looks like
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]  #: the newest first


def page(reading: Reading) -> str:
    """Return the page for the time that its address asks for; what it does not know is a day."""
    asked = request.args.get("span", "")
    span = next((one for one in Span if one == asked), Span.DAY)
    found = reading.figures(span)
    return render_template(
        "figures.html", span=span, spans=SPANS, last=LAST[span], charts=charts_of(found, span), failures=found.failures,
        share=charts.share, most=max((count for _, count in found.failures), default=0), at=found.at.isoformat(),
    )  # fmt: skip


def charts_of(found: Figures, span: Span) -> list[Chart]:
    """Return the charts, in the order in which they are read."""
    marks, within = [mark(one, span) for one in found.edges[:-1]], f"in the last {SPANS[span]}"
    made = _Charts(marks, PERIODS[span])
    half, most = found.overall
    took = "" if half is None or most is None else f"half within {TIME.text(half)}, 95 of 100 within {TIME.text(most)}"
    times = ChartLine("half of the studies", found.half), ChartLine("95 of 100", found.most)
    return [
        made.bars("archived", "Studies archived", f"{sum(found.archived):,} {within}", found.archived, COUNT),
        made.bars("bytes", "Data in finished ZIPs", f"{BYTES.text(sum(found.bytes))} {within}", found.bytes, BYTES),
        made.lines("backlog", "Deliveries not finished", f"{found.backlog[-1]:,} now, with those that are held",
                   [ChartLine("deliveries", found.backlog)], COUNT),
        made.lines("wait", "Time from arrival to archive", took, times, TIME),
    ]  # fmt: skip


def mark(begin: datetime, span: Span) -> str:
    """Return what a period is called that begins then."""
    return f"{begin:%H:%M}" if span is Span.DAY else f"{begin.day} {begin:%b}"


@dataclass(frozen=True, slots=True)
class _Charts:
    """Makes charts over the same periods."""

    marks: Sequence[str]
    period: str

    def bars(self, key: str, title: str, told: str, values: Sequence[float | None], unit: Unit) -> Chart:
        picture = charts.bars(f"{title}: {told}", self.marks, values, unit)
        return Chart(key, title, told, picture, (), *self._table([ChartLine(title, values)], unit.text))

    def lines(self, key: str, title: str, told: str, drawn_lines: Sequence[ChartLine], unit: Unit) -> Chart:
        picture = charts.lines(f"{title}: {told}", self.marks, drawn_lines, unit)
        names = tuple(charts.key(n, one.name) for n, one in enumerate(drawn_lines)) if len(drawn_lines) > 1 else ()
        return Chart(key, title, told, picture, names, *self._table(drawn_lines, unit.text))

    def _table(
        self, drawn_lines: Sequence[ChartLine], text: Callable[[float], str]
    ) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
        values = zip(*(one.values for one in drawn_lines), strict=True)
        rows = [
            (name, *(NOTHING if value is None else text(value) for value in row))
            for name, row in zip(self.marks, values, strict=True)
        ]
        return (self.period, *(one.name for one in drawn_lines)), tuple(reversed(rows))
