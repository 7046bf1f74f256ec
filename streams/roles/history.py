"""`undertone history`: risk.scored, risk.alerts, memos.dead and care.actions → SQL; and reading them all again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy import Connection

from schemas.pipeline import HISTORY, HISTORY_TOPICS
from schemas.schema_registry import make_codec
from schemas.settings import Settings
from streams.audit.notary import check_notary, keep_signing
from streams.audit.settings import keys_of
from streams.history import operations
from streams.history.agent import HistoryAgent
from streams.history.database import Database
from streams.history.tables import EPOCH
from streams.history.writes import upkeep
from streams.history.writes.positions import Partition
from streams.roles.key_retention import KeyRetention
from streams.roles.lifecycle import run_with_health
from streams.roles.start_events import start_recorded
from workers.kafka.authorization_errors import must_see
from workers.kafka.clients import make_reader
from workers.kafka.connect import started_once, stopped
from workers.service.retry import retry_transient
from workers.service.shutdown import SHUTDOWN

log = logging.getLogger(__name__)

LOOK_S = 0.5


async def run_history(settings: Settings, stop: asyncio.Event) -> None:
    """Store what arrives until `stop` is set.

    With a key for it, also signs heads of the audit trail: no person signs in to this role. With a retention of keys,
    also destroys those that are due. Raises what ended it;
    BrokerRefused without permission, ConfigurationError for a database or settings that cannot be used.
    """
    signs = check_notary(settings)

    async def work() -> None:
        database = await retry_transient(
            lambda: asyncio.to_thread(Database.open, settings), stage=HISTORY, target=upkeep.DATABASE
        )
        async with AsyncExitStack() as exits:
            exits.callback(database.close)
            await exits.enter_async_context(start_recorded(settings, HISTORY, keys_of))
            agent = await exits.enter_async_context(HistoryAgent(settings, make_codec(settings), database))
            if signs:
                signing = asyncio.create_task(keep_signing(settings))
                exits.callback(signing.cancel)
            if settings.keys_retention_s is not None:
                keeping = asyncio.create_task(KeyRetention(settings, settings.keys_retention_s).run())
                exits.callback(keeping.cancel)
            log.info("history: ready", extra={"device": database.engine.dialect.name})
            with SHUTDOWN.on_failure():
                await agent.run(stop)

    await run_with_health(settings, stop, HISTORY, work)


async def rebuild(settings: Settings) -> int:
    """Delete what came from the topics and read them again, to the end that they have now; records that were stored.

    Processes of the role that run meanwhile take part. Raises Transient, BrokerRefused and ConfigurationError.
    """
    async with AsyncExitStack() as exits:
        database = await asyncio.to_thread(Database.open, settings)
        exits.callback(database.close)
        ends = await _offsets(settings, AIOKafkaConsumer.end_offsets)
        agent = await exits.enter_async_context(HistoryAgent(settings, make_codec(settings), database))
        await database.write(upkeep.reset)
        stop = asyncio.Event()
        reading = asyncio.create_task(agent.run(stop))
        try:
            while not reading.done() and not _reached(await database.read(_stored), ends):
                await asyncio.sleep(LOOK_S)
        finally:
            stop.set()
            await reading
        return sum(records for _, records in (await database.read(_stored)).values())


def _reached(stored: Mapping[Partition, tuple[int, int]], ends: Mapping[Partition, int]) -> bool:
    return all(stored.get(at, (0, 0))[0] >= end for at, end in ends.items())


async def lost_by_rebuild(settings: Settings) -> int:
    """How many stored records the topics no longer hold, so that `rebuild` would lose them. Raises as `rebuild`."""
    database = await asyncio.to_thread(Database.open, settings)
    try:
        stored = await database.read(_stored)
    finally:
        database.close()
    begins = await _offsets(settings, AIOKafkaConsumer.beginning_offsets)
    return sum(max(records - max(offset - begins.get(at, 0), 0), 0) for at, (offset, records) in stored.items())


def _stored(connection: Connection) -> dict[Partition, tuple[int, int]]:
    """By partition the next offset, and the records that are stored."""
    found = operations.positions(connection, EPOCH)
    return {(each.topic, each.partition): (each.next_offset, each.records) for each in found}


async def _offsets(
    settings: Settings, ask: Callable[[AIOKafkaConsumer, list[TopicPartition]], Awaitable[Mapping[TopicPartition, int]]]
) -> dict[Partition, int]:
    """What the broker says of every partition of the topics."""
    names = [topic.name for topic in HISTORY_TOPICS]
    reader = await started_once(lambda: make_reader(settings, *names), settings)
    try:
        must_see(reader, *names)
        found = await ask(reader, list(reader.assignment()))
    finally:
        await stopped(reader)
    return {(at.topic, at.partition): offset for at, offset in found.items()}
