"""The demo as a picture: one panel per user, with that user's scores and alerts and nobody else's."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.dates import date2num
from matplotlib.figure import Figure

from schemas.events import AlertKind, AlertState, Band, RiskAlert, RiskScored
from streams.views import demo_plot
from streams.views.demo_plot import SETTLED, draw
from streams.views.marks import Mark, mark_of
from tests.unit.schemas.records import AT, SCORED
from tests.unit.streams.alerts import alert


def drawn(path: Path, titles: dict[str, str], scores: list[RiskScored], alerts: list[RiskAlert]) -> None:
    """Draw these scores, whoever they are of."""
    marks: dict[str, list[Mark]] = {}
    for score in scores:
        marks.setdefault(score.user_id, []).append(mark_of(score))
    draw(path, titles, marks, alerts, "a heading")


def scores(user: str, count: int) -> list[RiskScored]:
    """One a day, newest first."""
    return [
        replace(
            SCORED, memo_id=f"memo-{n}", user_id=user, probability=(n + 1) / 100, recorded_at=AT + timedelta(days=n)
        )
        for n in reversed(range(count))
    ]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn."""
    drawn: list[Figure] = []

    class Kept(Figure):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            drawn.append(self)

    monkeypatch.setattr(demo_plot, "Figure", Kept)
    return drawn


def test_a_picture_is_written_where_it_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "new" / "demo.png"
    drawn(path, {"ann": "Ann"}, scores("ann", 3), [])
    assert path.read_bytes().startswith(b"\x89PNG")


def test_every_user_has_a_panel_with_their_own_scores_in_order(figures: list[Figure], tmp_path: Path) -> None:
    given = [*scores("ann", 3), *scores("bob", 2), *scores("stranger", 5)]
    drawn(tmp_path / "demo.png", {"bob": "Bob", "ann": "Ann"}, given, [])
    bob, ann = figures[0].axes
    assert [panel.get_title(loc="left") for panel in (bob, ann)] == ["Bob", "Ann"]
    assert [len(np.asarray(panel.lines[0].get_ydata())) for panel in (bob, ann)] == [2, 3]
    np.testing.assert_allclose(np.asarray(ann.lines[0].get_ydata(), float), [0.01, 0.02, 0.03])
    assert (np.diff(np.asarray(ann.lines[0].get_xdata(), float)) == 1).all()


def test_what_is_usual_is_shaded_once_there_are_memos_enough(figures: list[Figure], tmp_path: Path) -> None:
    titles = {"ann": "Ann", "bob": "Bob"}
    drawn(tmp_path / "demo.png", titles, [*scores("ann", SETTLED + 2), *scores("bob", SETTLED - 1)], [])
    ann, bob, *_ = figures[0].axes
    (band,) = ann.patches
    low, high = np.quantile(np.arange(1, SETTLED + 1) / 100, [0.1, 0.9])
    assert [band.get_y(), band.get_y() + band.get_height()] == pytest.approx([low, high])  # type: ignore[attr-defined]
    assert not bob.patches


def test_a_user_who_falls_silent_is_seen_to_be(figures: list[Figure], tmp_path: Path) -> None:
    unusable = [
        replace(score, probability=None, band=Band.INDETERMINATE, reasons=("quality:noisy",))
        for score in scores("ann", 20)[:16]
    ]
    given = [*unusable, *scores("ann", 4), *scores("bob", 20)]
    drawn(tmp_path / "demo.png", {"ann": "Ann", "bob": "Bob", "eve": "Eve"}, given, [])
    ann, bob, eve, _ = figures[0].axes
    assert ann.get_title(loc="left") == "Ann; 16 of 20 not judged: quality:noisy"
    assert [len([patch for patch in panel.patches if patch.get_hatch()]) for panel in (ann, bob, eve)] == [1, 0, 1]
    assert eve.get_title(loc="left") == "Eve; no memo"
    assert "unusable recording" in [text.get_text() for text in figures[0].legends[0].get_texts()]


def test_a_drift_and_a_level_alert_are_one_change_with_one_label(figures: list[Figure], tmp_path: Path) -> None:
    raised = [
        replace(alert(AlertState.RAISED, "ann", kind=kind), at=AT + timedelta(days=day), since=AT + timedelta(days=3))
        for kind, day in ((AlertKind.DRIFT, 5), (AlertKind.LEVEL, 7))
    ]
    others = [alert(AlertState.RAISED, "stranger")]
    titles = {"ann": "Ann", "bob": "Bob"}
    drawn(tmp_path / "demo.png", titles, [*scores("ann", 9), *scores("bob", 9)], [*raised, *others])
    ann, bob, *_ = figures[0].axes
    at = [
        float(np.asarray(line.get_xdata(), float)[0]) for line in ann.lines if str(line.get_label()).endswith("raised")
    ]
    assert at == pytest.approx([float(date2num(alert.at)) for alert in raised])
    assert [text.get_text() for text in ann.texts] == ["drift 06 Mar, level 08 Mar"]
    assert not bob.texts
    shown = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert {"drift raised", "level raised", "change", "score"} <= set(shown)
    assert len(set(shown)) == len(shown)
