"""`python -m tests.benchmarks.pipeline_bare faust|aiokafka`: what the agents stand beside.

Both read memos.features and write one record of a score's size to risk.scored for every two, with nothing in between:
no decoding, no state, no promise. Faust takes batches as the agents do, and acknowledges as its documentation has it.
"""

import asyncio
import os
import sys
import tempfile
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas import topics
from schemas.settings import Settings

TAKE_WITHIN_S = 0.05
SCORE = os.urandom(900)
"""As long as an encoded score."""


def bare_faust(settings: Settings) -> None:
    app = faust.App(
        "bare-faust", broker=f"kafka://{settings.kafka_bootstrap}", store="memory://", web_enabled=False,
        topic_allow_declare=False, topic_disable_leader=True, topic_partitions=settings.partitions,
        consumer_auto_offset_reset="earliest", producer_acks=-1, reply_create_topic=False, datadir=tempfile.mkdtemp(),
    )  # fmt: skip
    read, written = (
        app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
        for name in (topics.FEATURES.name, topics.SCORED.name)
    )

    @app.agent(read)
    async def take(stream: Any) -> None:
        async for values in stream.take(settings.agent_batch, within=TAKE_WITHIN_S):
            sent = [await written.send(key=b"user", value=SCORE) for _ in range(len(values) // 2)]
            await asyncio.gather(*sent)

    sys.argv = ["faust", "worker", "--loglevel", "error", "--without-web"]
    app.main()


async def bare_aiokafka(settings: Settings) -> None:
    consumer = AIOKafkaConsumer(
        topics.FEATURES.name,
        bootstrap_servers=settings.kafka_bootstrap,
        group_id="bare-aiokafka",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    async with consumer, AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap, acks="all") as producer:
        while True:
            for records in (await consumer.getmany(timeout_ms=100, max_records=settings.agent_batch)).values():
                sent = [await producer.send(topics.SCORED.name, SCORE, b"user") for _ in range(len(records) // 2)]
                await asyncio.gather(*sent)
            await consumer.commit()


if __name__ == "__main__":
    if sys.argv[1] == "faust":
        bare_faust(Settings.load())
    else:
        asyncio.run(bare_aiokafka(Settings.load()))
