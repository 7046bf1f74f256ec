"""The report for programs: figures of its schema only, and a schema that validates it."""

import json
import math
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.evaluation_report import EvaluationReport, report_json, report_schema

FIGURES: dict[str, Any] = {
    **dict.fromkeys(("bundle", "head", "calibration", "baseline_memos"), "a"),
    **dict.fromkeys(("n", "speakers", "positives", "without_probability"), 3),
    **dict.fromkeys(("auc", "uar", "f1", "sensitivity", "specificity", "threshold"), 0.5),
    **dict.fromkeys(("brier", "brier_uncalibrated", "ece", "ece_uncalibrated"), 0.25),
    **dict.fromkeys(("sensitivity_decided", "specificity_decided", "uar_decided"), math.nan),
    "auc_ci": [0.4, math.nan],
    "undecided_share": 0.85,
    "abstained_share": 0.85,
    "cold_start": {"0": 0.5, "all": 0.6},
    "cold_start_speakers": {"0": 3, "all": 3},
    "cold_start_gain": {"all": [0.1, 0.2]},
    "groups": {"sex": {"f": {"n": 3, "positives": 1, "auc": math.nan, "uar": 0.5, "ece": 0.1}}},
    "left_out": {"audio:empty": ["line 7"]},
    "flags": [{"figure": "undecided_share", "value": 0.85, "limit": 0.5, "meaning": "Too many."}],
}


def test_a_report_has_every_figure_and_null_where_there_is_no_number() -> None:
    report = json.loads(report_json(FIGURES))
    assert report["auc_ci"] == [0.4, None]
    assert report["uar_decided"] is None
    assert report["groups"]["sex"]["f"]["auc"] is None
    assert report["flags"][0]["value"] == 0.85
    assert {*report} == {*FIGURES, "format"} == {*EvaluationReport.model_fields}


@pytest.mark.parametrize("wrong", [{"auc": "good"}, {"n": 2.5}, {"surprise": 1}])
def test_figures_of_another_form_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        report_json(FIGURES | wrong)


def test_the_published_schema_names_every_field_and_allows_no_other() -> None:
    schema = json.loads(report_schema())
    assert {*schema["properties"]} == {*EvaluationReport.model_fields}
    assert schema["additionalProperties"] is False
    assert {*EvaluationReport.model_fields} - {*schema["required"]} == {"left_out"}
