"""`docs/pipeline.md`: every stage and every topic, with who reads and writes it."""

from schemas.channels import CHANNELS, bridge_group
from schemas.generated_page import page, table
from schemas.pipeline import HISTORY_STAGES, STAGES, FeatureStage, Stage
from schemas.topics import TOPICS, Topic

INTRODUCTION = """\
The order is that in which a memo meets the stages. A memo is scored when features of all `UNDERTONE_MODALITIES` have
come; only the stages that give them need to run. All agents run in one process, each bridge in its own.
`undertone dead-letters redrive` writes a record back to the topic that it came from."""


def pipeline_page() -> str:
    """Stages and topics as a page."""
    return page(
        "Pipeline",
        INTRODUCTION,
        "## Stages",
        table(
            ("stage", "process", "reads", "writes", "consumer group", "modalities", "meaning"),
            [*map(_stage, STAGES), *_bridges()],
        ),
        "## Topics",
        table(("topic", "key", "written by", "read by (group)", "retention"), map(_topic, TOPICS)),
    )


def _stage(stage: Stage) -> tuple[str, ...]:
    process, modalities = "undertone agents", ""
    if stage in HISTORY_STAGES:
        process = "undertone history"
    if isinstance(stage, FeatureStage):
        process, modalities = f"undertone worker {stage.name}", ", ".join(stage.modalities)
    writes = ", ".join(f"`{topic.name}`" for topic in stage.writes)
    return (
        f"`{stage.name}`", f"`{process}`", f"`{stage.reads.name}`", writes, f"`{stage.group}`", modalities,
        stage.meaning,
    )  # fmt: skip


def _bridges() -> list[tuple[str, ...]]:
    return [
        (
            f"`{channel.name}`", f"`undertone bridge {channel.name}`",
            ", ".join(f"`{topic.name}`" for topic in channel.reads), "",
            f"`{bridge_group(channel.name)}`", "", channel.meaning,
        )
        for channel in CHANNELS
    ]  # fmt: skip


def _topic(topic: Topic) -> tuple[str, ...]:
    groups = [stage.group for stage in STAGES if stage.reads is topic]
    groups += [bridge_group(channel.name) for channel in CHANNELS if topic in channel.reads]
    readers = ", ".join(f"`{group}`" for group in dict.fromkeys(groups))
    return f"`{topic.name}`", topic.key, topic.written_by, readers, topic.how_long
