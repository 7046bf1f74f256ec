"""Dead letters for an operator: which there are, and sending their records back to where they came from.

A record goes back as it was: its bytes, its key, its partition; its headers grow by its history, which
`schemas/redrive_headers.py` describes. That it was sent back is remembered in the store, so that redriving the same
letters again sends nothing. Should the command die between the two, the repetition sends the same attempt once more,
which every hop recognises.
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
"""Records sent before the acknowledgements are awaited and written down."""
Place: TypeAlias = tuple[str, int, int]
"""Topic, partition and offset of a record; several stages may have written letters of one."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters. since: written then or later; stage, reason: exactly; ids: whole, or beginnings of them."""

    since: datetime | None = None
    stage: str | None = None
    reason: str | None = None
    ids: tuple[str, ...] = ()

    def takes(self, letter: DeadLetter) -> bool:
        """Whether this letter is one of them."""
        return (
            (self.since is None or letter.at >= self.since)
            and self.stage in {None, letter.stage}
            and self.reason in {None, letter.reason}
            and (not self.ids or letter.dead_letter_id.startswith(self.ids))
        )


@dataclass(frozen=True, slots=True)
class Kept:
    """A letter, and how often an operator has sent its record back since it was written."""

    letter: DeadLetter
    redriven: int = 0

    @property
    def place(self) -> Place:
        """Where its record lies."""
        return self.letter.topic, self.letter.partition, self.letter.offset


async def find(settings: Settings, codec: Codec, store: Store, wanted: Wanted) -> list[Kept]:
    """The letters on `memos.dead` that are wanted, oldest first; one that was written twice is there once."""
    letters: dict[str, DeadLetter] = {}
    async for letter in _all(settings, codec):
        if wanted.takes(letter):
            letters.setdefault(letter.dead_letter_id, letter)
    marks = await store.read([REDRIVEN.key(id_) for id_ in letters])
    kept = [Kept(letter, _redriven(marks[REDRIVEN.key(id_)])) for id_, letter in letters.items()]
    return sorted(kept, key=lambda each: (each.letter.at, each.place))


def _all(settings: Settings, codec: Codec) -> AsyncIterator[DeadLetter]:
    return follow(settings, codec, topics.DEAD, DeadLetter, from_start=True, once=True)


def chosen(kept: Sequence[Kept], *, again: bool) -> list[list[Kept]]:
    """What is to be sent back: letters by record, in the order of the records. again: also those sent back before.

    A letter whose record failed again is left out: the newer letter stands for it. Raises Stop for letters of a topic
    that is none of the way's.
    """
    known = {topic.name for topic in topics.TOPICS if topic is not topics.DEAD}
    if strange := {each.letter.topic for each in kept} - known:
        raise Stop(f"records of {', '.join(sorted(strange))} cannot be sent back, only {', '.join(sorted(known))}")
    older = {failure.dead_letter_id for each in kept for failure in history_of(each.letter.headers)}
    by_place: dict[Place, list[Kept]] = defaultdict(list)
    for each in kept:
        if each.letter.dead_letter_id not in older and (again or not each.redriven):
            by_place[each.place].append(each)
    return [by_place[place] for place in sorted(by_place)]


async def redrive(records: Sequence[Sequence[Kept]], producer: AIOKafkaProducer, store: Store) -> None:
    """Send these records back, as `chosen` gives them.

    When it returns, the broker has them all and the store remembers it. Raises Transient, KafkaError.
    """
    for some in _in_chunks(records):
        sent = [await _send(letters, producer) for letters in some]
        for acknowledgement in sent:
            await acknowledgement
        await _remember([each for letters in some for each in letters], store)


async def _send(letters: Sequence[Kept], producer: AIOKafkaProducer) -> Awaitable[Any]:
    letter = letters[0].letter
    redrives = redrives_of(letter.headers) + max(each.redriven for each in letters) + 1
    partitions = await producer.partitions_for(letter.topic)
    acknowledgement: Awaitable[Any] = await producer.send(
        letter.topic,
        value=letter.value,
        key=letter.key,
        headers=redriven_headers(letter, redrives),
        # The partition itself: whoever produced it may have spread keys by another rule.
        partition=letter.partition if letter.partition in partitions else None,
    )
    return acknowledgement


async def _remember(letters: Collection[Kept], store: Store) -> None:
    counts = {
        REDRIVEN.key(each.letter.dead_letter_id): REDRIVEN.framed(str(each.redriven + 1).encode()) for each in letters
    }
    await store.update(list(counts), lambda key, _: (counts[key], None), ttl_s=TTL_S)


def _redriven(mark: bytes | None) -> int:
    """How often a mark says that a record was sent back; 0.1 wrote the digits alone."""
    if mark is None:
        return 0
    return int(mark if mark.isdigit() else REDRIVEN.opened(mark)[1])


def _in_chunks(records: Sequence[Sequence[Kept]]) -> Iterator[Sequence[Sequence[Kept]]]:
    yield from (records[start : start + TOGETHER] for start in range(0, len(records), TOGETHER))
