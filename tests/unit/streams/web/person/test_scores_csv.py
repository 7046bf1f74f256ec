"""Scores as CSV: a line for each memo, numbers as they are, and nothing that a spreadsheet would run."""

import csv
from dataclasses import replace
from datetime import timedelta
from io import StringIO

import pytest

from schemas.events import Evidence
from streams.views.spreadsheet import safe
from streams.web.person.scores_csv import scores_csv
from streams.web.person.timeline import judged_memos
from tests.unit.streams.scores import RULES, START, calm, daily, scored


def rows(text: str) -> list[dict[str, str]]:
    assert text.startswith("\ufeff")
    return list(csv.DictReader(StringIO(text[1:], newline="")))


def test_a_line_has_what_the_chart_shows_and_its_markers() -> None:
    evidence = (Evidence("pause_share", 0.41, -2.5, contribution=-0.75), Evidence("hnr", 9.0, 1.0, fragile=True))
    scores = [*daily(calm(12)), replace(scored(-1.0, 12), evidence=evidence)]
    memos = judged_memos(scores, RULES, START + timedelta(days=20))
    *_, last = rows(scores_csv(memos))
    assert float(last["statistic"]) == memos[-1].statistic
    assert float(last["normal_low"]) < float(last["normal_mean"]) < float(last["normal_high"])
    assert (last["pause_share_deviation_sd"], last["pause_share_contribution"]) == ("-2.5", "-0.75")
    assert (last["fragile"], last["hnr_contribution"], last["jitter_value"]) == ("hnr", "", "")


def test_a_memo_that_was_not_judged_has_its_reason_and_empty_numbers() -> None:
    (row,) = rows(scores_csv(judged_memos([scored(None, 1)], RULES, START + timedelta(days=2))))
    assert (row["band"], row["judged"], row["reasons"]) == ("indeterminate", "unusable recording", "quality:noise")
    assert (row["probability"], row["statistic"], row["normal_mean"]) == ("", "", "")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "|cmd", "%0"])
def test_no_text_is_a_formula(text: str) -> None:
    assert safe(text) == f"'{text}"
    memo = scored(-1.0, 1, memo=text, bundle=text)
    (row,) = rows(scores_csv(judged_memos([memo], RULES, START + timedelta(days=2))))
    assert row["memo_id"] == row["bundle_id"] == f"'{text}"


def test_a_text_with_separators_and_quotes_stays_one_cell() -> None:
    memo = scored(-1.0, 1, memo='a,"b"\nc')
    (row,) = rows(scores_csv(judged_memos([memo], RULES, START + timedelta(days=2))))
    assert row["memo_id"] == 'a,"b"\nc'
