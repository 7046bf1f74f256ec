"""Reads the topics for the judge with a client and a decoder that the project does not use.

kafka-python reads; fastavro decodes against the committed schemas by itself.
"""

import json
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import fastavro
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError

from schemas.sealed_frame import is_sealed, parse
from schemas.settings import Settings
from tests.faults.judge import SCHEMAS, SINGLE_OBJECT_HEADER, Content, Seen
from workers.privacy.clear_records import Opened
from workers.privacy.sealing import Sealing

KINDS = {
    "memos.uploaded": "memo_uploaded",
    "risk.scored": "risk_scored",
    "risk.alerts": "risk_alert",
    "memos.dead": "dead_letter",
}
ANSWER_MS = 5_000
"""For an answer of the broker: kafka-python has no bound of its own when it asks for the position of a group."""


class Opener:
    """Opens sealed values for a judge. keys: the home with their keys; None where none are sealed."""

    def __init__(self, keys: Path | None) -> None:
        self.sealed = 0
        """How many of the values were sealed."""
        self._sealing = None if keys is None else Sealing(Settings.load(home=keys))

    def opened(self, topic: str, value: bytes) -> bytes:
        """The value in clear."""
        if not is_sealed(value):
            return value
        self.sealed += 1
        record = SimpleNamespace(topic=topic, key=_key_of(value), value=value, headers=(), timestamp=None)
        assert self._sealing is not None, "a record is sealed"
        outcome = self._sealing.opened_now(record)
        assert isinstance(outcome, Opened), outcome
        return outcome.value or b""

    def close(self) -> None:
        """Forget the keys."""
        if self._sealing is not None:
            self._sealing.close()


def _key_of(value: bytes) -> bytes:
    return parse(value).subject.hex().encode()


class Reader:
    """Reads the four topics from their start, a little further at every `read`. Survives restarts of the broker.

    keys: the home with the keys of sealed records; None where none are sealed.
    """

    def __init__(self, bootstrap: str, keys: Path | None = None) -> None:
        self.seen = Seen()
        self._opener = Opener(keys)
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
        body = BytesIO(self._opener.opened(topic, value)[SINGLE_OBJECT_HEADER:])
        content = fastavro.schemaless_reader(body, self._schemas[topic], None)
        assert isinstance(content, dict)
        return content

    @property
    def sealed(self) -> int:
        """How many of the records were sealed."""
        return self._opener.sealed

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()
        self._opener.close()


class Positions:
    """How far a group has committed on a topic, asked from beside it."""

    def __init__(self, bootstrap: str, group: str, topic: str) -> None:
        self._consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
        self._places = [TopicPartition(topic, number) for number in self._consumer.partitions_for_topic(topic) or ()]

    def caught_up(self) -> bool:
        """Whether the group has committed everything that lies there; False while the broker does not say."""
        try:
            ends = self._consumer.end_offsets(self._places, timeout_ms=ANSWER_MS)
            return all(
                (self._consumer.committed(place, timeout_ms=ANSWER_MS) or 0) >= end for place, end in ends.items()
            )
        except KafkaTimeoutError:  # it is down, or a busy machine is slow to start it again
            return False

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()
