"""Whether producers put each user where Undertone looks for them: the keys of the newest uploads."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from zlib import crc32

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from schemas.topics import UPLOADED
from streams.doctor.examination import Patient
from streams.doctor.finding import Finding, failed, ok, skipped
from streams.doctor.kafka.broker import CLUSTER
from streams.doctor.kafka.requests import Cluster
from workers.kafka.authorization_errors import refusal
from workers.kafka.clients import make_sampler
from workers.kafka.connect import stopped
from workers.kafka.partitioner import partition_of

NEWEST = 20
"""Records of each partition that are looked at."""
READ_S = 6.0
SAMPLES = "newest uploads"
"""What `partitioner` leaves in `Patient.known`, for the check of clocks."""
FIX = "set the producer's partitioner to murmur2 (librdkafka: partitioner=murmur2_random; docs/schemas.md)"


def _fnv1a(key: bytes, count: int) -> int:
    """Sarama's hash partitioner: 32-bit FNV-1a as a signed number, its sign dropped."""
    value = 0x811C9DC5
    for byte in key:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return abs(value - (1 << 32) if value >> 31 else value) % count


OTHERS: Mapping[str, Callable[[bytes, int], int]] = {
    "CRC32, the default of librdkafka (confluent-kafka for Python, Go, .NET; node-rdkafka)": (
        lambda key, count: crc32(key) % count
    ),
    "FNV-1a, the default of Sarama": _fnv1a,
}
"""Partitioners of other clients, by what uses them."""


async def partitioner(patient: Patient) -> Finding:
    """Every key of the newest uploads lies on the partition that murmur2 gives, as Undertone's own producers write."""
    cluster: Cluster = patient.known[CLUSTER]
    there = cluster.topics.get(UPLOADED.name)
    if there is None or there.error is not None:  # a client that asks for it could create it
        return skipped(f"{UPLOADED.name} is not there, or not shown to this user")
    try:
        records, count = await _newest(patient)
    except KafkaError as error:
        if refused := refusal(error):
            return skipped(f"the newest uploads cannot be read: {refused}", "run it as a user who may read them")
        return skipped(f"the newest uploads cannot be read ({type(error).__name__})")
    patient.known[SAMPLES] = records
    if not records:
        return skipped(f"{UPLOADED.name} holds no records yet", "look again when a producer has written some")
    if keyless := sum(record.key is None for record in records):
        return failed(
            f"{keyless} of the {len(records)} newest records on {UPLOADED.name} have no key",
            "give every record its user_id as key: without it a user's memos lose their order",
        )
    return judged([(record.key or b"", record.partition) for record in records], count)


def judged(places: list[tuple[bytes, int]], count: int) -> Finding:
    """What keys and the partitions that they lie on say of the producers. count: of partitions."""
    if count == 1:
        return ok("one partition: every partitioner agrees")
    wrong = [(key, at) for key, at in places if partition_of(key, count) != at]
    if not wrong:
        return ok(f"the {len(places)} newest records on {UPLOADED.name} lie where murmur2 puts their keys")
    by = [name for name, place in OTHERS.items() if all(place(key, count) == at for key, at in wrong)]
    why = f"a producer partitions by {by[0]}" if by else "a producer has another partitioner, or partitions were added"
    return failed(
        f"{len(wrong)} of the {len(places)} newest records on {UPLOADED.name} lie on another partition than murmur2 "
        f"gives: {why}; memos of one user are then processed apart, out of order",
        FIX,
    )


async def _newest(patient: Patient) -> tuple[list[ConsumerRecord], int]:
    """The newest records of every partition, and the number of partitions."""
    reader = make_sampler(patient.settings, UPLOADED.name)
    try:
        await reader.start()
        partitions = sorted(reader.assignment())
        starts, ends = await reader.beginning_offsets(partitions), await reader.end_offsets(partitions)
        expected = {}
        for at in partitions:
            first = max(starts[at], ends[at] - NEWEST)
            reader.seek(at, first)
            if first < ends[at]:
                expected[at] = ends[at]
            else:
                reader.pause(at)
        return await _read(reader, expected), len(partitions)
    finally:
        await stopped(reader)


async def _read(reader: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> list[ConsumerRecord]:
    """The records before these offsets; those that came when READ_S is over."""
    found: list[ConsumerRecord] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(READ_S):
            while ends:
                for records in (await reader.getmany(timeout_ms=200)).values():
                    found += records
                for at in [at for at, end in ends.items() if await reader.position(at) >= end]:
                    del ends[at]
                    reader.pause(at)
    return found
