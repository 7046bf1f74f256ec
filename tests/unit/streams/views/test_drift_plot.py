"""One user's history as a plot: silence is no line."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from schemas.events import RiskScored
from streams.drift.replay import history, line_of
from streams.views import drift_plot
from streams.views.drift_plot import draw
from streams.views.mark_plot import SILENCE
from streams.views.marks import mark_of
from tests.unit.streams.scores import RULES, START, calm, daily


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn."""
    drawn: list[Figure] = []

    class Kept(Figure):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            drawn.append(self)

    monkeypatch.setattr(drift_plot, "Figure", Kept)
    return drawn


def plot(tmp_path: Path, scores: Sequence[RiskScored], **given: Any) -> None:
    moments = history([line_of(score) for score in scores], RULES)
    draw(tmp_path / "plot.png", moments, [mark_of(score) for score in scores], **given)


def labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def longest_line_days(figure: Figure) -> float:
    """The longest horizontal distance that any line with more than two points crosses."""
    longest = 0.0
    for axes in figure.axes:
        for line in axes.lines:
            x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
            if line.get_linestyle() != "None" and len(x) > 2:
                steps = np.diff(x)[np.isfinite(y[1:]) & np.isfinite(y[:-1])]
                longest = max(longest, float(steps.max(initial=0)))
    return longest


def test_a_user_who_was_judged_once_gets_no_line_and_a_sentence(figures: list[Figure], tmp_path: Path) -> None:
    plot(tmp_path, [*daily([None] * 20), *daily([0.0], 20), *daily([None] * 34, 21)])
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    (figure,) = figures
    assert "54 of 55 memos were not judged" in figure.get_suptitle()
    assert longest_line_days(figure) == 0
    assert {SILENCE, "score", "unusable recording"} == set(labels(figure))
    assert "too few memos" in figure.axes[1].texts[0].get_text()


def test_no_line_crosses_a_gap_or_abstentions(figures: list[Figure], tmp_path: Path) -> None:
    scores = [*daily(calm(30)), *daily(calm(30, seed=5), 50), *daily([None] * 8, 80), *daily(calm(20, seed=6), 88)]
    plot(tmp_path, scores)
    (figure,) = figures
    assert longest_line_days(figure) == 1
    spans = [patch for patch in figure.axes[0].patches if patch.get_hatch()]
    assert len(spans) == 2


def test_silence_lasts_until_the_end_of_the_time_axis(figures: list[Figure], tmp_path: Path) -> None:
    plot(tmp_path, daily(calm(30)), until=START + timedelta(days=60))
    (figure,) = figures
    assert SILENCE in labels(figure)
    low, high = figure.axes[0].get_xlim()
    assert high - low == pytest.approx(62, abs=0.1)


def test_scores_are_probabilities_and_the_statistic_has_its_threshold(figures: list[Figure], tmp_path: Path) -> None:
    plot(tmp_path, [*daily(calm(40)), *daily([value + 2 for value in calm(20, seed=9)], 40)], note="a note")
    (figure,) = figures
    upper, lower = figure.axes
    assert upper.get_ylabel() == "probability"
    assert upper.get_ylim() == (0, 1)
    assert {"drift raised", "change", "baseline mean", "upward statistic"} <= set(labels(figure))
    assert [text for text in labels(figure) if text.startswith("threshold")]
    (threshold,) = (line for line in lower.lines if str(line.get_label()).startswith("threshold"))
    assert lower.get_ylim()[1] > np.nanmax(np.asarray(threshold.get_ydata(), float))
    assert "a note" in figure.get_suptitle()


def test_a_score_that_drift_left_out_is_drawn_as_such(figures: list[Figure], tmp_path: Path) -> None:
    """It came after its day was closed."""
    scores = daily(calm(30))
    plot(tmp_path, [*scores[:10], *scores[11:], scores[10]])
    assert "left out of drift" in labels(figures[0])
