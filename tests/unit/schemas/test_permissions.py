"""The permissions follow from the tables of stages and channels."""

from schemas.channels import CHANNELS, bridge_group
from schemas.permissions import Right, rights
from schemas.pipeline import HISTORY_STAGES, STAGES, FeatureStage
from schemas.topics import TOPICS


def test_every_stage_may_read_write_and_join_what_its_row_says() -> None:
    given = set(rights())
    for stage in STAGES:
        role = stage.name if isinstance(stage, FeatureStage) else "history" if stage in HISTORY_STAGES else "agents"
        assert Right(role, "topic", stage.reads.name, "Read") in given
        assert Right(role, "group", stage.group, "Read") in given
        assert {Right(role, "topic", topic.name, "Write") for topic in stage.writes} <= given


def test_every_bridge_may_join_its_group() -> None:
    assert {Right("bridge", "group", bridge_group(channel.name), "Read") for channel in CHANNELS} <= set(rights())


def test_no_right_is_given_twice() -> None:
    assert len(set(rights())) == len(rights())


def test_the_doctor_writes_nothing_but_its_own_memo() -> None:
    written = [right.name for right in rights() if right.role == "doctor" and right.operation == "Write"]
    assert written == ["memos.uploaded"]
    seen = {right.name for right in rights() if right.role == "doctor" and right.operation == "DescribeConfigs"}
    assert seen == {topic.name for topic in TOPICS}
