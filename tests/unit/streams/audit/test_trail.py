"""Writing audit events as chains."""

import asyncio

import pytest
from aiokafka.errors import KafkaTimeoutError, TopicAuthorizationFailedError

from schemas.audit_chain import event_hash, event_mac
from schemas.audit_keys import KEYED, AuditKeys
from schemas.errors import Transient
from schemas.events import AuditEvent
from schemas.topics import AUDIT as TOPIC
from schemas.topics import Topic
from streams.audit.trail import CHAINS, Chains, KafkaAuditTrail
from tests.unit.schemas.records import AUDIT


class Log:
    """Events that were sent. open: sending waits until it is set; fails: raised by the next event, which is kept."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.open = asyncio.Event()
        self.open.set()
        self.fails: Exception | None = None
        self.waiting = 0

    async def send(self, event: AuditEvent) -> None:
        self.events.append(event)
        self.waiting += 1
        await self.open.wait()
        self.waiting -= 1
        if self.fails is not None:
            failed, self.fails = self.fails, None
            raise failed


async def test_events_one_after_another_are_one_chain() -> None:
    log = Log()
    chains = Chains(log.send, AuditKeys.of(b"secret"))
    for _ in range(3):
        await chains.write(AUDIT)
    assert len({event.writer for event in log.events}) == 1
    assert [event.seq for event in log.events] == [1, 2, 3]
    assert [event.prev for event in log.events] == [None, log.events[0].hash, log.events[1].hash]
    assert all(event_hash(event) == event.hash for event in log.events)
    key = AuditKeys.of(b"secret").events
    assert key is not None
    assert all(event.mac == event_mac(str(event.hash), key) for event in log.events)
    assert all(person.startswith(KEYED) for event in log.events for person in event.user_ids)


async def test_events_at_once_are_chains_of_their_own_and_no_more_than_there_may_be() -> None:
    log = Log()
    log.open.clear()
    chains = Chains(log.send)
    writing = [asyncio.create_task(chains.write(AUDIT)) for _ in range(CHAINS + 8)]
    while log.waiting < CHAINS:
        await asyncio.sleep(0)
    assert len({event.writer for event in log.events}) == len(log.events) == CHAINS
    log.open.set()
    await asyncio.gather(*writing)
    assert len({event.writer for event in log.events}) == CHAINS
    assert len(log.events) == CHAINS + 8
    for writer in {event.writer for event in log.events}:
        own = [event.seq for event in log.events if event.writer == writer]
        assert own == list(range(1, len(own) + 1))


async def test_a_chain_ends_with_the_event_of_which_nobody_knows() -> None:
    log = Log()
    chains = Chains(log.send)
    await chains.write(AUDIT)
    log.fails = Transient("no answer")
    with pytest.raises(Transient):
        await chains.write(AUDIT)
    await chains.write(AUDIT)
    first, unknown, last = log.events
    assert unknown.writer == first.writer != last.writer
    assert (last.seq, last.prev) == (1, None)


async def test_a_chain_ends_where_writing_was_cancelled() -> None:
    log = Log()
    log.open.clear()
    chains = Chains(log.send)
    writing = asyncio.create_task(chains.write(AUDIT))
    while not log.waiting:
        await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    log.open.set()
    await chains.write(AUDIT)
    assert log.events[0].writer != log.events[1].writer


class Publisher:
    """Remembers, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.published: list[tuple[Topic, str]] = []

    async def publish(self, topic: Topic, key: str, record: AuditEvent) -> None:
        if self.error is not None:
            raise self.error
        self.published.append((topic, key))


async def test_an_event_goes_to_its_topic_under_its_actor() -> None:
    publisher = Publisher()
    await KafkaAuditTrail(publisher).record(AUDIT)
    assert publisher.published == [(TOPIC, AUDIT.actor)]


@pytest.mark.parametrize("error", [KafkaTimeoutError(), TopicAuthorizationFailedError()])
async def test_whatever_hinders_an_event_is_transient(error: Exception) -> None:
    with pytest.raises(Transient):
        await KafkaAuditTrail(Publisher(error)).record(AUDIT)
