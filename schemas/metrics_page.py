"""`docs/metrics.md`: every metric with its kind, unit, labels and meaning."""

from schemas.generated_page import page, table
from schemas.metrics import LABELS, METRICS, Metric

INTRODUCTION = """\
Every role serves these on `/metrics` when `UNDERTONE_METRICS_PORT` is set, with the process's own memory, CPU time and
garbage collection. No label contains the id of a user or a memo, a path or an address.

On the same port, `/healthz` answers 503 with the reason when a part of the process is stuck: its event loop, a batch,
the reading of a topic, the loading of a memo or a model. An unavailable broker or Redis does not count. `/readyz`
answers 503 while the model is loading, no partitions are assigned, or the broker or (for the agents) Redis is
unavailable. Otherwise both answer 200 with `{"status": "ok"}`."""


def metrics_page() -> str:
    """The metrics as a page."""
    buckets = [(f"`{each.name}`", ", ".join(f"{b:g}" for b in each.buckets)) for each in METRICS if each.buckets]
    return page(
        "Metrics",
        INTRODUCTION,
        table(("metric", "kind", "unit", "labels", "meaning"), map(_row, METRICS)),
        "## Labels",
        table(("label", "values"), ((f"`{label}`", values) for label, values in LABELS.items())),
        "## Buckets",
        table(("histogram", "upper bounds"), buckets),
    )


def _row(metric: Metric) -> tuple[str, ...]:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"`{metric.name}`", metric.kind, metric.unit, labels, metric.meaning
