"""Write an evaluation as a report: Markdown with plots, and JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from schemas.evaluation_report import report_json
from workers.evaluation import metrics
from workers.evaluation.cold_start import LEAST_SPEAKERS
from workers.evaluation.evaluate import Evaluation

mpl.use("Agg")

from matplotlib import pyplot as plt

PICTURES = ("reliability", "roc", "risk-coverage", "cold-start")
HEADLINE = (
    "auc",
    "uar",
    "f1",
    "sensitivity",
    "specificity",
    "undecided_share",
    "sensitivity_decided",
    "specificity_decided",
    "brier",
    "brier_uncalibrated",
    "ece",
    "ece_uncalibrated",
)


def write_report(evaluation: Evaluation, folder: Path) -> Path:
    """Write `report.md`, its plots and `report.json` into `folder`; returns the path of the page."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in zip(PICTURES, (_reliability, _roc, _risk_coverage, _cold_start), strict=True):
        figure, axes = plt.subplots(figsize=(4.5, 4.0), layout="constrained")
        draw(evaluation, axes)
        figure.savefig(folder / f"{name}.png", dpi=120)
        plt.close(figure)
    (folder / "report.json").write_text(report_json(evaluation.figures))
    page = folder / "report.md"
    page.write_text(as_markdown(evaluation.figures))
    return page


def as_markdown(values: Mapping[str, Any]) -> str:
    """The report as Markdown. values: the figures of an Evaluation."""
    low, high = values["auc_ci"]
    lines = [
        f"# {values['bundle']}",
        "",
        f"{values['n']} memos of {values['speakers']} speakers, {values['positives']} positive; "
        f"head `{values['head']}`; baseline: {values['baseline_memos']}; calibration: {values['calibration']}.",
        *_unscored(values),
        *(f"\n**{flag['meaning']}.**" for flag in values["flags"]),
        "",
        "| figure | value |",
        "|---|---|",
        *(f"| {name.replace('_', ' ')} | {_number(values[name])} |" for name in HEADLINE),
        f"| AUC, 95 % interval over speakers | {_number(low)} to {_number(high)} |",
        "",
        "## By number of memos in the speaker's baseline",
        "",
        "| memos | speakers who have them | AUC | gain over none, 95 % interval over speakers |",
        "|---|---|---|---|",
        *(
            f"| {memos} | {values['cold_start_speakers'][memos]} | {_number(value)} | {_gain(values, memos)} |"
            for memos, value in values["cold_start"].items()
        ),
        "",
        f"The curve ends where fewer than {LEAST_SPEAKERS} speakers have so many other memos.",
        "",
        "![cold start](cold-start.png)",
        "",
        "## By subgroup",
        "",
        "| factor | level | memos | positive | AUC | UAR | ECE |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {factor} | {level} | {row['n']} | {row['positives']} | {_number(row['auc'])} | {_number(row['uar'])} | "
            f"{_number(row['ece'])} |"
            for factor, levels in values["groups"].items()
            for level, row in levels.items()
        ),
        "",
        "## Plots",
        "",
        *(f"![{name}]({name}.png)" for name in PICTURES[:3]),
        "",
    ]
    return "\n".join(lines)


def _unscored(values: Mapping[str, Any]) -> list[str]:
    """Memos that the metrics exclude."""
    without, unread = values["without_probability"], sum(map(len, values.get("left_out", {}).values()))
    lines = [f"{without} have no probability; in the AUC they rank at the threshold."] if without else []
    return lines + ([f"{unread} more recordings could not be read."] if unread else [])


def _gain(values: Mapping[str, Any], memos: str) -> str:
    edges = values["cold_start_gain"].get(memos)
    return "" if edges is None else " to ".join(f"{edge:+.3f}" if np.isfinite(edge) else "–" for edge in edges)


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "–"


def _reliability(evaluation: Evaluation, axes: Any) -> None:
    """Share of positives over probability, with 95 % intervals, and a histogram of the probabilities."""
    raw = 1 / (1 + np.exp(-evaluation.logits.raw.astype(float)))
    before = metrics.reliability(evaluation.labels, raw)
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.plot(*_joined(before), ".:", color="0.55", label="before calibration")
    rows = metrics.reliability(evaluation.labels, evaluation.logits.probability.astype(float))
    predicted, observed = np.array([row[:2] for row in rows]).T
    edges = np.array([metrics.share_interval(share, count) for _, share, count in rows]).T
    whiskers = np.maximum([observed - edges[0], edges[1] - observed], 0)
    axes.errorbar(predicted, observed, whiskers, fmt="o", color="C0", capsize=2, label="calibrated")
    axes.plot(*_joined(rows), "-", color="C0")
    most = max(count for _, _, count in rows)
    axes.bar(predicted, [0.15 * count / most for _, _, count in rows], 0.05, color="C0", alpha=0.25)
    axes.legend(loc="upper left", frameon=False, fontsize="small")
    title = f"Reliability (bars: memos, at most {most})"
    axes.set(xlabel="predicted probability", ylabel="share of positives", title=title, xlim=(0, 1), ylim=(0, 1))


def _joined(rows: Sequence[tuple[float, float, int]]) -> tuple[list[float], list[float]]:
    """The rows of `metrics.reliability` as a line that ends where a bin without memos lies between two."""
    predicted, observed, last = [], [], None
    for probability, share, _ in rows:
        place = min(int(probability * metrics.BINS), metrics.BINS - 1)
        if last is not None and place > last + 1:
            predicted.append(np.nan)
            observed.append(np.nan)
        predicted.append(probability)
        observed.append(share)
        last = place
    return predicted, observed


def _roc(evaluation: Evaluation, axes: Any) -> None:
    """ROC curve with the edges of the band."""
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.plot(*metrics.roc(evaluation.labels, evaluation.logits.calibrated))
    for name, edge, marker in (("low", evaluation.bands.low, "v"), ("high", evaluation.bands.high, "^")):
        positive = evaluation.logits.probability >= edge
        at = 1 - metrics.specificity(evaluation.labels, positive), metrics.sensitivity(evaluation.labels, positive)
        axes.plot(*at, marker, color="C1", label=f"{name} edge of the band, {edge:.2f}")
    axes.legend(loc="lower right", frameon=False, fontsize="small")
    title = f"ROC, AUC {_number(evaluation.figures['auc'])}"
    axes.set(xlabel="1 − specificity", ylabel="sensitivity", title=title, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))


def _risk_coverage(evaluation: Evaluation, axes: Any) -> None:
    """Error rate over the share of decided memos, with the bundle's band."""
    probabilities, bands = evaluation.logits.probability.astype(float), evaluation.bands
    axes.plot(*metrics.risk_coverage(evaluation.labels, probabilities, bands.threshold))
    decided = (probabilities < bands.low) | (probabilities >= bands.high)
    if decided.any():
        wrong = (probabilities >= bands.high)[decided] != evaluation.labels[decided]
        axes.plot(decided.mean(), wrong.mean(), "o", color="C1", label="the bundle's band")
        axes.legend(loc="upper left", frameon=False, fontsize="small")
    axes.set(xlabel="share of memos decided", ylabel="error rate", title="Risk and coverage", xlim=(0, 1.02))
    axes.set_ylim(bottom=0)


def _cold_start(evaluation: Evaluation, axes: Any) -> None:
    names = [*evaluation.cold_start]
    axes.plot(range(len(names)), list(evaluation.cold_start.values()), "o-")
    axes.set_xticks(range(len(names)), names)
    axes.set(xlabel="memos in the baseline", ylabel="AUC", title="Cold start")
