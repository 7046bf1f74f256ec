"""Resubmits memos whose score lacks a modality: `undertone rescore`.

Such a memo has an indeterminate score with the reason `missing:…`. Its upload is written once more, unchanged but for
two headers: it counts as redriven, so that its join opens again also where it keeps no parts, and it says that a score
came before, so that the next one is a revision also where Redis has forgotten the join.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition

from schemas import topics
from schemas.codec import Codec, DecodeError
from schemas.events import MemoUploaded, RiskScored
from schemas.pipeline import feature_stages
from schemas.reasons import MISSING
from schemas.redrive_headers import rescored_headers
from schemas.settings import Settings
from workers.kafka.consumer_lag import Observer
from workers.kafka.topic_reader import written

Identity: TypeAlias = tuple[str, str]
"""User and memo."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to resubmit. under_way: memos with an upload that a worker has yet to process; gone: without an upload."""

    uploads: tuple[ConsumerRecord, ...] = ()
    under_way: int = 0
    gone: int = 0


def is_provisional(score: RiskScored) -> bool:
    """Whether a score lacks a modality, so that another may replace it."""
    return any(reason.startswith(MISSING) for reason in score.reasons)


class Provisional:
    """Collects memos whose score lacks a modality. until: later ones are left alone."""

    def __init__(self, until: datetime) -> None:
        self._until_ms = until.timestamp() * 1000
        self._lacking: set[Identity] = set()
        self._scored: set[Identity] = set()

    def add(self, score: RiskScored, timestamp_ms: int) -> None:
        """Add a score, with Kafka's timestamp; also one after `until`: it may be the one that another lacked."""
        memo = (score.user_id, score.memo_id)
        if not is_provisional(score):
            self._scored.add(memo)
        elif timestamp_ms < self._until_ms:
            self._lacking.add(memo)

    def memos(self) -> set[Identity]:
        """Those that have no other score."""
        return self._lacking - self._scored


def plan(
    lacking: set[Identity],
    uploads: Iterable[tuple[MemoUploaded, ConsumerRecord]],
    processed: Mapping[TopicPartition, int],
) -> Plan:
    """The uploads to resubmit: the last of each memo, in the order in which they were written.

    uploads: of the `lacking` memos; processed: the offsets up to which every worker has processed the uploads. What
    comes after is on its way.
    """
    last: dict[Identity, ConsumerRecord] = {}
    under_way = set[Identity]()
    for memo, record in uploads:
        identity = (memo.user_id, memo.memo_id)
        if record.offset >= processed.get(TopicPartition(record.topic, record.partition), 0):
            under_way.add(identity)
        elif identity not in last or record.timestamp >= last[identity].timestamp:
            last[identity] = record
    found = sorted(
        (last[each] for each in last.keys() - under_way), key=lambda record: (record.timestamp, record.offset)
    )
    return Plan(tuple(found), len(under_way), len(lacking - last.keys() - under_way))


async def find(settings: Settings, codec: Codec, since: datetime, until: datetime) -> Plan:
    """What to resubmit of the memos whose scores were written from `since` to before `until`.

    Raises Transient when the broker is unavailable, BrokerRefused when it refuses.
    """
    provisional = Provisional(until)
    async for record in written(settings, topics.SCORED, since):
        with suppress(DecodeError):
            provisional.add(codec.decode(record.value, RiskScored), record.timestamp)
    lacking = provisional.memos()
    if not lacking:
        return Plan()
    async with Observer(settings, (topics.UPLOADED,)) as observer:
        groups = [stage.group for stage in feature_stages(settings.modalities)]
        positions = [await observer.positions(group, topics.UPLOADED.name) for group in groups]
    processed = {at: min(each[at] for each in positions) for at in positions[0]}
    uploads = []
    async for record in written(settings, topics.UPLOADED, datetime.fromtimestamp(0, UTC)):
        with suppress(DecodeError):
            memo = codec.decode(record.value, MemoUploaded)
            if (memo.user_id, memo.memo_id) in lacking:
                uploads.append((memo, record))
    return plan(lacking, uploads, processed)


async def send(uploads: Sequence[ConsumerRecord], producer: AIOKafkaProducer, per_second: int) -> None:
    """Write these uploads once more, at most so many a second, so that live memos are not held up.

    When it returns, the broker has acknowledged them all. Raises KafkaError.
    """
    for start in range(0, len(uploads), per_second):
        second = asyncio.create_task(asyncio.sleep(1.0 if start + per_second < len(uploads) else 0.0))
        sent = [await _send(upload, producer) for upload in uploads[start : start + per_second]]
        await asyncio.gather(*sent, second)


async def _send(upload: ConsumerRecord, producer: AIOKafkaProducer) -> asyncio.Future[Any]:
    """Send a record to its partition again: its producer may have used another partitioner."""
    headers = rescored_headers(dict(upload.headers))
    sent: asyncio.Future[Any] = await producer.send(
        upload.topic, upload.value, upload.key, partition=upload.partition, headers=headers
    )
    return sent
