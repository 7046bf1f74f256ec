"""Dashboards: made from their tables, naming only what exists, readable by who was called in the night."""

import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.boards import BOARDS, FOLDER, WIDTH, main, text
from tests.promql import faults

ROOT = Path(__file__).parent.parent.parent
GRAFANA = ROOT / "deploy" / "grafana"
SECRETS = "${UNDERTONE_SECRETS:-./secrets}/grafana"
FILES = sorted(FOLDER.glob("*.json"))


def panels(file: Path) -> Iterator[dict[str, Any]]:
    board = json.loads(file.read_text())
    yield from (panel for panel in board["panels"] if panel["type"] != "row")


def test_the_files_are_what_the_tables_say() -> None:
    assert {file.stem for file in FILES} == set(BOARDS)
    assert main(["--check"]) == 0
    assert all(text(uid) for uid in BOARDS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_panel_names_what_exists_and_says_what_it_shows(file: Path) -> None:
    for panel in panels(file):
        assert panel["description"].endswith((".", "?"))
        assert panel["targets"]
        for target in panel["targets"]:
            assert faults(target["expr"]) == [], panel["title"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_panel_lies_on_another_or_has_its_number(file: Path) -> None:
    board = json.loads(file.read_text())
    places = [panel["gridPos"] for panel in board["panels"]]
    assert len({panel["id"] for panel in board["panels"]}) == len(places)
    assert all(place["x"] + place["w"] <= WIDTH for place in places)
    for one, two in combinations(places, 2):
        across = one["x"] < two["x"] + two["w"] and two["x"] < one["x"] + one["w"]
        down = one["y"] < two["y"] + two["h"] and two["y"] < one["y"] + one["h"]
        assert not (across and down)


def test_what_the_issue_of_a_platform_team_asks_for_is_shown() -> None:
    shown = "".join(target["expr"] for file in FILES for panel in panels(file) for target in panel["targets"])
    for metric in (
        "lag_seconds",
        "lag_records",
        "upload_latency_seconds",
        "dead_letters_total",
        "audio_seconds_total",
        "real_time_factor_ratio",
        "batch_fill_ratio",
        "score_probability_ratio",
        "scores_indeterminate_total",
        "alerts_budgeted_total",
        "baseline_resets_total",
        "bundle_info",
    ):
        assert f"undertone_{metric}" in shown


def test_grafana_is_told_where_the_dashboards_and_their_source_are() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    used = {panel["datasource"]["uid"] for file in FILES for panel in panels(file)}
    assert used == {source["uid"]}
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/undertone.yml").read_text())["providers"]
    grafana = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]
    mounts = dict(volume.removesuffix(":ro").rsplit(":", 1) for volume in grafana["volumes"])
    assert mounts["./deploy/grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
    # It asks over TLS and trusts the authority of this installation alone; whoever looks at it reaches it over TLS too.
    assert source["url"] == "https://prometheus:9090"
    assert source["jsonData"] == {"tlsAuthWithCACert": True}
    assert source["secureJsonData"] == {"tlsCACert": f"$__file{{{mounts[SECRETS]}/ca.pem}}"}
    given = {name: value for name, value in grafana["environment"].items() if name.startswith("GF_SERVER")}
    assert given == {
        "GF_SERVER_PROTOCOL": "https",
        "GF_SERVER_CERT_FILE": f"{mounts[SECRETS]}/server.pem",
        "GF_SERVER_CERT_KEY": f"{mounts[SECRETS]}/server-key.pem",
    }
