"""The report of an evaluation: every metric and subgroup, and a dash where there is no number."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from schemas.json_records import to_plain
from tests.unit.workers.training.cohorts import EXTRACTORS, RECIPE, people
from workers.evaluation import metrics
from workers.evaluation.evaluate import Evaluation, evaluate
from workers.evaluation.report import (
    HEADLINE,
    PICTURES,
    _cold_start,
    _joined,
    _reliability,
    _risk_coverage,
    _roc,
    as_markdown,
    write_report,
)
from workers.scoring.calibration import Bands
from workers.scoring.scorer import Logits
from workers.training.fit_bundle import fit

NONE = float("nan")
VALUES: dict[str, Any] = {
    **dict.fromkeys(HEADLINE, 0.5),
    "bundle": "toy-1",
    "n": 20,
    "speakers": 4,
    "positives": 8,
    "head": "logistic",
    "baseline_memos": "none",
    "calibration": "temperature",
    "without_probability": 0,
    "auc_ci": [0.4, 0.6],
    "cold_start": {"0": 0.5, "1": 0.625, "all": NONE},
    "cold_start_speakers": {"0": 4, "1": 4, "all": 3},
    "flags": [],
    "cold_start_gain": {"1": [0.01, 0.2], "all": [NONE, NONE]},
    "groups": {"sex": {"f": {"n": 12, "positives": 5, "auc": 0.75, "uar": NONE, "ece": 0.1}}},
}


def test_the_report_tells_every_figure_and_subgroup(tmp_path: Path) -> None:
    bundle = fit(people(), EXTRACTORS, RECIPE, name="t").bundle
    fresh = people(speakers=10, seed=3)
    groups = [{"sex": "f" if int(s[1:]) % 2 else "m", "age": "34"} for s in fresh.speakers]
    found = evaluate(bundle, fresh, groups, rounds=50)
    assert {"auc", "auc_ci", "uar", "ece", "n", "speakers", "undecided_share"} <= found.figures.keys()
    assert {*found.figures["groups"]} == {"sex", "age", "duration_s", "snr_db"}
    assert sum(row["n"] for row in found.figures["groups"]["sex"].values()) == found.figures["n"] == len(fresh)
    assert [*found.figures["groups"]["age"]] == ["30 to 50"]
    page = write_report(found, tmp_path).read_text()
    assert all((tmp_path / f"{name}.png").stat().st_size > 1000 for name in PICTURES)
    assert f"| {found.figures['auc']:.3f} |" in page
    low, high = found.figures["cold_start_gain"]["all"]
    assert low < found.figures["cold_start"]["all"] - found.figures["cold_start"]["0"] < high
    assert f"| {low:+.3f} to {high:+.3f} |" in page
    report = json.loads((tmp_path / "report.json").read_text())
    assert {name: report[name] for name in found.figures} == to_plain(found.figures)
    assert report["format"] == 1


def test_a_flag_is_in_bold_where_there_is_one() -> None:
    flag = {"figure": "undecided_share", "value": 0.85, "limit": 0.5, "meaning": "85% of the memos are undecided"}
    assert "**85% of the memos are undecided.**" in rows(flags=[flag])
    assert not any("**" in line for line in rows())


def rows(**changes: Any) -> list[str]:
    return as_markdown(VALUES | changes).splitlines()


def test_every_metric_has_its_row_and_an_unknown_one_a_dash() -> None:
    page = rows(auc=0.7654, brier=NONE)
    assert "| auc | 0.765 |" in page
    assert "| brier | – |" in page
    assert all(f"| {name.replace('_', ' ')} | 0.500 |" in page for name in HEADLINE if name not in {"auc", "brier"})
    assert "| AUC, 95 % interval over speakers | 0.400 to 0.600 |" in page


def test_a_gain_has_its_sign_and_no_memo_has_none() -> None:
    page = rows()
    assert "| 0 | 4 | 0.500 |  |" in page
    assert "| 1 | 4 | 0.625 | +0.010 to +0.200 |" in page
    assert "| all | 3 | – | – to – |" in page


def test_a_subgroup_has_its_counts_and_metrics() -> None:
    assert "| sex | f | 12 | 5 | 0.750 | – | 0.100 |" in rows()


def test_memos_that_the_metrics_leave_out_are_counted() -> None:
    usual = rows()
    one, both = (
        rows(without_probability=3),
        rows(without_probability=3, left_out={"audio:empty": ["a", "b"], "x": ["c"]}),
    )
    assert [line for line in one if line not in usual and line.startswith("3 ")]
    assert len([line for line in both if line not in usual]) == 2


def test_the_page_shows_every_plot_that_is_drawn() -> None:
    page = "\n".join(rows())
    assert all(f"({name}.png)" in page for name in PICTURES)


RAW = np.linspace(-3, 3, 40)
LABELS = (np.arange(40) % 3 == 0) | (RAW > 1.5)
BANDS = Bands(0.3, 0.5, 0.7)
CURVE = {"0": 0.5, "1": 0.625, "all": 0.75}
EVALUATION = Evaluation(VALUES | {"auc": 0.7}, LABELS, Logits(RAW, RAW / 2), BANDS, CURVE)
PROBABILITY = EVALUATION.logits.probability


def points(line: Any) -> list[tuple[float, float]]:
    x, y = (np.asarray(values, float) for values in line.get_data())
    return list(zip(x.tolist(), y.tolist(), strict=True))


def drawn(name: str) -> Axes:
    """The plot of this name."""
    axes: Axes = Figure().subplots()
    {"reliability": _reliability, "roc": _roc, "risk": _risk_coverage, "cold start": _cold_start}[name](
        EVALUATION, axes
    )
    return axes


def test_the_roc_curve_has_both_edges_of_the_band_on_it() -> None:
    chance, curve, low, high = drawn("roc").lines
    assert points(chance) == [(0.0, 0.0), (1.0, 1.0)]
    np.testing.assert_allclose(points(curve), np.transpose(metrics.roc(LABELS, RAW)))
    for edge, line in ((BANDS.low, low), (BANDS.high, high)):
        called = edge <= PROBABILITY
        assert points(line) == [pytest.approx((called[~LABELS].mean(), called[LABELS].mean()))]


def test_no_line_is_drawn_across_probabilities_that_no_memo_has() -> None:
    predicted, observed = _joined([(0.05, 0.1, 9), (0.15, 0.2, 9), (0.75, 0.8, 9), (1.0, 1.0, 9)])
    np.testing.assert_array_equal(predicted, [0.05, 0.15, NONE, 0.75, NONE, 1.0])
    np.testing.assert_array_equal(observed, [0.1, 0.2, NONE, 0.8, NONE, 1.0])


def test_probabilities_are_drawn_against_what_was_observed_with_their_intervals() -> None:
    axes = drawn("reliability")
    rows = metrics.reliability(LABELS, PROBABILITY.astype(float))
    (bars,) = (container for container in axes.containers if isinstance(container, ErrorbarContainer))
    np.testing.assert_allclose(points(bars.lines[0]), [(said, was) for said, was, _ in rows])
    intervals = [segment[:, 1].tolist() for segment in bars.lines[2][0].get_segments()]
    assert intervals == [pytest.approx(metrics.share_interval(was, count), abs=1e-9) for _, was, count in rows]
    counts = [patch.get_height() for patch in axes.patches]  # type: ignore[attr-defined]
    assert np.argmax(counts) == np.argmax([count for *_, count in rows])


def test_the_band_stands_where_its_own_share_is_decided() -> None:
    curve, band = drawn("risk").lines
    assert points(curve)[-1][0] == 1.0
    decided = (BANDS.low > PROBABILITY) | (BANDS.high <= PROBABILITY)
    wrong = (BANDS.high <= PROBABILITY)[decided] != LABELS[decided]
    assert points(band) == [pytest.approx((decided.mean(), wrong.mean()))]


def test_the_cold_start_is_drawn_in_the_order_of_the_memos() -> None:
    axes = drawn("cold start")
    assert points(axes.lines[0]) == [(0.0, 0.5), (1.0, 0.625), (2.0, 0.75)]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "all"]
