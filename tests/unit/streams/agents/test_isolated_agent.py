"""A record that an agent fails on becomes a dead letter; the others are processed."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from schemas.errors import DeadLetterCapReached, Transient
from streams.agents.isolated_agent import Failures, IsolatedAgent
from workers.kafka.dead_letters import DeadLetterCap
from workers.kafka.record import Batch, Source, Unread, source_of


@dataclass
class Fragile:
    """Fails on the value `bad`."""

    error: Exception = field(default_factory=OverflowError)
    processed: list[bytes | None] = field(default_factory=list)

    async def process(self, batch: Batch) -> None:
        values = [source.value for source in batch.sources]
        if b"bad" in values:
            raise self.error
        self.processed += values


class World:
    def __init__(self, agent: Fragile, max_run: int = 3) -> None:
        self.agent, self.rejected = agent, []  # type: tuple[Fragile, list[tuple[bytes | None, str]]]
        self.isolated = IsolatedAgent(agent, "fusion", DeadLetterCap(1.0, 1000, max_run), self.reject)

    async def reject(self, failures: Failures) -> None:
        self.rejected += [(source.key, poison.reason) for source, poison in failures]

    async def process(self, *values: bytes) -> None:
        await self.isolated.process(Batch([source(n, value) for n, value in enumerate(values)]))


def source(offset: int, value: bytes) -> Source:
    key = f"user-{offset}".encode()
    record = SimpleNamespace(topic="t", partition=0, offset=offset, key=key, value=value, headers=())
    return source_of(record, None)


async def test_a_record_that_fails_is_rejected_alone() -> None:
    world = World(Fragile())
    await world.process(b"1", b"bad", b"2", b"3")
    assert world.agent.processed == [b"1", b"2", b"3"]
    assert world.rejected == [(b"user-1", "defect:OverflowError")]


async def test_a_value_that_was_not_read_never_reaches_the_agent() -> None:
    world = World(Fragile())
    await world.process(b"1", Unread.because("event:too_large", "too large"), b"2")
    assert world.agent.processed == [b"1", b"2"]
    assert world.rejected == [(b"user-1", "event:too_large")]


async def test_nothing_is_rejected_when_a_server_is_away() -> None:
    world = World(Fragile(Transient("redis is away")))
    with pytest.raises(Transient):
        await world.process(b"1", b"bad")
    assert world.rejected == []


async def test_an_agent_that_fails_on_everybody_stops_at_the_cap_and_rejects_nothing() -> None:
    world = World(Fragile())
    with pytest.raises(DeadLetterCapReached):
        await world.process(b"bad", b"bad", b"bad", b"bad")
    assert world.rejected == []
