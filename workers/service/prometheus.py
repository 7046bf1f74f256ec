"""The counters, gauges and histograms of `schemas/metrics.py`; `workers/service/http_endpoint.py` exports them.

    RECORDS_IN.labels(stage="acoustic").inc()
    with STAGE_DURATION.labels(stage="acoustic").time(): ...
    with timed(REDIS_LATENCY, operation="read"): ...

All methods are thread-safe. Child processes have their own counters, which are not exported: count in the process with
the endpoint.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from schemas import metrics
from schemas.metrics import Metric

# The `_created` series of every counter is unused and doubles what Prometheus stores.
disable_created_metrics()  # type: ignore[no-untyped-call]


REGISTRY = CollectorRegistry()
"""The exported metrics: Undertone's own, and the process's memory, CPU time and garbage collection."""
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


def _counter(metric: Metric) -> Counter:
    return Counter(metric.name, metric.meaning, metric.labels, registry=REGISTRY)


def _gauge(metric: Metric) -> Gauge:
    return Gauge(metric.name, metric.meaning, metric.labels, registry=REGISTRY)


def _histogram(metric: Metric) -> Histogram:
    return Histogram(metric.name, metric.meaning, metric.labels, registry=REGISTRY, buckets=metric.buckets)


RECORDS_IN = _counter(metrics.RECORDS_IN)
RECORDS_OUT = _counter(metrics.RECORDS_OUT)
RECORDS_FAILED = _counter(metrics.RECORDS_FAILED)
RECORDS_REPEATED = _counter(metrics.RECORDS_REPEATED)
MEMOS_UNREAD = _counter(metrics.MEMOS_UNREAD)
DEAD_LETTERS = _counter(metrics.DEAD_LETTERS)
DEAD_LETTER_SHARE = _gauge(metrics.DEAD_LETTER_SHARE)
RETRIES = _counter(metrics.RETRIES)

STAGE_DURATION = _histogram(metrics.STAGE_DURATION)
UPLOAD_LATENCY = _histogram(metrics.UPLOAD_LATENCY)
RECORDING_LATENCY = _histogram(metrics.RECORDING_LATENCY)
LAST_PROGRESS = _gauge(metrics.LAST_PROGRESS)

LAG_RECORDS = _gauge(metrics.LAG_RECORDS)
LAG_SECONDS = _gauge(metrics.LAG_SECONDS)
LAG_OBSERVED = _gauge(metrics.LAG_OBSERVED)
COMMITS = _counter(metrics.COMMITS)
REBALANCES = _counter(metrics.REBALANCES)
PARTITIONS_ASSIGNED = _gauge(metrics.PARTITIONS_ASSIGNED)
PARTITIONS_PAUSED = _gauge(metrics.PARTITIONS_PAUSED)

AUDIO_SECONDS = _counter(metrics.AUDIO_SECONDS)
REAL_TIME_FACTOR = _gauge(metrics.REAL_TIME_FACTOR)
BATCH_FILL = _histogram(metrics.BATCH_FILL)
PADDING_SHARE = _histogram(metrics.PADDING_SHARE)
INFLIGHT_AUDIO = _gauge(metrics.INFLIGHT_AUDIO)
INFLIGHT_RECORDS = _gauge(metrics.INFLIGHT_RECORDS)
STORAGE_LATENCY = _histogram(metrics.STORAGE_LATENCY)

JOINS_OPEN = _gauge(metrics.JOINS_OPEN)
JOIN_OLDEST = _gauge(metrics.JOIN_OLDEST)
STATE_LOSSES = _counter(metrics.STATE_LOSSES)
MEMOS_SENT_AGAIN = _counter(metrics.MEMOS_SENT_AGAIN)
JOINS_TIMED_OUT = _counter(metrics.JOINS_TIMED_OUT)
SCORES = _counter(metrics.SCORES)
INDETERMINATE = _counter(metrics.INDETERMINATE)
PROBABILITY = _histogram(metrics.PROBABILITY)

DRIFT_UPDATES = _counter(metrics.DRIFT_UPDATES)
ALERTS = _counter(metrics.ALERTS)
ALERTS_BUDGETED = _counter(metrics.ALERTS_BUDGETED)
SILENCE_WATCHED = _gauge(metrics.SILENCE_WATCHED)
SILENCE_HELD = _gauge(metrics.SILENCE_HELD)
BASELINE_RESETS = _counter(metrics.BASELINE_RESETS)
STATE_UNREADABLE = _counter(metrics.STATE_UNREADABLE)

EPISODES_OPEN = _gauge(metrics.EPISODES_OPEN)
ALERTS_UNDELIVERED = _counter(metrics.ALERTS_UNDELIVERED)
BRIDGE_SKIPPED = _counter(metrics.BRIDGE_SKIPPED)
DELIVERY_LATENCY = _histogram(metrics.DELIVERY_LATENCY)

REDIS_LATENCY = _histogram(metrics.REDIS_LATENCY)
REDIS_CONFLICTS = _counter(metrics.REDIS_CONFLICTS)

RECORDS_ERASED = _counter(metrics.RECORDS_ERASED)
KEY_DIRECTORY_LATENCY = _histogram(metrics.KEY_DIRECTORY_LATENCY)
KEYS_UNKNOWN = _gauge(metrics.KEYS_UNKNOWN)
KEYS_OVERDUE = _gauge(metrics.KEYS_OVERDUE)
KEY_REQUESTS = _counter(metrics.KEY_REQUESTS)
KEYS_CACHED = _gauge(metrics.KEYS_CACHED)

# Info metrics are gauges with the constant value 1, so that their labels can be joined to other series.
BUNDLE = _gauge(metrics.BUNDLE)
BUILD = _gauge(metrics.BUILD)
ENGINE = _gauge(metrics.ENGINE)

HTTP_REQUESTS = _counter(metrics.HTTP_REQUESTS)
HTTP_DURATION = _histogram(metrics.HTTP_DURATION)
LIVE_SUBSCRIBERS = _gauge(metrics.LIVE_SUBSCRIBERS)
LIVE_EVENTS = _counter(metrics.LIVE_EVENTS)
LIVE_CUT = _counter(metrics.LIVE_CUT)
UPLOADS = _counter(metrics.UPLOADS)
UPLOAD_BYTES = _counter(metrics.UPLOAD_BYTES)
AUDIT_EVENTS = _counter(metrics.AUDIT_EVENTS)
AUDIT_HEAD_TIMESTAMP = _gauge(metrics.AUDIT_HEAD_TIMESTAMP)
AUDIT_COVERED_TIMESTAMP = _gauge(metrics.AUDIT_COVERED_TIMESTAMP)
SIGN_INS = _counter(metrics.SIGN_INS)
REQUESTS_REFUSED = _counter(metrics.REQUESTS_REFUSED)


@contextmanager
def timed(histogram: Histogram, **labels: str) -> Iterator[None]:
    """Observe the duration of the block, with the label `outcome`: `failed` when it raises."""
    began = time.perf_counter()
    outcome = "failed"
    try:
        yield
        outcome = "ok"
    finally:
        histogram.labels(**labels, outcome=outcome).observe(time.perf_counter() - began)


def observe_latency(stage: str, recorded_at: datetime, uploaded_at: datetime, now: float) -> None:
    """Observe the latency of a memo's delivered results. now: Unix time. A clock that is behind gives 0."""
    since_recording, since_upload = _latencies(stage)
    since_recording.observe(max(now - recorded_at.timestamp(), 0.0))
    since_upload.observe(max(now - uploaded_at.timestamp(), 0.0))


@cache
def _latencies(stage: str) -> tuple[Histogram, Histogram]:
    return RECORDING_LATENCY.labels(stage=stage), UPLOAD_LATENCY.labels(stage=stage)
