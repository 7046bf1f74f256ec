"""The demo as a picture: one panel per user, with that user's scores and alerts and nobody else's."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.dates import date2num
from matplotlib.figure import Figure

from schemas.events import AlertState, RiskScored
from streams.local import demo_plot
from streams.local.demo_plot import SETTLED, draw
from tests.unit.schemas.records import AT, SCORED
from tests.unit.streams.alerts import alert


def scores(user: str, count: int) -> list[RiskScored]:
    """One a day, newest first."""
    return [
        replace(SCORED, user_id=user, probability=(n + 1) / 100, recorded_at=AT + timedelta(days=n))
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
    draw(path, {"ann": "Ann"}, scores("ann", 3), [])
    assert path.read_bytes().startswith(b"\x89PNG")


def test_every_user_has_a_panel_with_their_own_scores_in_order(figures: list[Figure], tmp_path: Path) -> None:
    given = [
        *scores("ann", 3),
        *scores("bob", 2),
        *scores("stranger", 5),
        replace(scores("ann", 1)[0], probability=None),
    ]
    draw(tmp_path / "demo.png", {"bob": "Bob", "ann": "Ann"}, given, [])
    bob, ann = figures[0].axes
    assert [panel.get_title(loc="left") for panel in (bob, ann)] == ["Bob", "Ann"]
    assert [len(np.asarray(panel.lines[0].get_ydata())) for panel in (bob, ann)] == [2, 3]
    np.testing.assert_allclose(np.asarray(ann.lines[0].get_ydata(), float), [0.01, 0.02, 0.03])
    assert (np.diff(np.asarray(ann.lines[0].get_xdata(), float)) == 1).all()


def test_what_is_usual_is_shaded_once_there_are_memos_enough(figures: list[Figure], tmp_path: Path) -> None:
    titles = {"ann": "Ann", "bob": "Bob"}
    draw(tmp_path / "demo.png", titles, [*scores("ann", SETTLED + 10), *scores("bob", SETTLED - 1)], [])
    ann, bob, *_ = figures[0].axes
    (band,) = ann.patches
    low, high = np.quantile(np.arange(1, SETTLED + 1) / 100, [0.1, 0.9])
    assert [band.get_y(), band.get_y() + band.get_height()] == pytest.approx([low, high])  # type: ignore[attr-defined]
    assert not bob.patches


def test_alerts_stand_at_the_memo_that_caused_them(figures: list[Figure], tmp_path: Path) -> None:
    raised = replace(alert(AlertState.RAISED, "ann"), at=AT + timedelta(days=5))
    others = [alert(AlertState.RAISED, "stranger")]
    draw(tmp_path / "demo.png", {"ann": "Ann", "bob": "Bob"}, [*scores("ann", 9), *scores("bob", 9)], [raised, *others])
    ann, bob, *_ = figures[0].axes
    (line,) = ann.lines[1:]
    assert float(np.asarray(line.get_xdata(), float)[0]) == pytest.approx(float(date2num(raised.at)))
    assert [text.get_text() for text in ann.texts] == ["raised"]
    assert not bob.texts
