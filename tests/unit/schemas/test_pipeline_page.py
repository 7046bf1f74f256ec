"""The page of the pipeline says of every stage and topic who reads and writes it."""

from schemas.channels import CHANNELS
from schemas.pipeline import STAGES
from schemas.pipeline_page import pipeline_page
from schemas.topics import TOPICS


def lines(heading: str) -> list[tuple[str, str]]:
    """First cell and whole line of every row under a heading."""
    section = pipeline_page().partition(heading)[2].partition("\n## ")[0]
    return [(line.split("`")[1], line) for line in section.splitlines() if line.startswith("| `")]


def test_every_stage_and_channel_has_its_row_in_order() -> None:
    found = lines("## Stages")
    assert [name for name, _ in found] == [stage.name for stage in STAGES] + [channel.name for channel in CHANNELS]
    for stage, (_, line) in zip(STAGES, found, strict=False):
        assert f"| `{stage.reads.name}` |" in line


def test_every_topic_has_its_readers() -> None:
    found = dict(lines("## Topics"))
    assert list(found) == [topic.name for topic in TOPICS]
    for stage in STAGES:
        assert f"`{stage.group}`" in found[stage.reads.name]
