"""Redriving dead letters from the page: the same selection, checks and counting as `undertone dead-letters redrive`."""

from dataclasses import dataclass

from aiokafka import AIOKafkaProducer

from schemas.codec import Codec
from schemas.settings import Settings
from streams.recovery import redrive as recovery
from streams.recovery.redrive import DeadLetterFilter, Selection
from workers.state.store import Store


@dataclass(frozen=True, slots=True)
class Redriven:
    """Records that were, or would be, redriven; dead letters that are refused, and those that were redriven before."""

    records: int
    refused: int
    before: int


async def preview(settings: Settings, codec: Codec, store: Store, wanted: DeadLetterFilter) -> Redriven:
    """What `redrive` would do now. Raises Transient, BrokerRefused, KafkaError."""
    chosen, before = await _chosen(settings, codec, store, wanted)
    return Redriven(len(chosen.records), len(chosen.refused), before)


async def redrive(
    settings: Settings, codec: Codec, store: Store, producer: AIOKafkaProducer, wanted: DeadLetterFilter
) -> Redriven:
    """Redrive once what matches and was not redriven before. Raises Transient, BrokerRefused, KafkaError."""
    chosen, before = await _chosen(settings, codec, store, wanted)
    if chosen.records:
        chosen = await recovery.redrive(chosen, producer, store)
    return Redriven(len(chosen.records), len(chosen.refused), before)


async def _chosen(settings: Settings, codec: Codec, store: Store, wanted: DeadLetterFilter) -> tuple[Selection, int]:
    found = await recovery.find(settings, codec, store, wanted)
    chosen = await recovery.verified(settings, codec, recovery.select(found, again=False))
    return chosen, sum(each.redriven > 0 for each in found)
