import re
import shutil
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client import Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from schemas import metrics
from schemas.metrics import Metric, MetricKind
from streams.drift.detector import Outcome
from tests.samples import sample
from workers.service import prometheus
from workers.service.http_endpoint import serve

ROOT = Path(__file__).parents[4]
CLASSES = {
    MetricKind.COUNTER: Counter,
    MetricKind.GAUGE: Gauge,
    MetricKind.HISTOGRAM: Histogram,
    MetricKind.INFO: Gauge,
}
LISTED = {name: value for name, value in vars(metrics).items() if isinstance(value, Metric)}
MADE = {name: value for name, value in vars(prometheus).items() if isinstance(value, MetricWrapperBase)}


def test_every_listed_metric_has_its_instrument_and_no_other_is_made() -> None:
    assert list(MADE) == list(LISTED)
    for name, metric in LISTED.items():
        assert type(MADE[name]) is CLASSES[metric.kind]
        (family,) = MADE[name].describe()
        assert family.name == metric.name.removesuffix("_total")
        assert family.documentation == metric.meaning


def test_what_is_counted_is_served() -> None:
    prometheus.RECORDS_IN.labels(stage="acoustic").inc(3)
    prometheus.STAGE_DURATION.labels(stage="acoustic").observe(0.2)
    prometheus.BUNDLE.labels(bundle="demo-1").set(1)
    with serve(0, "127.0.0.1") as port, urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    ours = {name for name in families if name.startswith(metrics.PREFIX)}
    assert ours == {metric.name.removesuffix("_total") for metric in metrics.METRICS}
    counted = {
        s.labels["stage"]: s.value for s in families["undertone_records_in"].samples if s.name.endswith("_total")
    }
    assert counted["acoustic"] >= 3
    assert "process_resident_memory_bytes" in families


def test_a_timed_block_tells_whether_it_failed() -> None:
    before = {outcome: calls(outcome) for outcome in ("ok", "failed")}
    with prometheus.timed(prometheus.REDIS_LATENCY, operation="find"):
        pass
    with pytest.raises(KeyError), prometheus.timed(prometheus.REDIS_LATENCY, operation="find"):
        raise KeyError
    assert calls("ok") == before["ok"] + 1
    assert calls("failed") == before["failed"] + 1


def calls(outcome: str) -> float:
    return sample("redis_latency_seconds_count", operation="find", outcome=outcome)


@pytest.mark.parametrize("name", LISTED)
def test_every_instrument_is_used(name: str) -> None:
    """A metric that nothing sets would tell an operator that all is well."""
    files = [path for package in ("workers", "streams") for path in (ROOT / package).rglob("*.py")]
    used = re.compile(rf"\bprometheus\.{name}\b|^    .*\b{name}\.labels\(\w+=\w", re.MULTILINE)
    assert any(used.search(path.read_text()) for path in files)


def test_outcomes_of_drift_are_described() -> None:
    assert all(f"`{outcome}`" in metrics.LABELS["outcome"] for outcome in Outcome)


def test_prometheus_own_linter_finds_nothing() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool here: install Debian's prometheus")
    for name, metric in LISTED.items():
        if metric.labels:
            MADE[name].labels(*metric.labels)
    text = generate_latest(prometheus.REGISTRY)
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
