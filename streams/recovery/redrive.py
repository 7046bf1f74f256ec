"""Dead letters for operators: list them, and redrive their records to the original topics.

A record is redriven unchanged: its bytes, its key, its partition; its headers also get its history, which
`schemas/redrive_headers.py` describes. The store counts redrives, so that redriving the same dead letters again sends
nothing. After a crash between the two, the next run sends the same attempt once more, which every stage deduplicates.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from aiokafka import AIOKafkaProducer

from schemas import topics
from schemas.codec import Codec
from schemas.errors import Stop
from schemas.events import DeadLetter
from schemas.redrive_headers import history_of, redriven_headers, redrives_of
from schemas.settings import Settings
from schemas.state_keys import REDRIVEN
from workers.kafka.topic_reader import follow
from workers.state.store import Store

TTL_S = topics.DEAD.retention.total_seconds()
TOGETHER = 100
"""Records sent before their acknowledgements are awaited and stored."""
Place: TypeAlias = tuple[str, int, int]
"""Topic, partition and offset of a record; several stages may have written dead letters for one."""


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which dead letters. since: written then or later; stage, reason: exact matches; ids: full ids or prefixes."""

    since: datetime | None = None
    stage: str | None = None
    reason: str | None = None
    ids: tuple[str, ...] = ()

    def matches(self, letter: DeadLetter) -> bool:
        """Whether this dead letter passes the filter."""
        return (
            (self.since is None or letter.at >= self.since)
            and self.stage in {None, letter.stage}
            and self.reason in {None, letter.reason}
            and (not self.ids or letter.dead_letter_id.startswith(self.ids))
        )


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A dead letter, and how often its record was redriven since."""

    letter: DeadLetter
    redriven: int = 0

    @property
    def place(self) -> Place:
        """Topic, partition and offset of its record."""
        return self.letter.topic, self.letter.partition, self.letter.offset


async def find(settings: Settings, codec: Codec, store: Store, wanted: DeadLetterFilter) -> list[StoredDeadLetter]:
    """The dead letters on `memos.dead` that match, oldest first, without duplicates."""
    by_id: dict[str, DeadLetter] = {}
    async for letter in _all(settings, codec):
        if wanted.matches(letter):
            by_id.setdefault(letter.dead_letter_id, letter)
    counts = await store.read([REDRIVEN.key(id_) for id_ in by_id])
    found = [StoredDeadLetter(letter, _redriven(counts[REDRIVEN.key(id_)])) for id_, letter in by_id.items()]
    return sorted(found, key=lambda each: (each.letter.at, each.place))


def _all(settings: Settings, codec: Codec) -> AsyncIterator[DeadLetter]:
    return follow(settings, codec, topics.DEAD, DeadLetter, from_start=True, once=True)


def select(dead_letters: Sequence[StoredDeadLetter], *, again: bool) -> list[list[StoredDeadLetter]]:
    """The dead letters to redrive: by record, in the order of the records. again: include those redriven before.

    A dead letter whose record failed again is skipped: the newer one replaces it. Raises Stop for dead letters of an
    unknown topic.
    """
    known = {topic.name for topic in topics.TOPICS if topic is not topics.DEAD}
    if unknown := {each.letter.topic for each in dead_letters} - known:
        raise Stop(f"cannot redrive records of {', '.join(sorted(unknown))}; possible: {', '.join(sorted(known))}")
    older = {failure.dead_letter_id for each in dead_letters for failure in history_of(each.letter.headers)}
    by_place: dict[Place, list[StoredDeadLetter]] = defaultdict(list)
    for each in dead_letters:
        if each.letter.dead_letter_id not in older and (again or not each.redriven):
            by_place[each.place].append(each)
    return [by_place[place] for place in sorted(by_place)]


async def redrive(records: Sequence[Sequence[StoredDeadLetter]], producer: AIOKafkaProducer, store: Store) -> None:
    """Redrive these records, as returned by `select`.

    When it returns, the broker has acknowledged them all and the store has counted them. Raises Transient, KafkaError.
    """
    for chunk in _in_chunks(records):
        sent = [await _send(dead_letters, producer) for dead_letters in chunk]
        for acknowledgement in sent:
            await acknowledgement
        await _count([each for dead_letters in chunk for each in dead_letters], store)


async def _send(dead_letters: Sequence[StoredDeadLetter], producer: AIOKafkaProducer) -> Awaitable[Any]:
    letter = dead_letters[0].letter
    redrives = redrives_of(letter.headers) + max(each.redriven for each in dead_letters) + 1
    partitions = await producer.partitions_for(letter.topic)
    acknowledgement: Awaitable[Any] = await producer.send(
        letter.topic,
        value=letter.value,
        key=letter.key,
        headers=redriven_headers(letter, redrives),
        # Explicit partition: the original producer may have used another partitioner.
        partition=letter.partition if letter.partition in partitions else None,
    )
    return acknowledgement


async def _count(dead_letters: Collection[StoredDeadLetter], store: Store) -> None:
    counts = {
        REDRIVEN.key(each.letter.dead_letter_id): REDRIVEN.framed(str(each.redriven + 1).encode())
        for each in dead_letters
    }
    await store.update(list(counts), lambda key, _: (counts[key], None), ttl_s=TTL_S)


def _redriven(count: bytes | None) -> int:
    """A stored redrive count; version 0.1 wrote the digits alone."""
    if count is None:
        return 0
    return int(count if count.isdigit() else REDRIVEN.opened(count)[1])


def _in_chunks(
    records: Sequence[Sequence[StoredDeadLetter]],
) -> Iterator[Sequence[Sequence[StoredDeadLetter]]]:
    yield from (records[start : start + TOGETHER] for start in range(0, len(records), TOGETHER))
