"""Grafana dashboards as tables: `python deploy/grafana/boards.py [--check]` generates their JSON.

`--check` writes nothing and fails when a file is not what the tables say. Every panel says what it shows and when to
worry. A test checks every expression against `schemas/metrics.py`.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "dashboards"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
WIDTH = 24


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. queries: expression → legend; worry: value from which it turns red, upwards; kind: Grafana's type."""

    title: str
    says: str
    unit: str
    queries: dict[str, str]
    worry: float | None = None
    kind: str = "timeseries"
    width: int = 8
    height: int = 7
    stacked: bool = False
    most: float | None = None


def p95(metric: str, by: str = "stage") -> str:
    """The 95th percentile of a histogram."""
    return f"histogram_quantile(0.95, sum by (le, {by}) (rate({metric}_bucket[$__rate_interval])))"


def per_second(metric: str, by: str) -> str:
    """A counter's rate."""
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))"


OVERVIEW: dict[str, Sequence[Panel]] = {
    "At a glance": (
        Panel(
            "Processes up",
            "By role. Fewer than you started fires UndertoneDown.",
            "short",
            {'sum by (role) (up{job="undertone"})': "{{role}}"},
            kind="stat",
        ),
        Panel(
            "Highest lag",
            "Age of the oldest record waiting for any stage.",
            "s",
            {"max(undertone_lag_seconds)": "lag"},
            worry=60,
            kind="stat",
        ),
        Panel(
            "Firing alerts",
            "Alert rules that fire now; the runbook has an entry for each.",
            "short",
            {'count by (alertname) (ALERTS{alertname=~"Undertone.*",alertstate="firing"})': "{{alertname}}"},
            worry=1,
            kind="stat",
        ),
    ),
    "Lag and throughput": (
        Panel(
            "Lag in seconds",
            "Age of the oldest waiting record, by stage. A line that rises by one second per second is a dead stage.",
            "s",
            {"max by (stage) (undertone_lag_seconds)": "{{stage}}"},
            worry=60,
        ),
        Panel(
            "Lag in records",
            "Waiting records, by stage.",
            "short",
            {"sum by (stage) (undertone_lag_records)": "{{stage}}"},
        ),
        Panel(
            "Lag by partition",
            "A single rising line is one busy user, or one process.",
            "short",
            {"undertone_lag_records": "{{stage}} {{partition}}"},
        ),
        Panel(
            "Records in", "Consumed, by stage.", "cps", {per_second("undertone_records_in_total", "stage"): "{{stage}}"}
        ),
        Panel(
            "Records out",
            "Delivered, by stage.",
            "cps",
            {per_second("undertone_records_out_total", "stage"): "{{stage}}"},
        ),
        Panel(
            "Audio",
            "Seconds of audio per second, by worker: ten equals ten people speaking at once.",
            "none",
            {per_second("undertone_audio_seconds_total", "stage"): "{{stage}}"},
        ),
    ),
    "Latency": (
        Panel(
            "Upload to delivered, 95 %",
            "For fusion, the time from upload to score; acoustic and embedding are parts of it.",
            "s",
            {p95("undertone_upload_latency_seconds"): "{{stage}}"},
            worry=900,
        ),
        Panel(
            "Recording to delivered, 95 %",
            "Includes the time until the phone uploads.",
            "s",
            {p95("undertone_recording_latency_seconds"): "{{stage}}"},
        ),
        Panel(
            "Batch duration, 95 %",
            "Time that a stage needs for one batch.",
            "s",
            {p95("undertone_stage_duration_seconds"): "{{stage}}"},
        ),
    ),
    "Failures": (
        Panel(
            "Dead letters by reason",
            "Records that failed permanently.",
            "cps",
            {per_second("undertone_dead_letters_total", "stage, reason"): "{{stage}} {{reason}}"},
        ),
        Panel(
            "Share of dead letters",
            "Share of the last records. The stage stops at a quarter.",
            "percentunit",
            {"max by (stage) (undertone_dead_letter_ratio)": "{{stage}}"},
            worry=0.1,
            most=1,
        ),
        Panel(
            "Retries by dependency",
            "Retries after transient errors. Nothing is lost meanwhile.",
            "cps",
            {per_second("undertone_retries_total", "stage, target"): "{{stage}} {{target}}"},
        ),
        Panel(
            "Rebalances",
            "Each pauses the consumer group.",
            "short",
            {"sum by (stage) (increase(undertone_rebalances_total[15m]))": "{{stage}}"},
            worry=10,
        ),
        Panel(
            "Redis latency, 99 %",
            "Time of one call.",
            "s",
            {
                "histogram_quantile(0.99, sum by (le, operation) "
                "(rate(undertone_redis_latency_seconds_bucket[$__rate_interval])))": "{{operation}}"
            },
            worry=0.25,
        ),
        Panel(
            "Storage latency, 95 %",
            "Time of one audio read.",
            "s",
            {p95("undertone_storage_latency_seconds", "scheme, outcome"): "{{scheme}} {{outcome}}"},
        ),
    ),
    "Embedding worker": (
        Panel(
            "Real-time factor",
            "Processing time over audio time: 0.1 is ten times faster than speech.",
            "none",
            {"max by (stage) (undertone_real_time_factor_ratio)": "{{stage}}"},
            worry=1,
        ),
        Panel(
            "Batch fill, mean",
            "Full batches use an accelerator well; a low fill with little lag is fine.",
            "percentunit",
            {
                "sum by (stage) (rate(undertone_batch_fill_ratio_sum[$__rate_interval]))"
                " / sum by (stage) (rate(undertone_batch_fill_ratio_count[$__rate_interval]))": "{{stage}}"
            },
            most=1,
        ),
        Panel(
            "Decoded audio in memory",
            "At UNDERTONE_INFLIGHT_AUDIO_S the worker pauses its partitions.",
            "s",
            {"sum by (stage) (undertone_inflight_audio_seconds)": "{{stage}}"},
        ),
        Panel(
            "Process memory",
            "Resident set size.",
            "bytes",
            {'process_resident_memory_bytes{job="undertone"}': "{{role}} {{instance}}"},
        ),
        Panel(
            "Partitions assigned",
            "By stage; the sum is the number of partitions of the topic.",
            "short",
            {"sum by (stage) (undertone_partitions_assigned)": "{{stage}}"},
        ),
        Panel(
            "Partitions paused",
            "The worker's buffer is full; together with lag, add processes.",
            "short",
            {"sum by (stage) (undertone_partitions_paused)": "{{stage}}"},
        ),
    ),
    "Alert delivery": (
        Panel(
            "Topic to receiver, 95 %",
            "From arrival on the topic until the receiver accepted.",
            "s",
            {p95("undertone_alert_delivery_seconds"): "{{stage}}"},
            worry=60,
        ),
        Panel(
            "Open in Alertmanager",
            "Episodes that the bridge keeps firing.",
            "short",
            {"sum(undertone_episodes_open)": "open"},
        ),
        Panel(
            "Undelivered",
            "Rejected, or not accepted for a day. Each is one too many.",
            "short",
            {"sum by (stage, reason) (increase(undertone_alerts_undelivered_total[1d]))": "{{stage}} {{reason}}"},
            worry=1,
        ),
    ),
}

