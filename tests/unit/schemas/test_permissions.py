"""The permissions follow from the tables of stages and channels."""

from dataclasses import replace

from schemas.channels import CHANNELS, bridge_group
from schemas.permissions import Right, rights
from schemas.pipeline import HISTORY_STAGES, STAGES, FeatureStage
from schemas.topics import AUDIT, TOPICS


def test_every_stage_may_read_write_and_join_what_its_row_says() -> None:
    given = set(rights())
    for stage in STAGES:
        role = stage.name if isinstance(stage, FeatureStage) else "history" if stage in HISTORY_STAGES else "agents"
        assert Right(role, "topic", stage.reads.name, "Read") in given
        assert Right(role, "group", stage.group, "Read") in given
        assert {Right(role, "topic", topic.name, "Write") for topic in stage.writes} <= given


def test_every_bridge_may_join_its_group() -> None:
    assert {Right("bridge", "group", bridge_group(channel.name), "Read") for channel in CHANNELS} <= set(rights())


def test_commands_of_the_history_may_leave_their_event() -> None:
    assert Right("history", "topic", AUDIT.name, "Write") in rights(), "or `history rebuild` is refused"


def test_no_right_is_given_twice() -> None:
    assert len(set(rights())) == len(rights())


def test_the_doctor_writes_nothing_but_its_own_memo_and_that_it_did() -> None:
    written = [right.name for right in rights() if right.role == "doctor" and right.operation == "Write"]
    assert sorted(written) == ["audit.events", "care.consents", "memos.uploaded"], "with words that an erasure replaces"
    seen = {right.name for right in rights() if right.role == "doctor" and right.operation == "DescribeConfigs"}
    assert seen == {topic.name for topic in TOPICS}


def test_the_dashboard_may_ask_for_the_lag_of_every_stage_and_redrive_as_the_command_does() -> None:
    given = set(rights())
    for stage in STAGES:
        assert Right("dashboard", "group", stage.group, "Describe") in given
        assert Right("dashboard", "topic", stage.reads.name, "Read") in given
    assert {replace(right, role="dashboard") for right in given if right.role == "dead-letters"} <= given
