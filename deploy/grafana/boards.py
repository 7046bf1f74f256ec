"""Grafana dashboards as tables: `python -m deploy.grafana.boards [--check]` generates their JSON.

`--check` writes nothing and fails when a file is not what the tables say. Every panel says what it shows and when to
worry. A test checks every expression against `schemas/metrics.py`.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy.grafana.panel import Panel
from deploy.grafana.tables.clinical import CLINICAL
from deploy.grafana.tables.overview import OVERVIEW
from deploy.grafana.tables.pages import PAGES

FOLDER = Path(__file__).parent / "dashboards"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
WIDTH = 24

BOARDS = {
    "undertone-overview": ("Undertone: overview", "now-3h", OVERVIEW),
    "undertone-clinical": ("Undertone: clinical safety", "now-7d", CLINICAL),
    "undertone-dashboard": ("Undertone: dashboard and history", "now-6h", PAGES),
}


def as_json(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    """The panel as Grafana stores it."""
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.worry is not None:
        steps.append({"color": "red", "value": panel.worry})
    custom = {"fillOpacity": 10, "stacking": {"mode": "normal" if panel.stacked else "none"}}
    if panel.worry is not None:
        custom["thresholdsStyle"] = {"mode": "line"}
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.most is not None:
        defaults["max"] = panel.most
    if panel.kind == "timeseries":
        defaults["custom"] = custom
    now = panel.kind != "timeseries"
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.says,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}} if now else {"legend": {"displayMode": "list"}},
        "targets": [
            {
                "refId": chr(65 + i),
                "datasource": SOURCE,
                "expr": expr,
                "legendFormat": legend,
                "instant": now,
                # Buckets of a histogram are counted up; Grafana takes them apart in this format only.
                "format": "heatmap" if legend == "{{le}}" else "time_series",
            }
            for i, (expr, legend) in enumerate(panel.queries.items())
        ],
    }


def board(uid: str) -> dict[str, Any]:
    """A whole dashboard: rows of panels, filled from left to right."""
    title, since, rows = BOARDS[uid]
    panels: list[dict[str, Any]] = []
    y = 0
    for name, row in rows.items():
        place = {"x": 0, "y": y, "w": WIDTH, "h": 1}
        panels.append({"id": len(panels) + 1, "type": "row", "title": name, "gridPos": place, "panels": []})
        x, y, tallest = 0, y + 1, 0
        for panel in row:
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            panels.append(as_json(panel, len(panels) + 1, x, y))
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    return {
        "uid": uid,
        "title": title,
        "tags": ["undertone"],
        "schemaVersion": 41,
        "editable": False,
        "refresh": "30s",
        "time": {"from": since, "to": "now"},
        "panels": panels,
    }


def text(uid: str) -> str:
    """The file of a dashboard."""
    return json.dumps(board(uid), indent=1, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str]) -> int:
    """The command."""
    stale = [uid for uid in BOARDS if not (f := FOLDER / f"{uid}.json").is_file() or f.read_text() != text(uid)]
    if "--check" in arguments:
        for uid in stale:
            print(
                f"deploy/grafana/dashboards/{uid}.json is not what the code says: run `make schemas`", file=sys.stderr
            )
        return min(len(stale), 1)
    FOLDER.mkdir(exist_ok=True)
    for uid in stale:
        (FOLDER / f"{uid}.json").write_text(text(uid))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
