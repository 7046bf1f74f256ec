"""Figures of an evaluation that are beyond the limits up to which a bundle is useful. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Limit(NamedTuple):
    """The largest acceptable value of a figure. meaning: what more means, and what to do."""

    figure: str
    most: float
    meaning: str


LIMITS = (
    Limit(
        "undecided_share",
        0.5,
        "{value:.0%} of the memos are undecided, more than {limit:.0%}: the bundle separates the classes too little; "
        "train on more speakers, or on recordings more like these",
    ),
    Limit(
        "abstained_share",
        0.5,
        "{value:.0%} of the memos are indeterminate, more than {limit:.0%}: most for their quality or a missing "
        "modality; `undertone score` names the reason of each",
    ),
)
"""In the order of precedence: of two figures that count the same memos, one flag is enough."""


def flags_of(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The first figure beyond its limit, as an entry of `report.json`; empty when none is."""
    for limit in LIMITS:
        value = figures.get(limit.figure, 0.0)
        if value > limit.most:
            meaning = limit.meaning.format(value=value, limit=limit.most)
            return [{"figure": limit.figure, "value": value, "limit": limit.most, "meaning": meaning}]
    return []
