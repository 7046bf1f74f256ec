"""The data of a person's charts, from their timeline: what `person_chart.py` leaves empty. Pure."""

from collections.abc import Callable, Sequence
from datetime import datetime
from math import nan

from schemas.events import Evidence
from streams.views.marks import Judged
from streams.web.charts.layout import Attributes, Columns, columns
from streams.web.charts.palette import LIGHT
from streams.web.markers import title_of
from streams.web.person.reader import Reader
from streams.web.person.spans import AlertStep, Lane, Span
from streams.web.person.timeline import Memo, Timeline
from streams.web.person.words import judged_words, reasons_words

NOT_JUDGED_Y = -0.04
"""Height of a memo without a probability, below the axis."""
SHAPES = {
    Judged.SCORED: "circle",
    Judged.UNDECIDED: "diamond",
    Judged.UNUSABLE: "x",
    Judged.INCOMPLETE: "cross",
    Judged.LEFT_OUT: "triangle",
    Judged.FAILED: "x",
}
COLOURS = {
    Lane.EPISODE: LIGHT.episode,
    Lane.CONTEXT: LIGHT.context,
    Lane.MUTE: LIGHT.quiet,
    Lane.BUNDLE: LIGHT.bundle,
}
MOVED_BY = ("first", "second", "third")
"""Columns of the markers in a memo's hover box."""
LABEL_SHARE = 0.028
"""Share of the time that a character of a label takes: a bar too short for its label has it in its hover box alone."""


def person_series(
    shown: Timeline, spans: Sequence[Span], steps: Sequence[AlertStep], reader: Reader
) -> dict[str, Attributes]:
    """The data of the person's chart, by the names of its models."""
    stretches = shown.stretches()
    return {
        **time_frame(shown, spans, reader),
        "normal": _band(stretches, reader),
        "mean": _line(stretches, reader, mean=lambda memo: memo.normal.mean if memo.normal else None),
        "line": _line(stretches, reader, score=lambda memo: memo.score.probability),
        "bundles": columns({"at": [reader.axis(change.at) for change in shown.bundles]}),
        "memos": _memos(shown.memos, reader),
        "statistic": _line(
            stretches,
            reader,
            up=lambda memo: memo.statistic,
            limit=lambda memo: memo.threshold,
            when=lambda memo: reader.when(memo.recorded_at),
            up_text=lambda memo: reader.number(memo.statistic, 1),
            limit_text=lambda memo: _threshold_words(memo, reader),
        ),
        "statistic_range": {"end": _highest(shown, steps)},
        "steps": _steps(shown, steps, reader),
        **_lanes(shown, spans, reader),
    }


def time_frame(shown: Timeline, spans: Sequence[Span], reader: Reader) -> dict[str, Attributes]:
    """The axis of time, gaps and episodes, as every chart has them."""
    episodes = [span for span in spans if span.lane is Lane.EPISODE]
    gaps = {
        "since": [reader.axis(since) for since, _ in shown.gaps],
        "until": [reader.axis(until) for _, until in shown.gaps],
    }
    shaded: Columns = {
        **_ends(episodes, shown, reader),
        "colour": [LIGHT.critical if span.strong else LIGHT.episode for span in episodes],
        "hatch": ["left_diagonal_line" if span.strong else "blank" for span in episodes],
    }
    ends = {"start": reader.axis(shown.since), "end": reader.axis(shown.until)}
    return {"time": ends, "gaps": columns(gaps), "episodes": columns(shaded)}


def moved(evidence: Sequence[Evidence], index: int, reader: Reader) -> str:
    """The marker at this place of a memo's evidence: its deviation, and what that adds to the score; empty if none."""
    if index >= len(evidence):
        return ""
    each = evidence[index]
    title = reader.translate(title_of(each.name))
    adds = "" if each.contribution is None else f" ({reader.signed(each.contribution, 2)})"
    return f"{title} {reader.signed(each.deviation_sd)} SD{adds}"


def _ends(spans: Sequence[Span], shown: Timeline, reader: Reader) -> dict[str, list[float]]:
    return {
        "since": [reader.axis(max(span.since, shown.since)) for span in spans],
        "until": [reader.axis(min(span.until or shown.until, shown.until)) for span in spans],
    }


def _band(stretches: Sequence[Sequence[Memo]], reader: Reader) -> Attributes:
    """The own normal as one patch for each stretch: along its lower edge, and back along the upper one."""
    times, edges = [], []
    for stretch in stretches:
        points = [(reader.axis(memo.recorded_at), memo.normal) for memo in stretch if memo.normal]
        times.append([at for at, _ in points] + [at for at, _ in reversed(points)])
        edges.append([normal.low for _, normal in points] + [normal.high for _, normal in reversed(points)])
    return columns({"times": times, "edges": edges})


