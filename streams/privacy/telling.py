"""What receivers outside are informed of an erasure: which episodes end, and which recordings were the person's.

It is read after the person is refused and before the keys are destroyed: nothing new enters any more, and topics still
open for the erasure itself, though for no one else.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from schemas.codec import Codec, DecodeError
from schemas.errors import Poison, Transient, UndertoneError, Unknown
from schemas.event_enums import AlertState
from schemas.events import MemoUploaded, RiskAlert
from schemas.sealed_frame import is_sealed
from schemas.topics import ALERTS, UPLOADED, Topic
from streams.privacy.kafka_place import Read
from streams.privacy.places import Person
from streams.privacy.steps import Facts, timestamp
from workers.privacy.erasing_keys import ErasingKeys
from workers.privacy.key_directory import KeyDirectory


@dataclass(frozen=True, slots=True)
class Told:
    """Of one person. episodes: the last step of each that is open; recordings: addresses, as the platform gave them."""

    user_id: str
    subject: bytes
    episodes: Sequence[RiskAlert] = ()
    recordings: Sequence[str] = ()


Tell: TypeAlias = Callable[
    [str, bytes, Sequence[RiskAlert], Sequence[str]], Awaitable[Mapping[str, UndertoneError | None]]
]
"""Informs each receiver once of such fields; by its name why that failed, Poison where it is for ever."""


async def tell_all(tell: Tell, find: Callable[[], Awaitable[Told]], started_at: datetime, wait_s: float) -> Facts:
    """Tell every receiver; what the certificate says of it.

    find: reads what to tell; started_at: when the erasure was asked for; wait_s: as UNDERTONE_ERASURE_TELL_S.
    Raises Transient while a receiver that does not answer, or Kafka, may still do so within that time.
    """
    late = datetime.now(UTC) - started_at > timedelta(seconds=wait_s)
    try:
        told = await find()
        outcomes = await tell(told.user_id, told.subject, told.episodes, told.recordings)
    except Transient as error:
        if not late:
            raise
        return {"at": timestamp(datetime.now(UTC)), "receivers": {}, "failed": str(error)}
    waiting = [name for name, error in outcomes.items() if error is not None and not isinstance(error, Poison)]
    if waiting and not late:
        why = "; ".join(f"{name}: {outcomes[name]}" for name in waiting)
        raise Transient(f"receivers could not be informed yet, and no key is destroyed before ({why})")
    receivers = {name: "delivered" if error is None else f"failed: {error}" for name, error in outcomes.items()}
    counts = {"episodes": len(told.episodes), "recordings": len(told.recordings)}
    return {"at": timestamp(datetime.now(UTC)), "receivers": receivers, **counts}


async def what_to_tell(read: Read, directory: KeyDirectory, codec: Codec, person: Person) -> Told:
    """Read what the person's topics say that is still there, sealed or in clear. Raises Transient."""
    keys = await asyncio.to_thread(ErasingKeys.of, directory, person.user_id, person.subject)
    uris = [memo.audio_uri async for memo in _records(read, keys, codec, UPLOADED, person)]
    last: dict[str, RiskAlert] = {}
    async for alert in _records(read, keys, codec, ALERTS, person):
        last[alert.dedup_key] = alert
    episodes = [alert for alert in last.values() if alert.state is not AlertState.RESOLVED]
    return Told(person.user_id, person.subject, tuple(episodes), tuple(dict.fromkeys(uris)))


async def _records(read: Read, keys: ErasingKeys, codec: Codec, topic: Topic, person: Person) -> AsyncIterator[Any]:
    """The person's records of a topic that open and can be decoded."""
    async with aclosing(read(topic)) as records:
        async for record in records:
            if record.value and (record.key or b"").decode(errors="replace") in person.names:
                decoded = _decoded(keys, codec, topic, record.value)
                if isinstance(decoded, MemoUploaded | RiskAlert):
                    yield decoded


def _decoded(keys: ErasingKeys, codec: Codec, topic: Topic, value: bytes) -> object:
    try:
        if is_sealed(value):
            value = keys.unseal(topic.name, topic.record.__name__, value)
        return codec.decode(value, topic.record)
    except (DecodeError, Poison, Unknown):
        return None
