"""Metrics for Prometheus: how things are, by the status without names, and what has happened, by the ledger.

Every metric stands in `METRICS`. A project is named only where XNAT has taken a study into it: any other name comes
from a folder that somebody made, and may be a patient's. What happens to such projects is counted together, under an
empty name, and stays there when XNAT has taken a study: a counter never goes back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from xnat_watchd import __version__
from xnat_watchd.adapters.ledger.database import VERSION
from xnat_watchd.adapters.ledger.fleet import Fleet
from xnat_watchd.adapters.ledger.totals import BOUNDS, ArchiveTimes, Total, TotalsView, confirmed
from xnat_watchd.core.incidents import IncidentKey, IncidentKind
from xnat_watchd.core.states import LINE, Progress
from xnat_watchd.operator.alert_texts import observed
from xnat_watchd.operator.fleet import StationCondition, fleet_status
from xnat_watchd.operator.status import Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "xnat_watchd_"
PAUSABLE = ("work", "retention")
EPOCH = datetime.fromtimestamp(0, UTC)  #: of a ledger with which no station has worked

Labels = tuple[str, ...]
Values = Mapping[Labels, float]


class MetricKind(StrEnum):
    """What Prometheus knows a metric as."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """One metric: its name without the prefix and without what its kind adds to it."""

    name: str
    kind: MetricKind
    meaning: str
    labels: Labels = ()

    @property
    def exposed(self) -> str:
        """Return the name that Prometheus gets."""
        added = {MetricKind.COUNTER: "_total", MetricKind.INFO: "_info"}.get(self.kind, "")
        return f"{PREFIX}{self.name}{added}"


_G, _C = MetricKind.GAUGE, MetricKind.COUNTER
METRICS = (
    MetricDefinition("build", MetricKind.INFO, "Always 1: which version of the program and of the ledger's schema.",
                     ("version", "schema")),
    MetricDefinition("up", _G, "1 while the service runs; 0 after it has ended in order."),
    MetricDefinition("snapshot_timestamp_seconds", _G, "When the service last said how things are."),
    MetricDefinition("xnat_answered_timestamp_seconds", _G, "When XNAT last answered; 0: not since the start."),
    MetricDefinition("server_gate_open", _G, "1 while XNAT is asked; 0 while the service waits for it."),
    MetricDefinition("login_accepted", _G, "0 while XNAT refuses the login, else 1."),
    MetricDefinition("project_gate_open", _G, "0 while all that is for this project waits, else 1.", ("project",)),
    MetricDefinition("paused", _G, "1 while a person, or a clock that jumped, has stopped this.", ("of",)),
    MetricDefinition("needs_attention", _G, "What needs a person: items by kind, and by project or folder.",
                     ("kind", "scope")),
    MetricDefinition("deliveries", _G, "ZIPs by state.", ("state",)),
    MetricDefinition("studies", _G, "Studies by what is achieved, and by whether they may be worked on.",
                     ("progress", "standing")),
    MetricDefinition("backlog_zips", _G, "ZIPs that are under way."),
    MetricDefinition("backlog_bytes", _G, "The size of these ZIPs."),
    MetricDefinition("settling_files", _G, "Files in the drop folder that are still being written."),
    MetricDefinition("ignored_files", _G, "Files in the drop folder that are not taken."),
    MetricDefinition("uploads", _G, "Uploads to XNAT under way."),
    MetricDefinition("upload_bytes_per_second", _G, "How fast ZIPs are sent, on average of the last minutes."),
    MetricDefinition("share_rows", _G, "Rows of the share tables by state.", ("state",)),
    MetricDefinition("last_archived_timestamp_seconds", _G, "When a study last reached XNAT's archive.", ("project",)),
    MetricDefinition("stations", _G, "Stations that share the ledger, by how they are; none where it is a file.",
                     ("condition",)),
    MetricDefinition("delivery_events", _C, "What has happened to ZIPs.", ("project", "event")),
    MetricDefinition("studies_reached", _C, "How often studies have reached a progress; one that is sent again, again.",
                     ("project", "progress")),
    MetricDefinition("study_events", _C, "What else has happened to studies.", ("project", "event")),
    MetricDefinition("archived_images", _C, "Images that were sent and that XNAT's archive was seen to hold.",
                     ("project",)),
    MetricDefinition("uploaded_bytes", _C, "The size, unpacked, of the images that were sent and that XNAT was seen to"
                     " have.", ("project",)),
    MetricDefinition("arrival_to_archive_seconds", MetricKind.HISTOGRAM,
                     "From the arrival of a ZIP until XNAT's archive was seen to hold the images of a study.",
                     ("project",)),
)  # fmt: skip


def exposition(snapshot: Snapshot, totals: LedgerTotals) -> bytes:
    """Return all metrics in the text format of Prometheus. `snapshot`: a status without names."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ServiceCollector(snapshot, totals))
    return generate_latest(registry)


