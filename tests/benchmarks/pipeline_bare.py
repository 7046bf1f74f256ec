"""`python -m tests.benchmarks.pipeline_bare faust|faust-bytes|aiokafka`: what the agents stand beside.

All of them read and write the topics of the agents, and do nothing else: no joins, no scoring, no state, no promise.

* `faust`: two Faust agents as its documentation writes them, with `take`. One reads and decodes memos.features, as
  any agent must that does something with them, and encodes and writes one score for every two. The other reads and
  decodes risk.scored and writes one alert for every ALERT_EVERY. Same codec, same acknowledgements by the broker.
* `faust-bytes`: the same without decoding or encoding: bytes in, as many bytes out.
* `aiokafka`: the same bytes in and out without Faust.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas import topics
from schemas.codec import Codec
from schemas.events import Band, Evidence, MemoFeatures, Modality, RiskScored
from schemas.settings import Settings
from streams.agents.faust_app import COMMIT_EVERY_S

TAKE_WITHIN_S = 0.05
ALERT_EVERY = 400
"""Scores; about as often as users without any change are alarmed."""
CODEC = Codec()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCORE = RiskScored(
    "00000000-0000-0000-0000-000000000000", "memo-0", "user-0", NOW, NOW, NOW, 0.5, Band.LOW, (),
    tuple(Evidence(f"marker_{number}", 0.5, 0.5, False) for number in range(5)),
    (Modality.ACOUSTIC, Modality.EMBEDDING), "a-bundle-0123456789ab",
)  # fmt: skip
ENCODED = CODEC.encode(SCORE)


def bare_faust(settings: Settings, read: Callable[[Any, type], object], written: Callable[[], bytes]) -> None:
    """Two Faust agents. read: what is done with the value of a record; written: the value of a score or an alert."""
    app = faust.App(
        "bare-faust", broker=f"kafka://{settings.kafka_bootstrap}", store="memory://", web_enabled=False,
        topic_allow_declare=False, topic_disable_leader=True, topic_partitions=settings.partitions,
        consumer_auto_offset_reset="earliest", producer_acks=-1, reply_create_topic=False, datadir=tempfile.mkdtemp(),
        broker_commit_interval=COMMIT_EVERY_S,
    )  # fmt: skip
    features, scored, alerts = (
        app.topic(topic.name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
        for topic in (topics.FEATURES, topics.SCORED, topics.ALERTS)
    )

    def hop(source: Any, record: type, to: Any, every: int) -> None:
        async def take(stream: Any) -> None:
            due = 0
            async for values in stream.take(settings.agent_batch, within=TAKE_WITHIN_S):
                for value in values:
                    read(value, record)
                due += len(values)
                await asyncio.gather(*[await to.send(key=b"user-0", value=written()) for _ in range(due // every)])
                due %= every

        app.agent(source, name=to.get_topic_name())(take)

    hop(features, MemoFeatures, scored, 2)
    hop(scored, RiskScored, alerts, ALERT_EVERY)
    sys.argv = ["faust", "worker", "--loglevel", "error", "--without-web"]
    app.main()


async def bare_aiokafka(settings: Settings) -> None:
    """The same bytes in and out with the client that Faust uses."""
    consumer = AIOKafkaConsumer(
        topics.FEATURES.name,
        topics.SCORED.name,
        bootstrap_servers=settings.kafka_bootstrap,
        group_id="bare-faust",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    due = {topics.FEATURES.name: 0, topics.SCORED.name: 0}
    ways = {topics.FEATURES.name: (topics.SCORED.name, 2), topics.SCORED.name: (topics.ALERTS.name, ALERT_EVERY)}
    async with consumer, AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap, acks="all") as producer:
        while True:
            batches: dict[Any, Sequence[Any]] = await consumer.getmany(timeout_ms=100, max_records=settings.agent_batch)
            for at, records in batches.items():
                to, every = ways[at.topic]
                due[at.topic] += len(records)
                sent = [await producer.send(to, ENCODED, b"user-0") for _ in range(due[at.topic] // every)]
                due[at.topic] %= every
                await asyncio.gather(*sent)
            await consumer.commit()


if __name__ == "__main__":
    os.environ.setdefault("UNDERTONE_AGENT_BATCH", "500")
    if sys.argv[1] == "faust":
        bare_faust(Settings.load(), CODEC.decode, lambda: CODEC.encode(SCORE))
    elif sys.argv[1] == "faust-bytes":
        bare_faust(Settings.load(), lambda value, record: value, lambda: ENCODED)
    else:
        asyncio.run(bare_aiokafka(Settings.load()))
