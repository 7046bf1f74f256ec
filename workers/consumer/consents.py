"""Who may be listened to: the last word of everybody on `care.consents`, looked up before a memo is read.

A process reads the topic whole when it first needs it, and from then on what was added. So a word that Kafka has
acknowledged holds for every memo that is read after it, and a worker needs no Redis. Words are kept by the key of their
record, which is the subject where they are sealed: a person who was erased and returns is a new one here as well.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from schemas.codec import Codec, DecodeError
from schemas.errors import Erased, Transient, Unknown
from schemas.event_enums import ConsentState
from schemas.events import Consent
from schemas.reasons import CONSENT
from schemas.settings import Settings
from schemas.topics import CONSENTS
from workers.kafka.authorization_errors import must_see, refusal
from workers.kafka.clients import METADATA_AGE_S, make_raw_reader
from workers.kafka.connect import outage, started_once, stopped
from workers.privacy.clear_records import Opened, Outcome
from workers.privacy.sealing import Sealing, sealing_of

log = logging.getLogger(__name__)

ANSWER_S = 30.0
"""Seconds without a record after which a reading that has not reached the end gives up."""
MISSING = f"{CONSENT}missing"


class Standing(NamedTuple):
    """The last word of one person. written_ms: when Kafka took it, Unix milliseconds."""

    state: ConsentState
    written_ms: int

    @property
    def since(self) -> datetime:
        """When Kafka took it."""
        return datetime.fromtimestamp(self.written_ms / 1000, UTC)


def refused_by(standing: Standing | None, *, required: bool) -> str | None:
    """Why no memo of a person is read, as the reason of an abstention; None where they are read.

    required: whether who never said anything is not listened to. What only a newer version knows is no consent.

    >>> refused_by(Standing(ConsentState.PAUSED, 0), required=False), refused_by(None, required=True)
    ('consent:paused', 'consent:missing')
    """
    if standing is None:
        return MISSING if required else None
    if standing.state is ConsentState.GIVEN:
        return None
    return MISSING if standing.state is ConsentState.UNKNOWN else f"{CONSENT}{standing.state}"


class Permission(Protocol):
    """Says whose memos may be read."""

    async def refresh(self) -> None:
        """Return when everything is known that was said before the call. Raises Transient, BrokerRefused."""

    def refusal(self, user_id: str) -> str | None:
        """Why no memo of this person is read, None where they are. In a thread: it may block. Raises Transient."""


class Words:
    """The last word under each key of the topic."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._known: dict[bytes, Standing] = {}

    def take(self, record: Any, outcome: Outcome) -> None:
        """One record, and what became of it at the border of sealing. One that cannot be read changes nothing."""
        key: bytes = record.key or b""
        if record.value is None or isinstance(outcome, Erased):
            self._known.pop(key, None)
            return
        if not isinstance(outcome, Opened):
            log.warning("a consent that does not open is passed over: %s", outcome)
            return
        try:
            consent = self._codec.decode(outcome.value, Consent)
        except DecodeError as error:
            log.warning("a consent that cannot be read is passed over: %s", error)
            return
        if outcome.key != consent.user_id.encode():
            log.warning("a consent under the key of somebody else is passed over")
            return
        self._known[key] = Standing(consent.state, record.timestamp)

    def of(self, keys: Iterable[bytes]) -> Standing | None:
        """The last word under any of a person's keys: two, once the topic was sealed or is not any more."""
        return max((self._known[key] for key in keys if key in self._known), key=_written, default=None)


def _written(standing: Standing) -> int:
    return standing.written_ms


