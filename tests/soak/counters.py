"""Whether the counters of the metrics only ever grow, whatever the service was killed in the middle of."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.dicom import CANARIES

Counters = dict[str, float]


class MetricsReader:
    """Reads the file for node_exporter again and again, as a Prometheus does."""

    def __init__(self, path: Path) -> None:
        self._path, self._seen = path, Counters()

    @property
    def archived(self) -> float:
        """Return how often studies had reached XNAT's archive at the last look."""
        return sum(
            value for name, value in self._seen.items() if "studies_reached_total" in name and "archived" in name
        )

    def look(self) -> list[str]:
        """Return what is wrong since the last look."""
        if not self._path.exists():
            return ["the metrics are gone"] if self._seen else []
        text = self._path.read_text("utf-8")
        before, self._seen = self._seen, counters(text)
        fallen = [f"a counter went back: {name}" for name, value in before.items() if self._seen.get(name, 0) < value]
        return fallen + [f"a patient in the metrics: {canary}" for canary in CANARIES if canary in text]


def counters(text: str) -> Counters:
    """Return every sample that may only grow, by its name and labels."""
    return {
        f"{sample.name} {sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text)
        if family.type in ("counter", "histogram")
        for sample in family.samples
    }
