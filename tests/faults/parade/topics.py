"""What lies on the topics at the end of a parade, read and decoded without the project's clients and codec."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import fastavro
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.channels import WEBHOOK, bridge_group
from schemas.pipeline import AGENT_STAGES, FEATURE_STAGES
from tests.faults.judge import Content
from tests.faults.poisons.avro import KINDS, SINGLE_OBJECT, source
from tests.faults.reader import Opener

Place: TypeAlias = tuple[str, int, int]
"""Topic, partition, offset."""
RESULTS = ("risk.scored", "risk.alerts", "memos.dead")
STARTED = (*FEATURE_STAGES, *AGENT_STAGES)
GROUPS: Mapping[str, Collection[str]] = {
    **{topic: {stage.group for stage in STARTED if stage.reads.name == topic} for topic in KINDS},
    "risk.alerts": {bridge_group(WEBHOOK.name)},
}
"""The consumer groups of every topic."""


@dataclass(slots=True)
class Written:
    """Records that the system wrote, and nobody else."""

    scores: list[Content] = field(default_factory=list)
    alerts: list[Content] = field(default_factory=list)
    letters: list[Content] = field(default_factory=list)


class Topics:
    """Reads the results from their start, a little further at every `read`, and the positions of groups.

    keys: the home with the keys of sealed records; None where none are sealed.
    """

    def __init__(self, bootstrap: str, keys: Path | None = None) -> None:
        self.written = Written()
        self._opener = Opener(keys)
        self._last: dict[tuple[str, int], int] = {}
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": "parade", "enable.auto.commit": False, "log_level": 0}
            | {"isolation.level": "read_committed", "fetch.message.max.bytes": 16 << 20, "check.crcs": False}
        )
        partitions = {topic: self._partitions(topic) for topic in RESULTS}
        self._consumer.assign([TopicPartition(t, p, 0) for t, numbers in partitions.items() for p in numbers])

    def read(self, sent: Collection[Place]) -> Written:
        """All that has come, or for as long as something comes. sent: places of records of the parade's own."""
        lists = dict(zip(RESULTS, (self.written.scores, self.written.alerts, self.written.letters), strict=True))
        while messages := self._consumer.consume(500, timeout=0.3):
            for message in messages:
                assert not message.error(), str(message.error())
                place = (message.topic(), message.partition(), message.offset())
                self._last[place[:2]] = place[2]
                if place not in sent:
                    value = self._opener.opened(message.topic(), message.value())
                    lists[message.topic()].append(decoded(message.topic(), value))
        return self.written

    def passed(self, sent: Collection[Place]) -> bool:
        """Whether every group has committed past each of these places, and past all results that were read."""
        return not self.behind(sent)

    def behind(self, sent: Collection[Place]) -> list[str]:
        """Groups that have not, with where each stands and how far it should be."""
        ends = {at: offset + 1 for at, offset in self._last.items()}
        for topic, partition, offset in sent:
            ends[topic, partition] = max(offset + 1, ends.get((topic, partition), 0))
        found = []
        for topic in {topic for topic, _ in ends}:
            wanted = {at: end for at, end in ends.items() if at[0] == topic}
            for group in GROUPS[topic]:
                committed = self._committed(group, wanted)
                found += [
                    f"{group} is at {committed.get(at, -1)} of {end} in {topic} {at[1]}"
                    for at, end in wanted.items()
                    if committed.get(at, -1) < end
                ]
        return found

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()
        self._opener.close()

    def _partitions(self, topic: str) -> list[int]:
        return list(self._admin.list_topics(topic, timeout=10).topics[topic].partitions)

    def _committed(self, group: str, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(*place) for place in places])
        answer = self._admin.list_consumer_group_offsets([asked])[group].result(10)
        return {(each.topic, each.partition): each.offset for each in answer.topic_partitions}


def decoded(topic: str, value: bytes) -> Content:
    """The plain values of a record in single-object encoding or a registry's framing."""
    start = 10 if value.startswith(SINGLE_OBJECT) else 5
    content: Any = fastavro.schemaless_reader(BytesIO(value[start:]), dict(source(KINDS[topic])), None)
    assert isinstance(content, dict)
    return content
