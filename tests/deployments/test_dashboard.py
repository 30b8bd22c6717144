"""The Grafana dashboard: every panel can be drawn, and shows what the engine really exposes."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from promql import metrics_in, run, valid

from ffe.observe.metrics import METRICS

ROOT = Path(__file__).parents[2] / "deployments"
DASHBOARD = json.loads((ROOT / "grafana" / "dashboards" / "ffe.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
DRAWN = [panel for panel in PANELS if panel["type"] != "row"]
TARGETS = [target for panel in DRAWN for target in panel["targets"]]
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
# Grafana publishes no JSON schema of a dashboard; this is what its loader and its panels need (documentation of the dashboard model).
GRID = {
    "type": "object",
    "required": ["h", "w", "x", "y"],
    "properties": {
        "h": {"type": "integer", "minimum": 1},
        "w": {"type": "integer", "minimum": 1, "maximum": 24},
        "x": {"type": "integer", "minimum": 0, "maximum": 23},
        "y": {"type": "integer", "minimum": 0},
    },
}
TARGET = {
    "type": "object",
    "required": ["refId", "datasource", "expr", "legendFormat"],
    "properties": {
        "refId": {"type": "string", "pattern": "^[A-Z]$"},
        "datasource": {"const": DATASOURCE},
        "expr": {"type": "string", "minLength": 1},
    },
}
PANEL = {
    "type": "object",
    "required": ["id", "type", "title", "gridPos"],
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "type": {"enum": ["row", "timeseries", "stat", "table"]},
        "title": {"type": "string", "minLength": 1},
        "description": {"type": "string", "minLength": 1},
        "gridPos": GRID,
    },
    "if": {"properties": {"type": {"const": "row"}}},
    "else": {
        "required": ["datasource", "fieldConfig", "options", "targets", "description"],
        "properties": {
            "datasource": {"const": DATASOURCE},
            "targets": {"type": "array", "minItems": 1, "items": TARGET},
            "fieldConfig": {
                "required": ["defaults", "overrides"],
                "properties": {
                    "defaults": {
                        "required": ["unit"],
                        "properties": {"unit": {"enum": ["s", "bytes", "percentunit", "short", "none"]}},
                    }
                },
            },
        },
    },
}
SCHEMA = {
    "type": "object",
    "required": ["uid", "title", "schemaVersion", "version", "time", "refresh", "templating", "annotations", "panels"],
    "properties": {
        "uid": {"type": "string", "maxLength": 40},
        "schemaVersion": {"type": "integer", "minimum": 36},
        "panels": {"type": "array", "items": PANEL},
    },
}


def test_the_dashboard_has_what_grafana_needs_to_load_and_draw_it() -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(DASHBOARD)


def test_the_datasource_is_a_variable_and_its_default_is_the_provisioned_one() -> None:
    (variable,) = DASHBOARD["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == ("datasource", "datasource", "prometheus")
    file = ROOT / "grafana" / "provisioning" / "datasources" / "prometheus.yml"
    (source,) = yaml.safe_load(file.read_text())["datasources"]
    assert (source["uid"], source["type"]) == (variable["current"]["value"], "prometheus")
    (provider,) = yaml.safe_load((ROOT / "grafana" / "provisioning" / "dashboards" / "ffe.yml").read_text())[
        "providers"
    ]
    assert provider["type"] == "file"


def test_ids_and_titles_are_unique_and_panels_do_not_overlap() -> None:
    assert not [each for each, count in Counter(panel["id"] for panel in PANELS).items() if count > 1]
    assert not [each for each, count in Counter(panel["title"] for panel in PANELS).items() if count > 1]
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        grid = panel["gridPos"]
        cells = {(grid["x"] + x, grid["y"] + y) for x in range(grid["w"]) for y in range(grid["h"])}
        assert max(x for x, _ in cells) < 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells


def test_references_within_a_panel_are_unique() -> None:
    for panel in DRAWN:
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references), panel["title"]


def test_there_is_a_row_for_each_part() -> None:
    rows = [panel["title"] for panel in PANELS if panel["type"] == "row"]
    assert rows == ["Trading", "Data", "Model", "Operations"]


def test_every_expression_is_one_of_prometheus(tmp_path: Path) -> None:
    assert valid([target["expr"] for target in TARGETS], tmp_path) == ""
    assert "panel:0" in valid(["sum by ("], tmp_path)


@pytest.mark.parametrize("panel", DRAWN, ids=lambda panel: str(panel["title"]))
def test_a_panel_shows_metrics_that_are_in_the_table(panel: dict[str, Any]) -> None:
    """That each metric of the table is really exposed, with its labels, is tested with the metrics themselves."""
    exposed = {name for spec in METRICS.values() for name in spec.samples} | {"up", "ALERTS"}
    for target in panel["targets"]:
        named = metrics_in(target["expr"])
        assert named
        assert named <= exposed


def test_every_metric_is_on_the_dashboard_or_in_a_rule(capsys: pytest.CaptureFixture[str]) -> None:
    """What nobody looks at is listed; there are few."""
    files = (ROOT / "prometheus" / "rules").glob("*.yml")
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    expressions = [rule["expr"] for group in groups for rule in group["rules"]]
    used = {name for text in (*expressions, *(target["expr"] for target in TARGETS)) for name in metrics_in(text)}
    unused = sorted(name for name, spec in METRICS.items() if not used & set(spec.samples))
    print("metrics that no rule and no panel reads:", ", ".join(unused))
    assert len(unused) < 8, unused
    assert "no rule" in capsys.readouterr().out


def test_promtool_is_the_one_that_was_asked() -> None:
    assert "promtool" in run("--version").stdout