@dataclass(frozen=True, slots=True)
class LedgerTotals:
    """What the ledger has counted."""

    totals: Sequence[Total]
    times: Mapping[str, ArchiveTimes]
    fleet: Snapshot | None = None  #: all stations, where several share the ledger

    @classmethod
    def of(cls, ledger: TotalsView, fleet: Fleet | None = None) -> LedgerTotals:
        """Read everything that the ledger has counted, and how all stations are where several share it."""
        stations = fleet_status(fleet, EPOCH) if fleet and fleet.shared else None
        return cls(ledger.all(), ledger.archive_times(), stations)


class ServiceCollector(Collector):
    """Makes the metrics of one snapshot."""

    def __init__(self, snapshot: Snapshot, counted: LedgerTotals) -> None:
        self._snapshot, self._totals, self._times, self._fleet = snapshot, counted.totals, counted.times, counted.fleet
        self._projects = confirmed(counted.totals)

    def collect(self) -> Iterator[Metric]:
        """Yield every metric of `METRICS`, in their order."""
        values = {**self._state(), **self._contents(), **self._stations(), **self._counters()}
        for one in METRICS:
            if one.kind is MetricKind.HISTOGRAM:
                yield self._archive_times(one)
            else:
                yield _family(one, values[one.name])

    # -- how things are ------------------------------------------------------------------------------------

    def _state(self) -> dict[str, Values]:
        now, gate = self._snapshot, self._snapshot["gate"]
        shut = {self._known(project) for project in now["projects_shut"]}
        paused = {pause["of"] for pause in now.get("paused", ())}
        said = datetime.fromisoformat(now["at"]) - timedelta(seconds=now.get("age", 0))
        heard = now["daemon"].get("heard")
        return {
            "build": {(__version__, str(VERSION)): 1},
            "up": _one(now["daemon"]["running"]),
            "snapshot_timestamp_seconds": _one(said.timestamp()),
            "xnat_answered_timestamp_seconds": _one(datetime.fromisoformat(heard).timestamp() if heard else 0),
            "server_gate_open": _one(gate["open"]),
            "login_accepted": _one(gate["open"] or not gate["login"]),
            "project_gate_open": {(name,): name not in shut for name in self._projects | shut},
            "paused": {(of,): of in paused for of in PAUSABLE},
        }

    def _contents(self) -> dict[str, Values]:
        now, daemon, left = self._snapshot, self._snapshot["daemon"], self._snapshot.get("left", {})
        rows: Counter[Labels] = Counter()
        for table in now["shares"]:
            rows.update({(state,): count for state, count in table["rows"].items()})
        return {
            "needs_attention": self._attention(),
            "deliveries": {(state,): count for state, count in now["deliveries"].items()},
            "studies": {
                (progress, standing): count
                for progress, counts in now["studies"].items()
                for standing, count in counts.items()
            },
            "backlog_zips": _one(left.get("zips", 0)),
            "backlog_bytes": _one(left.get("bytes", 0)),
            "settling_files": _one(daemon.get("settling", 0)),
            "ignored_files": _one(len(now["ignored"])),
            "uploads": _one(len(daemon.get("uploads", ()))),
            "upload_bytes_per_second": _one(daemon.get("rate", 0)),
            "share_rows": rows,
        }

    def _stations(self) -> dict[str, Values]:
        totals = self._fleet["totals"] if self._fleet else {}
        return {"stations": {(str(one),): totals[one] for one in StationCondition if one in totals}}

    def _attention(self) -> Values:
        """Return what needs a person, with a zero for each kind of which there is nothing."""
        found: Counter[Labels] = Counter()
        for key, rows in observed(self._snapshot).items():
            found[key.kind, self._scope(key)] += len(rows)
        kinds = {kind for kind, _ in found}
        return {**{(kind, ""): 0 for kind in IncidentKind if kind not in kinds}, **found}

    def _scope(self, key: IncidentKey) -> str:
        return key.scope if key.kind is IncidentKind.FOLDER else self._known(key.scope)

    # -- what has happened ---------------------------------------------------------------------------------

    def _counters(self) -> dict[str, Values]:
        latest: dict[Labels, float] = {
            (one.project,): one.latest.timestamp() for one in self._of("studies", {Progress.ARCHIVED})
        }  # all of them are known to XNAT
        return {
            "last_archived_timestamp_seconds": latest,
            "delivery_events": self._sums(self._of("deliveries"), lambda one: (one.what,)),
            "studies_reached": self._sums(self._of("studies", LINE), lambda one: (one.what,)),
            "study_events": self._sums(
                [one for one in self._of("studies") if one.what not in LINE], lambda one: (one.what,)
            ),
            "archived_images": self._sums(self._of("studies", {Progress.ARCHIVED}), amount=lambda one: one.images),
            "uploaded_bytes": self._sums(self._of("studies", {Progress.UPLOADED}), amount=lambda one: one.bytes),
        }

    def _of(self, kind: str, whats: Collection[str] = ()) -> list[Total]:
        return [one for one in self._totals if one.of == kind and (not whats or one.what in whats)]

    def _sums(
        self,
        totals: Sequence[Total],
        labels: Callable[[Total], Labels] = lambda _: (),
        amount: Callable[[Total], int] = lambda one: one.count,
    ) -> Values:
        found: Counter[Labels] = Counter()
        for one in totals:
            found[one.project, *labels(one)] += amount(one)
        return found

    def _archive_times(self, definition: MetricDefinition) -> Metric:
        family = HistogramMetricFamily(f"{PREFIX}{definition.name}", definition.meaning, labels=definition.labels)
        for project, times in sorted(self._times.items()):
            buckets = [(str(float(bound)), float(_up_to(bound, times))) for bound in BOUNDS]
            family.add_metric([project], [*buckets, ("+Inf", float(times.count))], times.seconds)
        return family

    def _known(self, project: str) -> str:
        """Return a project's name if XNAT has confirmed it, else nothing."""
        return project if project in self._projects else ""


def _up_to(bound: int, times: ArchiveTimes) -> int:
    return sum(count for one, count in times.counts.items() if 0 < one <= bound)


def _one(value: float) -> Values:
    return {(): value}


def _family(definition: MetricDefinition, values: Values) -> Metric:
    """Return a metric that is no histogram, with its values."""
    name, meaning = f"{PREFIX}{definition.name}", definition.meaning
    if definition.kind is MetricKind.INFO:
        (labels,) = values
        return InfoMetricFamily(name, meaning, value=dict(zip(definition.labels, labels, strict=True)))
    kind = CounterMetricFamily if definition.kind is MetricKind.COUNTER else GaugeMetricFamily
    family = kind(name, meaning, labels=definition.labels)
    for labels, value in sorted(values.items()):
        family.add_metric(labels, float(value))
    return family
