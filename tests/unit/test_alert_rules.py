"""Alert rules: each fires when it should and is silent otherwise, names what exists, and has a runbook entry."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.prometheus.runbook import DEFAULT, main, with_address
from tests.monitoring import program
from tests.promql import faults, parsed

ROOT = Path(__file__).parent.parent.parent
RULES = ROOT / "deploy" / "prometheus" / "rules" / "undertone.yml"
RUNBOOK = ROOT / "docs" / "runbook.md"
PARTS = ("What it means", "What to look at", "What to do")


def rules() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario of a rule: series as promtool writes them (one value every `step`), and whether it fires at a time."""

    rule: str
    fires: bool
    at: str
    series: dict[str, str]
    step: str = "15s"


CASES = [
    Case("UndertoneDown", True, "2m", {'up{job="undertone",instance="a:1",role="agents"}': "1x2 0x20"}),
    Case("UndertoneDown", False, "5m", {'up{job="undertone",instance="a:1",role="agents"}': "1x2 0 1x20"}),
    Case("UndertoneLagUnknown", True, "2m", {"up": "1x20"}),
    Case("UndertoneLagUnknown", True, "4m", {"undertone_lag_observed_timestamp_seconds": "0+15x4 60x20"}),
    Case("UndertoneLagUnknown", False, "5m", {"undertone_lag_observed_timestamp_seconds": "0+15x40"}),
    Case(
        "UndertoneStageStuck",
        True,
        "4m",
        {
            'undertone_last_progress_timestamp_seconds{stage="drift"}': "0x40",
            'undertone_lag_records{stage="drift",topic="risk.scored",partition="0"}': "3x40",
        },
    ),
    Case(
        "UndertoneStageStuck",
        False,
        "10m",
        {
            'undertone_last_progress_timestamp_seconds{stage="drift"}': "0x40",
            'undertone_lag_records{stage="drift",topic="risk.scored",partition="0"}': "0x40",
        },
    ),
    # The embedding worker dies after a minute: nothing is waiting, then the oldest memo grows older by the second.
    Case(
        "UndertoneLagHigh",
        True,
        "3m",
        {'undertone_lag_seconds{stage="embedding",topic="memos.uploaded",partition="0"}': "0x4 0+15x40"},
    ),
    Case(
        "UndertoneLagHigh",
        False,
        "20m",
        {'undertone_lag_seconds{stage="embedding",topic="memos.uploaded",partition="0"}': "30x80"},
    ),
    Case(
        "UndertoneScoresLate",
        True,
        "30m",
        {
            'undertone_upload_latency_seconds_bucket{stage="fusion",le="900"}': "0+1x120",
            'undertone_upload_latency_seconds_bucket{stage="fusion",le="3600"}': "0+10x120",
            'undertone_upload_latency_seconds_bucket{stage="fusion",le="+Inf"}': "0+10x120",
        },
    ),
    Case(
        "UndertoneScoresLate",
        False,
        "30m",
        {
            'undertone_upload_latency_seconds_bucket{stage="fusion",le="900"}': "0+10x120",
            'undertone_upload_latency_seconds_bucket{stage="fusion",le="+Inf"}': "0+10x120",
        },
    ),
    Case("UndertoneJoinsStale", True, "10m", {"undertone_join_oldest_seconds": "1300x60"}),
    Case("UndertoneJoinsStale", False, "10m", {"undertone_join_oldest_seconds": "900x60"}),
    Case("UndertoneDeadLettersMany", True, "3m", {'undertone_dead_letter_ratio{stage="acoustic"}': "0.2x20"}),
    Case("UndertoneDeadLettersMany", False, "3m", {'undertone_dead_letter_ratio{stage="acoustic"}': "0.05x20"}),
    Case(
        "UndertoneDeadLetters",
        True,
        "1h",
        {'undertone_dead_letters_total{stage="acoustic",reason="audio:undecodable"}': "0+1x240"},
    ),
    Case(
        "UndertoneDeadLetters",
        False,
        "1h",
        {'undertone_dead_letters_total{stage="acoustic",reason="audio:undecodable"}': "0x100 5x140"},
    ),
    Case("UndertoneDependencyAway", True, "5m", {'undertone_retries_total{stage="drift",target="redis"}': "0+2x40"}),
    Case("UndertoneDependencyAway", False, "5m", {'undertone_retries_total{stage="drift",target="redis"}': "0x5 1x40"}),
    Case(
        "UndertoneCommitsFailing", True, "30m", {'undertone_commits_total{stage="drift",outcome="failed"}': "0+1x150"}
    ),
    Case("UndertoneCommitsFailing", False, "30m", {'undertone_commits_total{stage="drift",outcome="ok"}': "0+9x150"}),
    Case("UndertoneRebalancing", True, "15m", {'undertone_rebalances_total{stage="drift"}': "0+1x80"}),
    Case("UndertoneRebalancing", False, "15m", {'undertone_rebalances_total{stage="drift"}': "0x10 4x80"}),
    Case(
        "UndertoneRedisSlow",
        True,
        "20m",
        {
            'undertone_redis_latency_seconds_bucket{operation="read",outcome="ok",le="0.25"}': "0+9x100",
            'undertone_redis_latency_seconds_bucket{operation="read",outcome="ok",le="+Inf"}': "0+10x100",
            'undertone_redis_latency_seconds_bucket{operation="read",outcome="ok",le="2.5"}': "0+10x100",
        },
    ),
    Case(
        "UndertoneRedisSlow",
        False,
        "20m",
        {
            'undertone_redis_latency_seconds_bucket{operation="read",outcome="ok",le="0.25"}': "0+10x100",
            'undertone_redis_latency_seconds_bucket{operation="read",outcome="ok",le="+Inf"}': "0+10x100",
        },
    ),
    Case(
        "UndertoneStorageFailing",
        True,
        "30m",
        {
            'undertone_storage_latency_seconds_count{scheme="s3",outcome="ok"}': "0+9x150",
            'undertone_storage_latency_seconds_count{scheme="s3",outcome="failed"}': "0+1x150",
        },
    ),
    Case(
        "UndertoneStorageFailing",
        False,
        "30m",
        {
            'undertone_storage_latency_seconds_count{scheme="s3",outcome="ok"}': "0+99x150",
            'undertone_storage_latency_seconds_count{scheme="s3",outcome="failed"}': "0+1x150",
        },
    ),
    Case("UndertoneScoresStopped", True, "1h", {'undertone_records_in_total{stage="fusion"}': "0+10x70"}, "1m"),
    Case(
        "UndertoneScoresStopped",
        False,
        "1h",
        {
            'undertone_records_in_total{stage="fusion"}': "0+10x70",
            'undertone_scores_total{band="low",bundle="b"}': "0+5x70",
        },
        "1m",
    ),
    Case(
        "UndertoneIndeterminateMany",
        True,
        "7h",
        {
            'undertone_scores_total{band="low",bundle="b"}': "0+1x500",
            'undertone_scores_total{band="indeterminate",bundle="b"}': "0+1x500",
        },
        "1m",
    ),
    Case(
        "UndertoneIndeterminateMany",
        False,
        "7h",
        {
            'undertone_scores_total{band="low",bundle="b"}': "0+9x500",
            'undertone_scores_total{band="indeterminate",bundle="b"}': "0+1x500",
        },
        "1m",
    ),
    Case(
        "UndertoneAlertBudgetSpent",
        True,
        "6d",
        {
            'undertone_alerts_total{kind="drift",state="raised"}': "0+1x200",
            "undertone_alerts_budgeted_total": "0+0.1x200",
        },
        "1h",
    ),
    Case(
        "UndertoneAlertBudgetSpent",
        False,
        "6d",
        {
            'undertone_alerts_total{kind="drift",state="raised"}': "0+1x200",
            "undertone_alerts_budgeted_total": "0+1x200",
        },
        "1h",
    ),
    Case("UndertoneSilenceHeld", True, "2h", {'undertone_silence_held{reason="everybody"}': "0x10 1x600"}),
    Case("UndertoneSilenceHeld", False, "2h", {'undertone_silence_held{reason="everybody"}': "0x10 1x20 0x600"}),
    Case("UndertoneBaselinesLost", True, "10m", {'undertone_baseline_resets_total{reason="lost"}': "0x10 2x40"}),
    Case("UndertoneBaselinesLost", False, "10m", {'undertone_baseline_resets_total{reason="bundle"}': "0x10 200x40"}),
    Case("UndertoneStateUnreadable", True, "10m", {'undertone_state_unreadable_total{entry="join"}': "0x10 1x40"}),
    Case("UndertoneStateUnreadable", False, "10m", {'undertone_state_unreadable_total{entry="join"}': "0x50"}),
    Case("UndertoneRedisEmptied", True, "10m", {"undertone_state_losses_total": "0x10 1x40"}),
    Case("UndertoneRedisEmptied", False, "10m", {"undertone_state_losses_total": "0x50"}),
    Case(
        "UndertoneBundlesMixed",
        True,
        "2h",
        {
            'undertone_bundle_info{bundle="a",instance="1"}': "1x150",
            'undertone_bundle_info{bundle="b",instance="2"}': "1x150",
        },
        "1m",
    ),
    Case(
        "UndertoneBundlesMixed",
        False,
        "2h",
        {
            'undertone_bundle_info{bundle="b",instance="1"}': "1x150",
            'undertone_bundle_info{bundle="b",instance="2"}': "1x150",
        },
        "1m",
    ),
    Case(
        "UndertonePopulationMoved",
        True,
        "9d",
        {
            'undertone_score_probability_ratio_sum{bundle="b"}': "0+30x191 5730+60x60",
            'undertone_score_probability_ratio_count{bundle="b"}': "0+100x260",
        },
        "1h",
    ),
    Case(
        "UndertonePopulationMoved",
        False,
        "9d",
        {
            'undertone_score_probability_ratio_sum{bundle="b"}': "0+30x260",
            'undertone_score_probability_ratio_count{bundle="b"}': "0+100x260",
        },
        "1h",
    ),
    Case(
        "UndertoneAlertsUndelivered",
        True,
        "5m",
        {'undertone_alerts_undelivered_total{stage="webhook",reason="receiver:refused"}': "0x4 1x40"},
    ),
    Case(
        "UndertoneAlertsUndelivered",
        False,
        "5m",
        {'undertone_alerts_undelivered_total{stage="webhook",reason="receiver:refused"}': "0x40"},
    ),
    Case(
        "UndertoneReceiverAway",
        True,
        "10m",
        {'undertone_retries_total{stage="alertmanager",target="receiver"}': "0+1x60"},
    ),
    Case(
        "UndertoneBridgeGone",
        True,
        "10m",
        {'undertone_alerts_undelivered_total{stage="webhook",instance="w"}': "0x4 stale _x60"},
    ),
    Case(
        "UndertoneBridgeGone",
        False,
        "10m",
        {
            'undertone_alerts_undelivered_total{stage="webhook",instance="w"}': "0x4 stale _x60",
            'undertone_alerts_undelivered_total{stage="webhook",instance="v"}': "0x60",
        },
    ),
    Case(
        "UndertoneReceiverAway",
        False,
        "10m",
        {'undertone_retries_total{stage="alertmanager",target="receiver"}': "0x10 1x60"},
    ),
    Case(
        "UndertoneDashboardFailing",
        True,
        "15m",
        {
            'undertone_http_requests_total{route="/",method="GET",status="200"}': "0+10x80",
            'undertone_http_requests_total{route="/",method="GET",status="503"}': "0+1x80",
        },
    ),
    Case(
        "UndertoneDashboardFailing",
        False,
        "15m",
        {
            'undertone_http_requests_total{route="/",method="GET",status="200"}': "0+100x80",
            'undertone_http_requests_total{route="/",method="GET",status="503"}': "0+1x80",
        },
    ),
    Case(
        "UndertoneKeysUnavailable",
        True,
        "15m",
        {'undertone_key_directory_seconds_count{job="u",instance="a:1",operation="find",outcome="failed"}': "0+1x80"},
    ),
    Case(
        "UndertoneKeysUnavailable",
        False,
        "15m",
        {
            'undertone_key_directory_seconds_count{job="u",instance="a:1",operation="find",outcome="failed"}': "0 1x80",
            'undertone_key_directory_seconds_count{job="u",instance="a:1",operation="find",outcome="ok"}': "0+9x80",
        },
    ),
    Case("UndertoneKeysUnknown", True, "15m", {'undertone_keys_unknown{job="u",instance="a:1"}': "1x80"}),
    # Keys of others that are read between two tries of the partition that waits set it to 0.
    Case(
        "UndertoneKeysUnknown",
        True,
        "15m",
        {'undertone_keys_unknown{job="u",instance="a:1"}': " ".join(["1 0 0"] * 30)},
    ),
    Case("UndertoneKeysUnknown", False, "15m", {'undertone_keys_unknown{job="u",instance="a:1"}': "1x20 0x80"}),
    Case("UndertoneKeysOverdue", True, "25h", {'undertone_keys_overdue_months{job="u",instance="a:1"}': "2x6100"}),
    Case(
        "UndertoneKeysOverdue", False, "25h", {'undertone_keys_overdue_months{job="u",instance="a:1"}': "2x300 0x5800"}
    ),
    Case(
        "UndertoneRecordsForged",
        True,
        "10m",
        {'undertone_dead_letters_total{stage="fusion",reason="record:forged",instance="a:1"}': "_x30 1x40"},
    ),
    Case(
        "UndertoneRecordsForged",
        True,
        "80m",
        {'undertone_dead_letters_total{stage="fusion",reason="record:forged",instance="a:1"}': "1x300 2x40"},
    ),
    Case(
        "UndertoneRecordsForged",
        False,
        "80m",
        {
            'undertone_dead_letters_total{stage="fusion",reason="record:forged",instance="a:1"}': "3x400",
            'undertone_dead_letters_total{stage="fusion",reason="audio:undecodable",instance="a:1"}': "0+1x400",
        },
    ),
    Case(
        "UndertoneLooksUnrecorded", True, "5m", {'undertone_http_requests_refused_total{reason="unrecorded"}': "0+1x40"}
    ),
    Case(
        "UndertoneLooksUnrecorded",
        False,
        "5m",
        {
            'undertone_http_requests_refused_total{reason="unrecorded"}': "0x40",
            'undertone_http_requests_refused_total{reason="rate"}': "0+5x40",
        },
    ),
    Case(
        "UndertoneAuditUnsigned", True, "40m", {'undertone_audit_covered_timestamp_seconds{instance="a:1"}': "60x200"}
    ),
    # The process that signs is gone, with its metrics.
    Case("UndertoneAuditUnsigned", True, "40m", {'undertone_audit_covered_timestamp_seconds{instance="a:1"}': "60x8"}),
    # One of two that sign suffices.
    Case(
        "UndertoneAuditUnsigned",
        False,
        "60m",
        {
            'undertone_audit_covered_timestamp_seconds{instance="a:1"}': "60x300",
            'undertone_audit_covered_timestamp_seconds{instance="b:1"}': "0+15x300",
        },
    ),
    # No process signs, since nobody has set that up: every process has the gauge, at 0.
    Case(
        "UndertoneAuditUnsigned", False, "60m", {'undertone_audit_covered_timestamp_seconds{instance="a:1"}': "0x300"}
    ),
]


