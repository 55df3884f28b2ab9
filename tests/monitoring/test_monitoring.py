"""What is shipped for Prometheus and Grafana asks for metrics that there are, and Prometheus's own tool takes it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import page
from tests.promtool import promtool
from xnat_watchd.core.incidents import IncidentKind
from xnat_watchd.operator.metrics import METRICS, MetricKind

MONITORING = Path(__file__).parents[2] / "monitoring"
RULES, RULE_TESTS, DASHBOARD = (
    MONITORING / name for name in ("xnat-watchd.rules.yml", "xnat-watchd.test.yml", "grafana.json")
)
OF_PROMETHEUS = frozenset({"instance", "job", "le"})
"""Labels that Prometheus adds, and the one of every histogram."""


def names() -> dict[str, frozenset[str]]:
    """Return every name under which Prometheus knows a sample of ours, with its labels."""
    found: dict[str, frozenset[str]] = {}
    for one in METRICS:
        parts = ("_bucket", "_sum", "_count") if one.kind is MetricKind.HISTOGRAM else ("",)
        found |= {one.exposed + part: frozenset(one.labels) for part in parts}
    return found


def rules() -> dict[str, str]:
    """Return the expression of each alert. The file is written so that each stands on a line of its own."""
    text = RULES.read_text("utf-8")
    alerts, asked = re.findall(r"- alert: (\w+)\n", text), re.findall(r"^ +expr: (.*)$", text, re.MULTILINE)
    return dict(zip(alerts, asked, strict=True))


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return found


def shown() -> dict[str, str]:
    """Return every expression of the dashboard, with what Grafana puts into it."""
    asked = {f"{one['title']} {target['refId']}": target["expr"] for one in panels() for target in one["targets"]}
    return {name: expr.replace("$__rate_interval", "5m").replace("$instance", ".*") for name, expr in asked.items()}


EXPRESSIONS = {**rules(), **shown()}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_expression_asks_for_what_there_is(name: str) -> None:
    known, expression = names(), EXPRESSIONS[name]
    asked = re.findall(r"(xnat_watchd_\w+)(?:\{([^}]*)\})?", expression)
    assert asked
    for metric, matchers in asked:
        assert metric in known
        assert set(re.findall(r"(\w+)=", matchers)) <= known[metric] | OF_PROMETHEUS
    for labels in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
        assert set(labels.split(", ")) <= set().union(*(known[metric] for metric, _ in asked)) | OF_PROMETHEUS
    for kinds in re.findall(r'kind=~?"([^"]*)"', expression):
        assert set(kinds.split("|")) <= set(IncidentKind)


def test_every_kind_of_trouble_has_its_alert() -> None:
    told = {kind for kinds in re.findall(r'kind=~?"([^"]*)"', RULES.read_text("utf-8")) for kind in kinds.split("|")}
    by_a_metric_of_its_own = {IncidentKind.LOGIN, IncidentKind.SERVER, IncidentKind.STATION}
    assert told == set(IncidentKind) - by_a_metric_of_its_own


def test_every_alert_is_tried_and_is_on_the_page() -> None:
    tried = RULE_TESTS.read_text("utf-8")
    for name in rules():
        assert f"alertname: {name}\n" in tried, name
        assert f"`{name}`" in page("monitoring.md"), name


def test_every_metric_that_says_how_things_are_is_on_the_dashboard_or_in_an_alert() -> None:
    asked = "\n".join(EXPRESSIONS.values())
    left_out = {"build", "project_gate_open", "deliveries", "studies", "ignored_files", "uploads",
                "xnat_answered_timestamp_seconds", "last_archived_timestamp_seconds"}  # fmt: skip
    assert {one.name for one in METRICS if not re.search(rf"{one.exposed}\b|{one.exposed}_bucket", asked)} == left_out


def test_panels_lie_beside_each_other() -> None:
    cells = [
        (x, y)
        for one in panels()
        for place in (one["gridPos"],)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert all(x < 24 for x, _ in cells)
    assert len({one["id"] for one in panels()}) == len(panels())


# -- by Prometheus's own tool ------------------------------------------------------------------------------


def test_the_rules_are_right() -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", str(RULES))


def test_each_rule_fires_where_it_must_and_not_before() -> None:
    assert "SUCCESS" in promtool("test", "rules", str(RULE_TESTS))


def test_the_expressions_of_the_dashboard_are_right(tmp_path: Path) -> None:
    file = tmp_path / "dashboard.rules.yml"
    file.write_text(json.dumps(_as_rules(shown())), "utf-8")  # JSON is YAML
    assert f"{len(shown())} rules found" in promtool("check", "rules", str(file))


def _as_rules(expressions: Mapping[str, str]) -> dict[str, Any]:
    recorded = [{"record": f"panel:{n}", "expr": one} for n, one in enumerate(expressions.values())]
    return {"groups": [{"name": "dashboard", "rules": recorded}]}
