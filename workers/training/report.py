"""An evaluation as a page with pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from workers.training import figures
from workers.training.evaluate import Evaluation

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
    """Write `report.md` and its pictures into `folder`; gives the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in zip(PICTURES, (_reliability, _roc, _risk_coverage, _cold_start), strict=True):
        figure, axes = plt.subplots(figsize=(4.5, 4.0), layout="constrained")
        draw(evaluation, axes)
        figure.savefig(folder / f"{name}.png", dpi=120)
        plt.close(figure)
    page = folder / "report.md"
    page.write_text(as_markdown(evaluation.figures))
    return page


def as_markdown(values: Mapping[str, Any]) -> str:
    """The page. values: the figures of an Evaluation."""
    low, high = values["auc_ci"]
    lines = [
        f"# {values['bundle']}",
        "",
        f"{values['n']} memos of {values['speakers']} speakers, {values['positives']} positive; "
        f"head `{values['head']}`; baseline: {values['baseline_memos']}; calibration: {values['calibration']}.",
        *_unscored(values),
        "",
        "| figure | value |",
        "|---|---|",
        *(f"| {name.replace('_', ' ')} | {_number(values[name])} |" for name in HEADLINE),
        f"| AUC, 95 % interval over speakers | {_number(low)} to {_number(high)} |",
        "",
        "## By how many memos of their own speakers have",
        "",
        "| memos | AUC |",
        "|---|---|",
        *(f"| {memos} | {_number(value)} |" for memos, value in values["cold_start"].items()),
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
        "## Pictures",
        "",
        *(f"![{name}]({name}.png)" for name in PICTURES[:3]),
        "",
    ]
    return "\n".join(lines)


def _unscored(values: Mapping[str, Any]) -> list[str]:
    """What the figures are not of."""
    without, unread = values["without_probability"], sum(values.get("left_out", {}).values())
    told = [f"{without} have no probability; in the AUC they rank at the threshold."] if without else []
    return told + ([f"{unread} more recordings could not be read."] if unread else [])


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "–"


def _reliability(evaluation: Evaluation, axes: Any) -> None:
    rows = figures.reliability(evaluation.labels, evaluation.probabilities)
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.plot([said for said, _, _ in rows], [was for _, was, _ in rows], "o-")
    axes.set(xlabel="probability said", ylabel="share that was positive", title="Reliability", xlim=(0, 1), ylim=(0, 1))


def _roc(evaluation: Evaluation, axes: Any) -> None:
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.plot(*figures.roc(evaluation.labels, evaluation.raw))
    axes.set(xlabel="1 − specificity", ylabel="sensitivity", title=f"ROC, AUC {_number(evaluation.figures['auc'])}")


def _risk_coverage(evaluation: Evaluation, axes: Any) -> None:
    axes.plot(*figures.risk_coverage(evaluation.labels, evaluation.probabilities, evaluation.threshold))
    axes.set(xlabel="share of memos decided", ylabel="share decided wrongly", title="Risk and coverage", xlim=(0, 1))
    axes.set_ylim(bottom=0)


def _cold_start(evaluation: Evaluation, axes: Any) -> None:
    names = [*evaluation.cold_start]
    axes.plot(range(len(names)), list(evaluation.cold_start.values()), "o-")
    axes.set_xticks(range(len(names)), names)
    axes.set(xlabel="memos of their own", ylabel="AUC", title="Cold start")
