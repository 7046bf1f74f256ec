"""Samples of this process's metrics, as Prometheus would read them."""

from collections.abc import Iterator
from contextlib import contextmanager

from workers.service.prometheus import REGISTRY


def sample(name: str, **labels: str) -> float:
    """The sample `undertone_<name>`; 0 before it is first counted."""
    return REGISTRY.get_sample_value(f"undertone_{name}", labels) or 0.0


@contextmanager
def counted(name: str, **labels: str) -> Iterator[list[float]]:
    """By how much a sample grew in the block: the list's only element afterwards."""
    before = sample(name, **labels)
    grown: list[float] = []
    yield grown
    grown.append(sample(name, **labels) - before)
