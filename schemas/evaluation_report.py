"""The report of an evaluation for programs: `report.json`, whose JSON schema is `docs/evaluation-report.schema.json`.

Fields are only added. `undertone evaluate --json` prints the same figures without `format`.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.json_records import to_plain

FORMAT = 1
Metric = float | None
"""Null where there is nothing to compute it from, such as an AUC of memos of one class."""
Interval = tuple[Metric, Metric]
"""95 % interval, bootstrapped over speakers."""


class Strict(BaseModel):
    """No field that the schema does not name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Subgroup(Strict):
    """Metrics of the memos of one subgroup."""

    n: int = Field(description="Memos.")
    positives: int = Field(description="Memos of the positive class.")
    auc: Metric
    uar: Metric
    ece: Metric


class Flag(Strict):
    """A figure beyond the limit up to which a bundle is useful."""

    figure: str = Field(description="Name of the field.")
    value: float
    limit: float
    meaning: str = Field(description="What it means and what to do, one sentence for people.")


class EvaluationReport(Strict):
    """Metrics of a bundle on labelled memos."""

    format: Literal[1] = Field(description="Version of this schema.")
    bundle: str = Field(description="Id of the bundle.")
    head: str = Field(description="Kind of its head.")
    calibration: str = Field(description="Kind of its calibration.")
    baseline_memos: str = Field(description="Which memos of a speaker make the baseline of a memo.")
    n: int = Field(description="Memos that were evaluated.")
    speakers: int
    positives: int = Field(description="Memos of the positive class.")
    without_probability: int = Field(description="Memos without a probability; in the AUC they rank at the threshold.")
    left_out: dict[str, list[str]] = Field({}, description="Recordings that could not be read, by reason.")
    auc: Metric = Field(description="Area under the ROC curve, abstentions included.")
    auc_ci: Interval
    uar: Metric = Field(description="Unweighted average recall at the threshold.")
    f1: Metric
    sensitivity: Metric
    specificity: Metric
    threshold: float = Field(description="Probability from which a forced decision is positive.")
    brier: Metric
    brier_uncalibrated: Metric
    ece: Metric = Field(description="Expected calibration error.")
    ece_uncalibrated: Metric
    undecided_share: float = Field(description="Share of memos whose probability is within the band of the bundle.")
    abstained_share: float = Field(description="Share of memos that are indeterminate for that or any other reason.")
    sensitivity_decided: Metric = Field(description="Of the memos that are not indeterminate.")
    specificity_decided: Metric
    uar_decided: Metric
    cold_start: dict[str, Metric] = Field(description="AUC by memos in the speaker's baseline; the last is `all`.")
    cold_start_speakers: dict[str, int] = Field(description="Speakers who have so many other memos, by that number.")
    cold_start_gain: dict[str, Interval] = Field(description="Gain in AUC over no memo, by memos in the baseline.")
    groups: dict[str, dict[str, Subgroup]] = Field(description="By factor, then by level.")
    flags: list[Flag] = Field(description="Figures beyond their limits; empty when none is.")


def report_json(figures: Mapping[str, Any]) -> str:
    """The figures of an evaluation as the text of `report.json`. Raises ValidationError for figures of another form."""
    return EvaluationReport.model_validate({"format": FORMAT, **_mapping(figures)}).model_dump_json(indent=1) + "\n"


def _mapping(figures: Mapping[str, Any]) -> Mapping[str, Any]:
    plain = to_plain(figures)
    assert isinstance(plain, dict)
    return plain


def report_schema() -> str:
    """The published JSON schema."""
    return json.dumps(EvaluationReport.model_json_schema(), indent=1) + "\n"
