"""Kafka: records stay until their topic's retention ends, as bytes that nothing opens; here they are all tried.

A log is never rewritten for one person: every replica, mirror and backup would have to be. That is why the keys of a
person are destroyed instead (`Erased.KEYS`). Only what was written in clear to a compacted topic would stay for ever: a
record without a value follows it, and brokers then drop both.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Protocol, TypeAlias

from schemas.codec import DecodeError
from schemas.privacy_marks import Erased
from schemas.sealed_frame import is_sealed, parse
from schemas.topics import TOPICS, Topic
from streams.privacy.places import Person, Trial


class Record(Protocol):
    """One raw record."""

    key: bytes | None
    value: bytes | None
    headers: Iterable[tuple[str, bytes | None]]


Read: TypeAlias = Callable[[Topic], AsyncGenerator[Any, None]]
"""Every raw record of a topic; it ends at the end of the topic."""
Opens: TypeAlias = Callable[[Topic, bytes], bool]
"""Whether a sealed value opens for a reader with every right."""


Bury: TypeAlias = Callable[[Topic, bytes], Awaitable[None]]
"""Writes a record without a value under a key."""


class KafkaPlace:
    """The topics of one cluster. read: as `raw_topics.raw_records`; opens: tries to open a value; bury: as `Bury`."""

    name = "Kafka"

    def __init__(self, read: Read, opens: Opens, bury: Bury) -> None:
        self._read, self._opens, self._bury = read, opens, bury

    async def forget(self, person: Person) -> Counter[str]:
        """As `Place.forget`: the person's records in clear on compacted topics, which brokers then drop."""
        return Counter({topic.name: await self._forget(topic, person) for topic in TOPICS if topic.compacted})

    async def _forget(self, topic: Topic, person: Person) -> int:
        key, values = person.user_id.encode(), list[bytes | None]()
        async with aclosing(self._read(topic)) as records:
            async for record in records:
                if key and record.key == key:
                    values.append(record.value)
        if values and values[-1] is not None:
            await self._bury(topic, key)
        return sum(value is not None for value in values)

    async def rewrite(self) -> Sequence[str]:
        """Nothing: the same."""
        return ()

    async def attempt(self, person: Person) -> Mapping[str, Trial]:
        """As `Place.attempt`: every record of every topic, its headers as well."""
        return {topic.name: await self._attempt(topic, person) for topic in TOPICS}

    async def _attempt(self, topic: Topic, person: Person) -> Trial:
        found = Trial()
        async with aclosing(self._read(topic)) as records:
            async for record in records:
                found += self._tried(topic, record, person)
        return found

    def _tried(self, topic: Topic, record: Record, person: Person) -> Trial:
        value = record.value or b""
        own = record.key == person.names[0].encode() or _subject(value) == person.subject
        opened = own and is_sealed(value) and self._opens(topic, value)
        # What is sealed is random bytes, in which a short name may turn up by chance.
        clear = [record.key or b"", *(content or b"" for _, content in record.headers)]
        clear += [] if is_sealed(value) else [value]
        named = any(map(person.named_in, clear))
        stays = topic.marks.erased is Erased.HASHED
        return Trial(1, int(own), int(opened), int(named and not stays), int(named and stays))


def _subject(value: bytes) -> bytes | None:
    """Whose a sealed value is; None for one in clear, or damaged."""
    try:
        return parse(value).subject if is_sealed(value) else None
    except DecodeError:
        return None
