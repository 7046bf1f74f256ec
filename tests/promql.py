"""What a PromQL expression asks for: metrics and labels, held against `schemas/metrics.py`."""

import re
from collections.abc import Iterator
from typing import Any

import promql_parser

from schemas.metrics import LABELS, METRICS, Metric, MetricKind

OF_TARGETS = {"job", "instance", "role", "le"}
"""Labels that Prometheus adds, and the one of buckets."""
OTHERS: dict[str, set[str]] = {
    "up": set(),
    "ALERTS": {"alertname", "alertstate", "severity"},
    "process_resident_memory_bytes": set(),
}
"""Metrics of Prometheus itself and of the process, which `schemas/metrics.py` does not list, and their labels."""


def series_of(metric: Metric) -> set[str]:
    """Names of the series that a metric has in Prometheus."""
    if metric.kind is MetricKind.HISTOGRAM:
        return {f"{metric.name}_{part}" for part in ("bucket", "sum", "count")}
    return {metric.name}


PATTERNS = {"route", "status"}
"""Labels whose values follow a pattern that LABELS says, and which it does not list."""
KNOWN = {name: metric for metric in METRICS for name in series_of(metric)}


def parsed(expression: str) -> Any:
    """The expression as a tree; Grafana's variables stand for a time."""
    return promql_parser.parse(re.sub(r"\$__(rate_interval|range|interval)|\$\{__\w+\}", "5m", expression))


def nodes(tree: Any) -> Iterator[Any]:
    """Every part of an expression."""
    yield tree
    for name in ("lhs", "rhs", "expr", "vector_selector", "param"):
        part = getattr(tree, name, None)
        if part is not None:
            yield from nodes(part)
    for part in getattr(tree, "args", ()):
        yield from nodes(part)


def selectors(expression: str) -> list[Any]:
    """The selectors of series in it."""
    return [node for node in nodes(parsed(expression)) if isinstance(node, promql_parser.VectorSelector)]


def grouping(expression: str) -> set[str]:
    """Labels that aggregations and joins name."""
    modifiers = [getattr(node, "modifier", None) for node in nodes(parsed(expression))]
    named: set[str] = set()
    for modifier in filter(None, modifiers):
        matching = getattr(modifier, "matching", modifier)
        named |= set(getattr(matching, "labels", None) or ())
    return named


def faults(expression: str) -> list[str]:
    """What in an expression does not exist: metrics, labels of theirs, values that a label cannot have."""
    found, carried = [], set(OF_TARGETS)
    for selector in selectors(expression):
        metric = KNOWN.get(selector.name)
        if metric is None:
            found += [] if selector.name in OTHERS else [f"no metric {selector.name}"]
            carried |= OTHERS.get(selector.name, set())
            continue
        carried |= set(metric.labels)
        for matcher in selector.matchers.matchers:
            if matcher.name not in {*metric.labels, *OF_TARGETS}:
                found.append(f"{metric.name} has no label {matcher.name}")
            elif matcher.name in LABELS and matcher.name not in PATTERNS and not matcher.value.startswith("$"):
                found += [
                    f"{matcher.name} is never {value}"
                    for value in matcher.value.split("|")
                    if value and f"`{value}`" not in _values(matcher.name)
                ]
    return found + [f"nothing in it has a label {label}" for label in sorted(grouping(expression) - carried)]


def _values(label: str) -> str:
    return LABELS[label] + "".join(m.meaning for m in METRICS if label in m.labels)