CLINICAL: dict[str, Sequence[Panel]] = {
    "Scores": (
        Panel(
            "Distribution of scores",
            "Scores per tenth, over a day. Assume that a moving peak is a changed input until proven otherwise.",
            "short",
            {"sum by (le) (increase(undertone_score_probability_ratio_bucket[1d]))": "{{le}}"},
            kind="bargauge",
            width=12,
            height=9,
        ),
        Panel(
            "Mean score by bundle",
            "All users, over a day. Users change one by one; a joint move is a release, a phone or a codec.",
            "none",
            {
                "sum by (bundle) (increase(undertone_score_probability_ratio_sum[1d]))"
                " / sum by (bundle) (increase(undertone_score_probability_ratio_count[1d]))": "{{bundle}}"
            },
            width=12,
            height=9,
            most=1,
        ),
        Panel(
            "Scores by band",
            "Share of each band, over six hours.",
            "percentunit",
            {
                "sum by (band) (increase(undertone_scores_total[6h]))"
                " / ignoring (band) group_left sum(increase(undertone_scores_total[6h]))": "{{band}}"
            },
            stacked=True,
            most=1,
        ),
        Panel(
            "Share indeterminate",
            "Memos on which the system abstained. Those users are not monitored.",
            "percentunit",
            {
                'sum(increase(undertone_scores_total{band="indeterminate"}[6h]))'
                " / sum(increase(undertone_scores_total[6h]))": "abstained"
            },
            worry=0.4,
            most=1,
        ),
        Panel(
            "Why it abstained",
            "Reasons over six hours; a memo may have several.",
            "short",
            {"sum by (reason) (increase(undertone_scores_indeterminate_total[6h]))": "{{reason}}"},
        ),
        Panel(
            "Open joins, and the oldest",
            "Memos waiting for a modality.",
            "short",
            {"sum(undertone_joins_open)": "open", "max(undertone_join_oldest_seconds)": "age of the oldest (s)"},
        ),
        Panel(
            "Missing modalities",
            "Joins closed by their timeout, over an hour.",
            "short",
            {"sum by (modality) (increase(undertone_joins_timed_out_total[1h]))": "{{modality}}"},
            worry=10,
        ),
        Panel(
            "Bundles in use",
            "More than one is a roll-out; after an hour, an unfinished one.",
            "short",
            {"count by (bundle) (undertone_bundle_info)": "{{bundle}}"},
            worry=None,
        ),
    ),
    "Alerts": (
        Panel(
            "Raised against the budget, per week",
            "Episodes raised, and the operator's false-alarm budget. True changes come on top of the budget.",
            "short",
            {
                'sum(increase(undertone_alerts_total{state="raised"}[7d]))': "raised",
                "sum(increase(undertone_alerts_budgeted_total[7d]))": "false-alarm budget",
            },
        ),
        Panel(
            "Alerts by kind and state",
            "Steps of episodes, over a day.",
            "short",
            {"sum by (kind, state) (increase(undertone_alerts_total[1d]))": "{{kind}} {{state}}"},
        ),
        Panel(
            "Silence",
            "Users whose silence is watched, and why none is raised: a stage behind, or most users silent together.",
            "short",
            {
                "max(undertone_silence_watched_users)": "watched",
                "max by (reason) (undertone_silence_held)": "not raised: {{reason}}",
            },
        ),
        Panel(
            "Drift updates",
            "Outcome of each score; the detector ignores `late`, `crowded` and `future` ones.",
            "cps",
            {per_second("undertone_drift_updates_total", "outcome"): "{{outcome}}"},
        ),
        Panel(
            "Baselines restarted",
            "`bundle` is a roll-out. `lost` and `unreadable` are lost states.",
            "short",
            {"sum by (reason) (increase(undertone_baseline_resets_total[1d]))": "{{reason}}"},
        ),
    ),
}

