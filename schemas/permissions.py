"""Who may do what on Kafka, made from the tables of stages and channels.

`deploy/kafka/acls.py` writes it as a page, prints it as commands and gives it to a broker; `undertone doctor` compares
it with what the broker allows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from schemas.channels import CHANNELS, bridge_group
from schemas.pipeline import AGENT_STAGES, FEATURE_STAGES, HISTORY_STAGES, STAGES, Stage
from schemas.topics import ALERTS, AUDIT, CARE, CONSENTS, DEAD, FEATURES, SCORED, TOPICS, UPLOADED


@dataclass(frozen=True, slots=True)
class Right:
    """One operation that one role may do on one topic or group."""

    role: str
    resource: str
    name: str
    operation: str


AUDITED = (
    "submit",
    "alerts",
    "views",
    "dead-letters",
    "rescore",
    "doctor",
    "audit",
    "history",
    "agents",
    "consent",
    "key-server",
)
"""Roles of commands: each look at people's data, and each change, is an audit event before anything else. Those of
`undertone history` are run as its role. The agents, the history and the key server record with which settings they
start, as workers, bridges and the dashboard do."""


def rights() -> list[Right]:
    """All permissions: those of the stages and channels as their tables say, and those of the other commands."""
    groups = dict.fromkeys(stage.group for stage in STAGES)
    return [
        *(Right("topics", "topic", topic.name, each) for topic in TOPICS for each in ("Create", "Describe")),
        *(Right("topics", "group", group, "Describe") for group in groups),
        Right("submit", "topic", UPLOADED.name, "Write"),
        *(right for stage in FEATURE_STAGES for right in _of_stages(stage.name, (stage,))),
        # Before a memo is read: whether its person may be listened to.
        *(Right(stage.name, "topic", CONSENTS.name, "Read") for stage in FEATURE_STAGES),
        *(Right("consent", "topic", CONSENTS.name, each) for each in ("Read", "Write")),
        *_of_stages("agents", AGENT_STAGES),
        # Whose silence is what they asked for.
        Right("agents", "topic", CONSENTS.name, "Read"),
        # Mutes and marks, after Redis has lost its data.
        Right("agents", "topic", CARE.name, "Read"),
        # Lag of all stages, and resubmission after Redis has lost its data.
        *(Right("agents", "topic", UPLOADED.name, each) for each in ("Read", "Write")),
        *(Right("agents", "group", stage.group, "Describe") for stage in FEATURE_STAGES),
        *_of_stages("history", HISTORY_STAGES),
        # It signs heads of the audit trail.
        Right("history", "topic", AUDIT.name, "Read"),
        *(
            Right(role, "topic", AUDIT.name, "Write")
            for role in (*AUDITED, *(s.name for s in FEATURE_STAGES), "bridge")
        ),
        Right("audit", "topic", AUDIT.name, "Read"),
        *(Right("dashboard", "topic", topic.name, "Write") for topic in (UPLOADED, CARE, CONSENTS, AUDIT)),
        Right("dashboard", "topic", CONSENTS.name, "Read"),
        # Dead letters that an operator redrives go back to the topic that they come from.
        *(Right("dashboard", "topic", topic.name, "Write") for topic in (FEATURES, SCORED)),
        # Where an uploaded memo is on its way, and how long the oldest record of each stage has been waiting.
        *(Right("dashboard", "topic", name, "Read") for name in dict.fromkeys(stage.reads.name for stage in STAGES)),
        *(Right("dashboard", "group", group, "Describe") for group in groups),
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
        # An erasure, which is run with these rights, replaces words in clear.
        Right("doctor", "topic", CONSENTS.name, "Write"),
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
