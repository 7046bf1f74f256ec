"""Dead letters for operators: list them, and redrive their records to the original topics.

A record is redriven unchanged: its bytes, its key, its partition; its headers also get its history, which
`schemas/redrive_headers.py` describes. A dead letter that proves nothing (`streams/recovery/evidence.py`) is refused by
itself; the others are redriven. The store counts redrives, so that redriving the same dead letters again sends nothing.
After a crash between the two, the next run sends the same attempt once more, which every stage deduplicates.
"""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from schemas import topics
from schemas.codec import Codec
from schemas.events import DeadLetter
from schemas.redrive_headers import history_of, redriven_headers, redrives_of
from schemas.sealed_frame import is_sealed, parse
from schemas.settings import Settings
from schemas.state_keys import REDRIVEN
from schemas.trimmed_letters import kept
from streams.recovery.evidence import doubt, refusal
from streams.recovery.originals import Place, originals
from workers.kafka.topic_reader import follow
from workers.state.store import Store

TTL_S = topics.DEAD.retention.total_seconds()
"""How long a count of redrives is kept, at least."""
TOGETHER = 100
"""Records sent before their acknowledgements are awaited and stored."""
_DIGITS = 9
"""Digits of a redrive count that is possible."""


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
        """Topic, partition and offset of its record; several stages may have written dead letters for one."""
        return self.letter.topic, self.letter.partition, self.letter.offset


@dataclass(frozen=True, slots=True)
class Refused:
    """A dead letter that is not redriven, and why."""

    letter: DeadLetter
    why: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Dead letters to redrive, by record, in the order of the records; and those that are refused."""

    records: list[list[StoredDeadLetter]]
    refused: list[Refused]


async def find(
    settings: Settings, codec: Codec, store: Store, wanted: DeadLetterFilter, skipped: Counter[str] | None = None
) -> list[StoredDeadLetter]:
    """The dead letters on `memos.dead` that match, oldest first, without duplicates.

    skipped: counts records of the topic that are not dead letters. Raises Transient and BrokerRefused.
    """
    # An id alone does not tell a dead letter from a forged one that was written first.
    different: dict[tuple[str, bytes | None, bytes | None], DeadLetter] = {}
    async for letter in follow(settings, codec, topics.DEAD, DeadLetter, from_start=True, once=True, skipped=skipped):
        if wanted.matches(letter):
            different.setdefault((letter.dead_letter_id, letter.key, letter.value), letter)
    counts = await store.update(
        [REDRIVEN.key(id_) for id_, _, _ in different], lambda _, count: (None, _redriven(count)), ttl_s=TTL_S
    )
    found = [StoredDeadLetter(letter, counts[REDRIVEN.key(id_)]) for (id_, _, _), letter in different.items()]
    return sorted(found, key=lambda each: (each.letter.at, each.place))


def select(dead_letters: Sequence[StoredDeadLetter], *, again: bool) -> Selection:
    """The dead letters to redrive, as far as they show by themselves. again: include those redriven before.

    A dead letter whose record failed again is skipped: the newer one replaces it.
    """
    newer = {
        (failure.dead_letter_id, each.letter.key, each.letter.value)
        for each in dead_letters
        for failure in history_of(each.letter.headers)
    }
    by_record: dict[tuple[Place, bytes | None, bytes | None], list[StoredDeadLetter]] = defaultdict(list)
    refused = []
    for each in dead_letters:
        if (each.letter.dead_letter_id, each.letter.key, each.letter.value) in newer or (each.redriven and not again):
            continue
        if why := refusal(each.letter):
            refused.append(Refused(each.letter, why))
        else:
            by_record[each.place, each.letter.key, each.letter.value].append(each)
    return Selection(sorted(by_record.values(), key=lambda several: several[0].place), refused)


async def verified(settings: Settings, codec: Codec, selection: Selection) -> Selection:
    """The same without the dead letters that their original records contradict or nothing shows to be genuine.

    Raises Transient, KafkaError.
    """
    found = await originals(settings, {several[0].place for several in selection.records})
    records, refused = [], list(selection.refused)
    for several in selection.records:
        doubts = [(each, doubt(each.letter, found.get(each.place), codec)) for each in several]
        refused += [Refused(each.letter, why) for each, why in doubts if why is not None]
        if believed := [each for each, why in doubts if why is None]:
            records.append(believed)
    return Selection(records, refused)


async def redrive(selection: Selection, producer: AIOKafkaProducer, store: Store) -> Selection:
    """Redrive these records; what the broker refuses is among the refused of the result.

    When it returns, the broker has acknowledged the records and the store has counted them. Raises Transient and
    KafkaError.
    """
    records: list[list[StoredDeadLetter]] = []
    refused = list(selection.refused)
    for chunk in _in_chunks(selection.records):
        sent: list[tuple[list[StoredDeadLetter], Awaitable[Any]]] = []
        for several in chunk:
            try:
                sent.append((several, await _send(several, producer)))
            except KafkaError as error:
                refused += _refused_by_broker(several, error)
        delivered: list[list[StoredDeadLetter]] = []
        for several, acknowledgement in sent:
            try:
                await acknowledgement
                delivered.append(several)
            except KafkaError as error:
                refused += _refused_by_broker(several, error)
        await _count([each for several in delivered for each in several], store)
        records += delivered
    return Selection(records, refused)


def _refused_by_broker(dead_letters: Sequence[StoredDeadLetter], error: KafkaError) -> list[Refused]:
    """The dead letters of a record that the broker does not take. Raises `error` when it concerns other records too."""
    if not isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError):
        raise error
    return [Refused(each.letter, "with its history it is larger than its topic takes") for each in dead_letters]


async def _send(dead_letters: Sequence[StoredDeadLetter], producer: AIOKafkaProducer) -> Awaitable[Any]:
    letter = dead_letters[0].letter
    redrives = redrives_of(letter.headers) + max(each.redriven for each in dead_letters) + 1
    partitions = await producer.partitions_for(letter.topic)
    acknowledgement: Awaitable[Any] = await producer.send(
        letter.topic,
        value=letter.value,
        key=_key_of(letter),
        headers=[*kept(None, None, dict(redriven_headers(letter, redrives))).headers.items()],
        # Explicit partition: the original producer may have used another partitioner.
        partition=letter.partition if letter.partition in partitions else None,
    )
    return acknowledgement


def _key_of(letter: DeadLetter) -> bytes | None:
    """The key of a record as it was written: of one whose key was unknown, its value alone names the subject."""
    if letter.value is not None and is_sealed(letter.value):
        return parse(letter.value).subject.hex().encode()
    return letter.key


async def _count(dead_letters: Collection[StoredDeadLetter], store: Store) -> None:
    counts = {
        REDRIVEN.key(each.letter.dead_letter_id): REDRIVEN.framed(str(each.redriven + 1).encode())
        for each in dead_letters
    }
    await store.update(list(counts), lambda key, _: (counts[key], None), ttl_s=TTL_S)


def _redriven(count: bytes | None) -> int:
    """A stored redrive count; version 0.1 wrote the digits alone. Raises UnreadableState."""
    if count is None:
        return 0
    with REDRIVEN.decoding():
        digits = count if count.isdigit() else REDRIVEN.opened(count)[1]
        if not digits.isdigit() or len(digits) > _DIGITS:
            raise ValueError("not a count")
        return int(digits)


def _in_chunks(records: Sequence[list[StoredDeadLetter]]) -> Iterator[Sequence[list[StoredDeadLetter]]]:
    yield from (records[start : start + TOGETHER] for start in range(0, len(records), TOGETHER))
