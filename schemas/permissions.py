"""Who may do what on Kafka, made from the tables of stages and channels.

`deploy/kafka/acls.py` writes it as a page, prints it as commands and gives it to a broker; `undertone doctor` compares
it with what the broker allows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from schemas.channels import CHANNELS, bridge_group
from schemas.pipeline import AGENT_STAGES, FEATURE_STAGES, HISTORY_STAGES, STAGES, Stage
from schemas.topics import ALERTS, AUDIT, CARE, DEAD, FEATURES, SCORED, TOPICS, UPLOADED


@dataclass(frozen=True, slots=True)
class Right:
    """One operation that one role may do on one topic or group."""

    role: str
    resource: str
    name: str
    operation: str


def rights() -> list[Right]:
    """All permissions: those of the stages and channels as their tables say, and those of the other commands."""
    groups = dict.fromkeys(stage.group for stage in STAGES)
    return [
        *(Right("topics", "topic", topic.name, each) for topic in TOPICS for each in ("Create", "Describe")),
        *(Right("topics", "group", group, "Describe") for group in groups),
        Right("submit", "topic", UPLOADED.name, "Write"),
        *(right for stage in FEATURE_STAGES for right in _of_stages(stage.name, (stage,))),
        *_of_stages("agents", AGENT_STAGES),
        # Lag of all stages, and resubmission after Redis has lost its data.
        *(Right("agents", "topic", UPLOADED.name, each) for each in ("Read", "Write")),
        *(Right("agents", "group", stage.group, "Describe") for stage in FEATURE_STAGES),
        *_of_stages("history", HISTORY_STAGES),
        *(Right("dashboard", "topic", topic.name, "Write") for topic in (UPLOADED, CARE, AUDIT)),
        # Where an uploaded memo is on its way.
        *(Right("dashboard", "topic", topic.name, "Read") for topic in (FEATURES, SCORED, DEAD)),
        Right("alerts", "topic", ALERTS.name, "Read"),
        *(Right("views", "topic", topic.name, "Read") for topic in (UPLOADED, SCORED, ALERTS, DEAD)),
        *(Right("bridge", "topic", name, "Read") for name in dict.fromkeys(t.name for c in CHANNELS for t in c.reads)),
        *(Right("bridge", "group", bridge_group(channel.name), "Read") for channel in CHANNELS),
        Right("dead-letters", "topic", DEAD.name, "Read"),
        *(
            Right("dead-letters", "topic", topic.name, operation)
            for topic in (UPLOADED, FEATURES, SCORED)
            for operation in ("Read", "Write")
        ),
        Right("rescore", "topic", SCORED.name, "Read"),
        *(Right("rescore", "topic", UPLOADED.name, each) for each in ("Read", "Write")),
        *(Right("rescore", "group", stage.group, "Describe") for stage in FEATURE_STAGES),
        *(Right("doctor", "topic", topic.name, "DescribeConfigs") for topic in TOPICS),
        # The key of the newest uploads; with --send-memo one upload and what becomes of it.
        *(Right("doctor", "topic", topic.name, "Read") for topic in TOPICS),
        Right("doctor", "topic", UPLOADED.name, "Write"),
        *(Right("doctor", "group", group, "Describe") for group in groups),
    ]


def _of_stages(role: str, stages: Sequence[Stage]) -> Iterator[Right]:
    """Read what the stages read, write what they write, and be a member of their groups."""
    operations = [(stage.reads, "Read") for stage in stages]
    operations += [(topic, "Write") for stage in stages for topic in stage.writes]
    for topic in dict.fromkeys(topic for topic, _ in operations):
        for operation in dict.fromkeys(each for named, each in operations if named is topic):
            yield Right(role, "topic", topic.name, operation)
    for group in dict.fromkeys(stage.group for stage in stages):
        yield Right(role, "group", group, "Read")