class Consents:
    """What was said, as a broker has it. `async with open_consents(settings, codec) as consents`."""

    def __init__(self, settings: Settings, codec: Codec, sealing: Sealing) -> None:
        self._settings, self._sealing, self._words = settings, sealing, Words(codec)
        self._required = settings.consent == "required"
        self._reader: AIOKafkaConsumer | None = None
        self._looked_at = -METADATA_AGE_S
        self._turn = asyncio.Lock()
        self._asked = self._answered = 0

    async def refresh(self) -> None:
        """As `Permission.refresh`. Who asks meanwhile shares the next reading."""
        self._asked += 1
        mine = self._asked
        async with self._turn:
            if self._answered >= mine:
                return
            begun = self._asked
            try:
                await self._read()
            except (KafkaError, TimeoutError) as error:
                if refused := refusal(error):
                    raise refused from error
                raise outage(error) or _unanswered(error) or error from error
            self._answered = begun

    def refusal(self, user_id: str) -> str | None:
        """As `Permission.refusal`, by what the last `refresh` read."""
        return refused_by(self._words.of(_keys_now(self._sealing, user_id)), required=self._required)

    async def standing(self, user_id: str) -> Standing | None:
        """The last word of a person, None for somebody who never said anything. Raises as `refresh`."""
        await self.refresh()
        return self._words.of(await self._sealing.keys_of(user_id))

    async def close(self) -> None:
        """Disconnect."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await stopped(reader)

    async def _read(self) -> None:
        reader = await self._connected()
        if reader is None:
            return
        must_see(reader, CONSENTS.name)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(ANSWER_S) as patience:
            ends: Mapping[Any, int] = await reader.end_offsets(list(reader.assignment()))
            reader.resume(*ends)
            try:
                while any([await reader.position(at) < end for at, end in ends.items()]):
                    if fetched := await reader.getmany(timeout_ms=200):
                        await self._take(reader, fetched)
                        patience.reschedule(loop.time() + ANSWER_S)
            finally:
                # A fetch that waits for records would hold up the next request for the ends.
                reader.pause(*ends)

    async def _connected(self) -> AIOKafkaConsumer | None:
        """The reader; None while there is no topic, so that no one can have said anything.

        Raises Transient for a missing topic where a consent is required.
        """
        if self._reader is None and time.monotonic() - self._looked_at >= METADATA_AGE_S:
            try:
                self._reader = await started_once(
                    lambda: make_raw_reader(self._settings, CONSENTS.name), self._settings
                )
            except UnknownTopicOrPartitionError:
                self._looked_at = time.monotonic()
        if self._reader is None and self._required:
            raise Transient(f"{CONSENTS.name} does not exist: `undertone topics create` creates it")
        return self._reader

    async def _take(self, reader: AIOKafkaConsumer, fetched: Mapping[Any, list[Any]]) -> None:
        """Take records, all or none: those that do not open yet are read again."""
        records = [record for some in fetched.values() for record in some]
        try:
            outcomes = _all_of(await self._sealing.opened(records))
        except BaseException:
            for at, some in fetched.items():
                reader.seek(at, some[0].offset)
            raise
        for record, outcome in zip(records, outcomes, strict=True):
            self._words.take(record, outcome)


def _keys_now(sealing: Sealing, user: str) -> set[bytes]:
    """The keys of Kafka that words of a person have, in a thread: it blocks. Raises Transient."""
    keys = {user.encode()}
    with suppress(Erased, Unknown):
        if sealing.has_keys:
            sealing.keyring.warm_now([user])
            keys.add(sealing.keyring.subject(user).hex().encode())
    return keys


def _all_of(outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
    """The outcomes. Raises the first that is Transient."""
    for outcome in outcomes:
        if isinstance(outcome, Transient):
            raise outcome
    return outcomes


def _unanswered(error: BaseException) -> Transient | None:
    if not isinstance(error, TimeoutError):
        return None
    return Transient(f"KAFKA_BOOTSTRAP: the brokers of {CONSENTS.name} do not answer")


@asynccontextmanager
async def open_consents(settings: Settings, codec: Codec) -> AsyncIterator[Consents]:
    """What was said, until the block ends. It connects when it is asked first."""
    consents = Consents(settings, codec, sealing_of(settings))
    try:
        yield consents
    finally:
        await consents.close()
