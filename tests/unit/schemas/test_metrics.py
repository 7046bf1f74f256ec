import re

import pytest

from schemas.metrics import LABELS, METRICS, Metric, MetricKind

IDS = ("user", "memo", "alert", "score", "path", "uri", "host", "address", "key", "offset", "member")


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_names_follow_prometheus(metric: Metric) -> None:
    assert re.fullmatch(r"undertone_[a-z]+(_[a-z]+)*", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is MetricKind.COUNTER)
    assert metric.name.endswith("_info") == (metric.kind is MetricKind.INFO)
    assert metric.name.removesuffix("_total").endswith(metric.unit)
    assert metric.unit in {"", "seconds", "ratio", "bytes"}
    assert not metric.name.endswith(("_bucket", "_sum", "_count", "_created"))


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_buckets_belong_to_histograms_and_rise(metric: Metric) -> None:
    assert bool(metric.buckets) == (metric.kind is MetricKind.HISTOGRAM)
    assert list(metric.buckets) == sorted(set(metric.buckets))


def test_labels_are_described_used_and_hold_no_ids() -> None:
    used = {label for metric in METRICS for label in metric.labels}
    assert used == set(LABELS)
    assert not {label for label in used if any(word in label for word in IDS)}


def test_meanings_are_sentences_and_names_unique() -> None:
    assert all(metric.meaning.endswith(".") for metric in METRICS)
    assert len({metric.name for metric in METRICS}) == len(METRICS)
