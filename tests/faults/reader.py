"""Reads the topics for the judge with a client and a decoder that the project does not use.

kafka-python reads; fastavro decodes against the committed schemas by itself.
"""

import json
from io import BytesIO

import fastavro
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError

from tests.faults.judge import SCHEMAS, SINGLE_OBJECT_HEADER, Content, Seen

KINDS = {
    "memos.uploaded": "memo_uploaded",
    "risk.scored": "risk_scored",
    "risk.alerts": "risk_alert",
    "memos.dead": "dead_letter",
}


class Reader:
    """Reads the four topics from their start, a little further at every `read`. Survives restarts of the broker."""

    def __init__(self, bootstrap: str) -> None:
        self.seen = Seen()
        self._schemas = {
            topic: fastavro.parse_schema(json.loads((SCHEMAS / f"{name}.avsc").read_text()))
            for topic, name in KINDS.items()
        }
        self._consumer = KafkaConsumer(
            bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        partitions = [TopicPartition(t, p) for t in KINDS for p in self._consumer.partitions_for_topic(t) or ()]
        self._consumer.assign(partitions)
        self._consumer.seek_to_beginning()

    def read(self) -> Seen:
        """All that is there now, or for as long as something comes."""
        lists = dict(zip(KINDS, (self.seen.uploaded, self.seen.scored, self.seen.alerts, self.seen.dead), strict=True))
        while batches := self._consumer.poll(timeout_ms=300):
            for place, records in batches.items():
                lists[place.topic] += [self._content(place.topic, record.value) for record in records]
        return self.seen

    def _content(self, topic: str, value: bytes) -> Content:
        body = BytesIO(value[SINGLE_OBJECT_HEADER:])
        content = fastavro.schemaless_reader(body, self._schemas[topic], None)
        assert isinstance(content, dict)
        return content

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()


class Positions:
    """How far a group has committed, asked from beside it."""

    def __init__(self, bootstrap: str, group: str) -> None:
        self._consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)

    def caught_up(self, topic: str) -> bool:
        """Whether the group has committed everything that lies on `topic`; False while the broker does not say."""
        places = [TopicPartition(topic, number) for number in self._consumer.partitions_for_topic(topic) or ()]
        try:
            ends = self._consumer.end_offsets(places)
            return all((self._consumer.committed(place) or 0) >= ends[place] for place in places)
        except KafkaTimeoutError:  # it is down, or a busy machine is slow to start it again
            return False

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()