def as_test(case: Case) -> dict[str, Any]:
    firing = f'count(ALERTS{{alertname="{case.rule}",alertstate="firing"}}) or vector(0)'
    return {
        "name": f"{case.rule} {'fires' if case.fires else 'is silent'}",
        "interval": case.step,
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "promql_expr_test": [
            {
                "expr": firing,
                "eval_time": case.at,
                "exp_samples": [{"labels": "{}", "value": 1 if case.fires else 0}],
            }
        ],
    }


def run(folder: Path, *scenarios: tuple[Case, dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    """`promtool test rules`, each scenario with its rule alone, which is evaluated as often as its series."""
    files = []
    for number, (case, test) in enumerate(scenarios):
        group = {"name": "alone", "interval": case.step, "rules": [rules()[case.rule]]}
        (folder / f"rules-{number}.yml").write_text(yaml.safe_dump({"groups": [group]}))
        tests = {"rule_files": [f"rules-{number}.yml"], "evaluation_interval": case.step, "tests": [test]}
        files.append(folder / f"scenario-{number}.yml")
        files[-1].write_text(yaml.safe_dump(tests))
    command = [program("promtool"), "test", "rules", *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_rule_fires_when_it_should_and_is_silent_otherwise(tmp_path: Path) -> None:
    done = run(tmp_path, *((case, as_test(case)) for case in CASES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_has_a_story_of_both_kinds() -> None:
    for fires in (True, False):
        assert {case.rule for case in CASES if case.fires is fires} == set(rules())


def test_a_dead_embedding_worker_calls_somebody_within_two_minutes(tmp_path: Path) -> None:
    """It dies at 0 with a memo under way every second: lag is told every three seconds and scraped every fifteen."""
    lag = {'undertone_lag_seconds{stage="embedding",topic="memos.uploaded",partition="0"}': "0+15x20"}
    case = Case("UndertoneLagHigh", True, "2m", lag)
    test = as_test(case)
    test["alert_rule_test"] = [
        {
            "alertname": "UndertoneLagHigh",
            "eval_time": "2m",
            "exp_alerts": [
                {
                    "exp_labels": {"stage": "embedding", "severity": "critical"},
                    "exp_annotations": {
                        "summary": "Stage embedding is 2m 0s behind",
                        "description": rules()["UndertoneLagHigh"]["annotations"]["description"],
                        "runbook_url": f"{DEFAULT}#undertonelaghigh",
                    },
                }
            ],
        }
    ]
    done = run(tmp_path, (case, test))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", rules())
def test_a_rule_names_only_metrics_and_labels_that_exist(name: str) -> None:
    rule = rules()[name]
    assert parsed(rule["expr"]) is not None
    assert faults(rule["expr"]) == []
    assert rule["labels"]["severity"] in {"critical", "warning"}
    for label in re.findall(r"\$labels\.(\w+)", str(rule["annotations"])):
        assert label in rule["expr"] or label in {"instance", "role"}


def test_what_does_not_exist_is_found() -> None:
    assert faults("rate(undertone_typo_total[5m])") == ["no metric undertone_typo_total"]
    assert faults('undertone_lag_seconds{user="x"}') == ["undertone_lag_seconds has no label user"]
    assert faults('undertone_lag_seconds{stage="fussion"}') == ["stage is never fussion"]
    assert faults("sum by (reason) (undertone_lag_seconds)") == ["nothing in it has a label reason"]


def test_runbook_and_rules_name_each_other() -> None:
    entries = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK.read_text(), re.MULTILINE | re.DOTALL))
    assert list(entries) == list(rules())
    for name, rule in rules().items():
        assert rule["annotations"]["runbook_url"] == f"{DEFAULT}#{name.lower()}"
        for part in PARTS:
            (text,) = re.findall(rf"^\*\*{part}\.\*\* (.+)", entries[name], re.MULTILINE)
            assert len(text) > 30, f"{name}: {part}"


def test_the_address_of_the_runbook_is_set_once(tmp_path: Path) -> None:
    """Every rule leads to its entry on the page that the operator names."""
    copy = tmp_path / "undertone.yml"
    copy.write_text(RULES.read_text())
    assert main(["https://docs.example.org/undertone/runbook.html"], copy) == 0
    groups = yaml.safe_load(copy.read_text())["groups"]
    urls = [rule["annotations"]["runbook_url"] for group in groups for rule in group["rules"]]
    assert urls == [f"https://docs.example.org/undertone/runbook.html#{name.lower()}" for name in rules()]
    assert with_address(copy.read_text(), DEFAULT) == RULES.read_text()


@pytest.mark.parametrize("address", ["docs/runbook.md", "https://docs/runbook.html#entry", "https://docs/run book"])
def test_an_address_that_is_no_page_changes_nothing(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "undertone.yml"
    copy.write_text(RULES.read_text())
    assert main([address], copy) == 2
    assert "is no absolute address of a page" in capsys.readouterr().err
    assert copy.read_text() == RULES.read_text()