def _line(
    stretches: Sequence[Sequence[Memo]], reader: Reader, **values: Callable[[Memo], float | str | None]
) -> Attributes:
    """A line that ends with each stretch. values: of a memo, by column."""
    memos = [each for stretch in stretches for each in (*stretch, None)]
    at = [nan if memo is None else reader.axis(memo.recorded_at) for memo in memos]
    found = {name: [None if memo is None else value(memo) for memo in memos] for name, value in values.items()}
    return columns({"at": at, **found})


def _memos(memos: Sequence[Memo], reader: Reader) -> Attributes:
    evidence = [memo.score.evidence for memo in memos]
    strongest = {name: [moved(each, index, reader) for each in evidence] for index, name in enumerate(MOVED_BY)}
    return columns(
        {
            "at": [reader.axis(memo.recorded_at) for memo in memos],
            "y": [NOT_JUDGED_Y if memo.score.probability is None else memo.score.probability for memo in memos],
            "shape": [SHAPES[memo.judged] for memo in memos],
            "fill": [LIGHT.score if memo.judged is Judged.SCORED else LIGHT.paper for memo in memos],
            "size": [7 if memo.judged is Judged.SCORED else 9 for memo in memos],
            "when": [reader.when(memo.recorded_at) for memo in memos],
            "what": [reader.percent(memo.score.probability) for memo in memos],
            "why": [_why(memo, reader) for memo in memos],
            **strongest,
        }
    )


def _why(memo: Memo, reader: Reader) -> str:
    _ = reader.translate
    reasons = ", ".join(map(_, reasons_words(memo.score.reasons)))
    return _(judged_words(memo.judged)) + (f" ({reasons})" if reasons else "")


def _threshold_words(memo: Memo, reader: Reader) -> str:
    _ = reader.translate
    return _("none yet") if memo.threshold is None else reader.number(memo.threshold, 1)


def _highest(shown: Timeline, steps: Sequence[AlertStep]) -> float:
    """Upper end of the statistic's axis: the statistic of a long episode would flatten everything else."""
    thresholds = [memo.threshold for memo in shown.memos if memo.threshold is not None]
    statistics = [memo.statistic for memo in shown.memos if memo.statistic is not None]
    alerted = [step.statistic for step in steps if shown.since <= step.at <= shown.until]
    if not thresholds:
        return 1.1 * max((*statistics, *alerted, 5.0))
    return max(min(1.1 * max((*statistics, *alerted, 0.0)), 4 * min(thresholds)), 1.3 * max(thresholds))


def _steps(shown: Timeline, steps: Sequence[AlertStep], reader: Reader) -> Attributes:
    """The alerts, with the agent's own numbers; those above the axis at its upper end."""
    seen = [step for step in steps if shown.since <= step.at <= shown.until]
    highest, _ = _highest(shown, steps), reader.translate
    of = _("of")
    return columns(
        {
            "at": [reader.axis(step.at) for step in seen],
            "statistic": [min(step.statistic, 0.97 * highest) for step in seen],
            "shape": [step.shape for step in seen],
            "colour": [LIGHT.critical if step.strong else LIGHT.episode for step in seen],
            "when": [reader.when(step.at) for step in seen],
            "step": [step.label for step in seen],
            "numbers": [f"{reader.number(s.statistic, 1)} {of} {reader.number(s.threshold, 1)}" for s in seen],
        }
    )


def _lanes(shown: Timeline, spans: Sequence[Span], reader: Reader) -> dict[str, Attributes]:
    seen = [span for span in spans if span.since <= shown.until and (span.until or shown.until) >= shown.since]
    ends, lanes = _ends(seen, shown, reader), [reader.translate(span.lane) for span in seen]
    bars: Columns = {
        "lane": lanes,
        **ends,
        "colour": [LIGHT.critical if _critical(span) else COLOURS[span.lane] for span in seen],
        "hatch": ["left_diagonal_line" if span.strong else "blank" for span in seen],
        "what": [span.label for span in seen],
        "times": [_times(span, reader) for span in seen],
    }
    whole = reader.axis(shown.until) - reader.axis(shown.since)
    room = [(until - since) / (whole or 1) for since, until in zip(ends["since"], ends["until"], strict=True)]
    fits = [len(span.label) * LABEL_SHARE < share for span, share in zip(seen, room, strict=True)]
    labels: Columns = {
        "at": ends["since"],
        "lane": lanes,
        "text": [span.label if fit else "" for span, fit in zip(seen, fits, strict=True)],
    }
    return {"bars": columns(bars), "labels": columns(labels)}


def _critical(span: Span) -> bool:
    return span.strong and span.lane is Lane.EPISODE


def _times(span: Span, reader: Reader) -> str:
    """First and last day: a span that ends at midnight does not reach into the day that begins then."""
    last = "" if span.until is None else reader.day(span.until - datetime.resolution)
    return f"{reader.day(span.since)} – {last}"
