"""The counters, gauges and histograms behind `schemas/metrics.py`, and the port that shows them.

    RECORDS_IN.labels(stage="acoustic").inc()
    with STAGE_DURATION.labels(stage="acoustic").time(): ...
    BUNDLE.labels(bundle="demo-1", encoder="tiny-3f2a").set(1)

All methods are safe from any thread. Child processes have counters of their own, which nobody reads: count in the
process that serves.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

from schemas import metrics
from schemas.errors import ConfigurationError
from schemas.metrics import Metric

# A second series for every counter, with the time of its creation, doubles what Prometheus stores and nobody reads it.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry()
"""What `serve` shows: Undertone's own metrics, and the process's memory, CPU time and garbage collection."""
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
DEAD_LETTERS = _counter(metrics.DEAD_LETTERS)
DEAD_LETTER_SHARE = _gauge(metrics.DEAD_LETTER_SHARE)
RETRIES = _counter(metrics.RETRIES)

STAGE_DURATION = _histogram(metrics.STAGE_DURATION)
UPLOAD_LATENCY = _histogram(metrics.UPLOAD_LATENCY)
RECORDING_LATENCY = _histogram(metrics.RECORDING_LATENCY)
LAST_PROGRESS = _gauge(metrics.LAST_PROGRESS)

LAG_RECORDS = _gauge(metrics.LAG_RECORDS)
LAG_SECONDS = _gauge(metrics.LAG_SECONDS)
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
JOIN_DURATION = _histogram(metrics.JOIN_DURATION)
JOINS_TIMED_OUT = _counter(metrics.JOINS_TIMED_OUT)
SCORES = _counter(metrics.SCORES)
INDETERMINATE = _counter(metrics.INDETERMINATE)
PROBABILITY = _histogram(metrics.PROBABILITY)

DRIFT_UPDATES = _counter(metrics.DRIFT_UPDATES)
MEMOS_LATE = _counter(metrics.MEMOS_LATE)
MEMOS_LEFT_OUT = _counter(metrics.MEMOS_LEFT_OUT)
ALERTS = _counter(metrics.ALERTS)
ALERTS_BUDGETED = _counter(metrics.ALERTS_BUDGETED)
BASELINE_RESETS = _counter(metrics.BASELINE_RESETS)

REDIS_LATENCY = _histogram(metrics.REDIS_LATENCY)
REDIS_CONFLICTS = _counter(metrics.REDIS_CONFLICTS)

# Info metrics are gauges that are always 1, so that their labels can be joined to other series.
BUNDLE = _gauge(metrics.BUNDLE)
BUILD = _gauge(metrics.BUILD)


@contextmanager
def serve(port: int, host: str = "0.0.0.0") -> Iterator[int]:  # noqa: S104 - Prometheus reads it from elsewhere
    """Serve `/metrics` from a thread while the context is open; yields the port, a free one for 0.

    Raises ConfigurationError when the port cannot be had.
    """
    try:
        server, thread = start_http_server(port, host, registry=REGISTRY)
    except OSError as error:
        raise ConfigurationError(
            f"UNDERTONE_METRICS_PORT: port {port} cannot be served ({error.strerror}); choose another"
        ) from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
