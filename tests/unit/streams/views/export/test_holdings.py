"""What is held of a person: topics and SQL together, each record once, and nothing of anybody else."""

from dataclasses import replace

from schemas.state_keys import MUTES
from tests.unit.streams.views.export.held import MEMO, USER, held, history, known, nothing


def test_scores_of_the_topic_and_of_the_database_are_one_each_and_the_topic_is_newer() -> None:
    found = {score.memo_id: score for score in held().scores}
    assert set(found) == {MEMO, "old"}
    assert found[MEMO].probability == 0.25
    assert {score.user_id for score in found.values()} == {USER}
    assert {score.memo_id for score in held(history=None).scores} == {MEMO}


def test_actions_that_both_have_are_one() -> None:
    assert [action.action_id for action in held().actions] == ["action-1", "action-2"]


def test_mutes_of_others_stay_out() -> None:
    assert [mute.name for mute in held().mutes] == [USER]
    unreadable = replace(held(), known=known(**{MUTES.key(): b"\xff"}))
    assert unreadable.mutes == []


def test_a_muted_cohort_says_nothing_about_anybody_and_a_row_alone_says_something() -> None:
    assert nothing().empty
    assert not held().empty
    assert not replace(nothing(), history=history()).empty
