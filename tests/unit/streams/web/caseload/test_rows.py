"""What a row of the caseload says."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.events import AlertKind, Severity
from streams.history.caseload import Attention, CaseCounts, CaseloadRow, EpisodeSummary
from streams.web.caseload.rows import badge_words, case_views, counts_line, why
from streams.web.languages import languages

ENGLISH, GERMAN = languages()["en"], languages()["de"]
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
EPISODE = EpisodeSummary(
    "key", AlertKind.DRIFT, Severity.WARNING, NOW, NOW, "speaks with longer pauses than usual", None, None, True
)
ROW = CaseloadRow(
    user_id="north-1",
    cohort="north",
    attention=Attention.NONE,
    attention_since=NOW,
    episode=None,
    last_memo_at=NOW,
    last_band=None,
    last_probability=None,
    spark=(0.2, None, 0.4),
    memos=30,
    memos_per_week=5.2,
    indeterminate_share=0.7,
    indeterminate_reason="quality:noisy",
    muted_until=None,
)


def test_an_episode_is_told_by_its_sentence() -> None:
    row = replace(ROW, attention=Attention.WARNING, episode=EPISODE)
    assert why(row, {}, ENGLISH) == "Speaks with longer pauses than usual."
    assert why(row, {"key": "seit 9 Tagen zu hören"}, GERMAN) == "Seit 9 Tagen zu hören."


@pytest.mark.parametrize(
    ("attention", "changes", "expected"),
    [
        (Attention.SILENT, {}, "No memo for longer than usual: 5 a week until then."),
        (Attention.SILENT, {"memos_per_week": 1.4}, "No memo for longer than usual: 1.4 a week until then."),
        (Attention.SILENT, {"memos_per_week": None}, "No memo for longer than a week; no habit is known yet."),
        (Attention.UNJUDGED, {}, "70% of recent memos cannot be judged, mostly: too noisy."),
        (Attention.UNJUDGED, {"indeterminate_reason": None}, "70% of recent memos cannot be judged."),
        (Attention.NONE, {}, ""),
    ],
)
def test_silence_and_memos_that_cannot_be_judged_are_told_with_figures(
    attention: Attention, changes: dict[str, Any], expected: str
) -> None:
    assert why(replace(ROW, attention=attention, **changes), {}, ENGLISH) == expected


@pytest.mark.parametrize("tag", languages())
def test_every_state_has_its_own_words(tag: str) -> None:
    assert len({badge_words(state, languages()[tag]) for state in Attention}) == len(Attention)


def test_who_sees_states_only_gets_no_score_and_no_sentence() -> None:
    row = replace(ROW, attention=Attention.WARNING, episode=EPISODE)
    (states,) = case_views([row], {}, ENGLISH, scores=False)
    (whole,) = case_views([row], {}, ENGLISH, scores=True)
    assert (states.spark, states.why) == (None, "")
    assert whole.spark is not None
    assert whole.why


def test_a_new_episode_of_a_person_is_another_row_and_an_acknowledged_one_is_not() -> None:
    (first,) = case_views([replace(ROW, episode=EPISODE)], {}, ENGLISH, scores=True)
    (seen,) = case_views([replace(ROW, episode=replace(EPISODE, acknowledged_at=NOW))], {}, ENGLISH, scores=True)
    (second,) = case_views([replace(ROW, episode=replace(EPISODE, dedup_key="b"))], {}, ENGLISH, scores=True)
    assert first.key == seen.key != second.key


def test_counts_name_everybody_and_leave_out_what_there_is_not() -> None:
    counts = CaseCounts(people=42, open_episodes=0, silent=3, unjudged=0, last_memo_at=NOW)
    assert counts_line(counts, ENGLISH) == ["42 people followed", "3 silent"]
    one = replace(counts, people=1, open_episodes=1, unjudged=2)
    assert counts_line(one, GERMAN) == ["1 Person begleitet", "1 offene Episode", "3 still", "2 nicht beurteilbar"]
