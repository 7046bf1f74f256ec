"""A person who changes, for tests of charts: a gap, memos that were not judged, another bundle, an episode."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale

from schemas.events import Evidence
from streams.web.charts.layout import Attributes
from streams.web.person.reader import Reader
from streams.web.person.spans import AlertStep, Lane, Span
from streams.web.person.timeline import Timeline, timeline
from tests.unit.streams.scores import RULES, START, calm, daily, scored

READER = Reader(str, Locale("en", "GB"), ZoneInfo("UTC"))
END = START + timedelta(days=40)
EVIDENCE = (
    Evidence("pause_share", 0.41, 7.5, contribution=0.8),
    Evidence("hnr", 9.0, -1.5, fragile=True, contribution=-0.2),
    Evidence("new_marker", 3.0, 1.2),
)
EPISODE = Span(Lane.EPISODE, START + timedelta(days=30), None, "a change", strong=True)
SPANS = (
    Span(Lane.BUNDLE, START, START + timedelta(days=8), "demo-1"),
    Span(Lane.CONTEXT, START - timedelta(days=5), START + timedelta(days=10), "travel"),
    Span(Lane.CONTEXT, START - timedelta(days=50), START - timedelta(days=40), "before all that is shown"),
    EPISODE,
)
STEPS = (AlertStep(START + timedelta(days=30), 6.5, 6.2, "inverted_triangle", "raised", strong=True),)


def changed() -> Timeline:
    """Forty days."""
    scores = [
        *daily(calm(8)),
        *daily(calm(6), first_day=8, bundle="demo-2"),
        scored(None, 14, bundle="demo-2"),
        *(replace(s, evidence=EVIDENCE) for s in daily(calm(12), first_day=27, bundle="demo-2")),
    ]
    return timeline(scores, RULES, None, END)


def column(attributes: Attributes, name: str) -> list[Any]:
    """One column of a source."""
    found: dict[str, list[Any]] = dict(attributes["data"]["entries"])
    return found[name]
