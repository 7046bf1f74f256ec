"""The page of the pipeline says of every stage and topic who reads and writes it."""

from schemas.channels import CHANNELS
from schemas.pipeline import STAGES
from schemas.pipeline_page import pipeline_page
from schemas.topics import TOPICS


def rows(heading: str) -> dict[str, str]:
    section = pipeline_page().partition(heading)[2].partition("\n## ")[0]
    return {line.split("`")[1]: line for line in section.splitlines() if line.startswith("| `")}


def test_every_stage_and_channel_has_its_row_in_order() -> None:
    names = [stage.name for stage in STAGES] + [channel.name for channel in CHANNELS]
    assert list(rows("## Stages")) == names


def test_every_topic_has_its_readers() -> None:
    found = rows("## Topics")
    assert list(found) == [topic.name for topic in TOPICS]
    for stage in STAGES:
        assert f"`{stage.group}`" in found[stage.reads.name]
