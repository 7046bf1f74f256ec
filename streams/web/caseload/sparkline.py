"""The last scores of a person as a small line, and the same in words. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from streams.web.formats import percent
from streams.web.languages import Language

WIDTH, HEIGHT = 120.0, 40.0
"""Of the drawing, in its own units."""
EDGE = 4.0
"""Room around the line for its last point."""


@dataclass(frozen=True, slots=True)
class Sparkline:
    """Lines between judged memos, a break wherever one could not be judged.

    path: of an SVG path; unjudged: where on the base line a memo without a score is marked; last: centre of the last
    score, None without one; words: what the drawing says.
    """

    path: str
    unjudged: tuple[tuple[float, float], ...]
    last: tuple[float, float] | None
    words: str


def sparkline(scores: Sequence[float | None], language: Language) -> Sparkline:
    """scores: probabilities, oldest first, None for a memo that was not judged. The axis is 0 to 1 for everybody."""
    points = [(_x(place, len(scores)), None if score is None else _y(score)) for place, score in enumerate(scores)]
    judged = [(x, y) for x, y in points if y is not None]
    unjudged = tuple((x, HEIGHT - EDGE / 2) for x, y in points if y is None)
    return Sparkline(_path(points), unjudged, judged[-1] if judged else None, in_words(scores, language))


def _x(place: int, count: int) -> float:
    return round(EDGE + (WIDTH - 2 * EDGE) * (place / (count - 1) if count > 1 else 1.0), 1)


def _y(score: float) -> float:
    return round(EDGE + (HEIGHT - 2 * EDGE) * (1 - min(max(score, 0.0), 1.0)), 1)


def _path(points: Sequence[tuple[float, float | None]]) -> str:
    steps, drawing = [], False
    for x, y in points:
        if y is not None:
            steps.append(f"{'L' if drawing else 'M'}{x:g} {y:g}")
        drawing = y is not None
    return "".join(steps)


def in_words(scores: Sequence[float | None], language: Language) -> str:
    """What a drawing of these scores says; None for a memo that was not judged."""
    judged = [score for score in scores if score is not None]
    if not judged:
        return language.gettext("no score yet") if not scores else language.gettext("no memo could be judged")
    words = language.ngettext(
        "last score %(now)s", "last %(num)d scores: %(low)s to %(high)s, now %(now)s", len(judged)
    )
    text = words % {
        "num": len(judged),
        "low": percent(min(judged), language.locale),
        "high": percent(max(judged), language.locale),
        "now": percent(judged[-1], language.locale),
    }
    missing = len(scores) - len(judged)
    if not missing:
        return text
    left_out = language.ngettext("%(num)d memo not judged", "%(num)d memos not judged", missing) % {"num": missing}
    return f"{text}; {left_out}"