PAGES: dict[str, Sequence[Panel]] = {
    "Pages and API": (
        Panel(
            "Requests",
            "Answered by the dashboard, by status.",
            "reqps",
            {per_second("undertone_http_requests_total", "status"): "{{status}}"},
        ),
        Panel(
            "Failing requests",
            "Share of answers with status 500 and above. Above 5 % fires UndertoneDashboardFailing.",
            "percentunit",
            {
                'sum(rate(undertone_http_requests_total{status=~"5.."}[$__rate_interval]))'
                " / sum(rate(undertone_http_requests_total[$__rate_interval]))": "failing"
            },
            worry=0.05,
            most=1,
        ),
        Panel(
            "Slowest pages, 95 %",
            "From a request's headers to the end of its answer. Live events and uploads are left out: they last.",
            "s",
            {
                "topk(5, histogram_quantile(0.95, sum by (le, route) (rate("
                'undertone_http_request_duration_seconds_bucket{route!~".*/(events|memos)"}[$__rate_interval]))))'
                "": "{{route}}"
            },
            worry=0.5,
        ),
        Panel(
            "Refused requests",
            "Requests that no route saw, and answers withheld, by reason. `rate` is a client in a hurry, `csrf`, "
            "`host`, `forwarded` and `path` an attack or a wrong proxy, `unrecorded` a look that Kafka did not record.",
            "short",
            {"sum by (reason) (increase(undertone_http_requests_refused_total[1h]))": "{{reason}}"},
        ),
        Panel(
            "Looks and sessions",
            "Records of audit.events, by action, over an hour.",
            "short",
            {"sum by (action, allowed) (increase(undertone_audit_events_total[1h]))": "{{action}} allowed={{allowed}}"},
        ),
        Panel(
            "Sign-ins",
            "That came back from the identity provider, over an hour.",
            "short",
            {"sum by (outcome) (increase(undertone_sign_ins_total[1h]))": "{{outcome}}"},
        ),
    ),
    "History": (
        Panel(
            "History is behind",
            "Age of the oldest record that the pages do not show yet.",
            "s",
            {'max(undertone_lag_seconds{stage="history"})': "lag"},
            worry=60,
        ),
        Panel(
            "Records kept",
            "Taken from their topics into the database.",
            "cps",
            {'sum(rate(undertone_records_in_total{stage="history"}[$__rate_interval]))': "records"},
        ),
        Panel(
            "Retries",
            "A database or a broker that does not answer; the history waits for it.",
            "cps",
            {'sum by (target) (rate(undertone_retries_total{stage="history"}[$__rate_interval]))': "{{target}}"},
            worry=0.1,
        ),
    ),
}

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
