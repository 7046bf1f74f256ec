"""(b) The agents alone on prepared records, one process, beside bare Faust and bare aiokafka.

Measured twice: two features in and one score out, which the same process then follows, as it does in production; and
scores in, drift updates and alerts out. Every contender has a broker, a Redis and topics of its own, filled before.

"Bare Faust reading and writing the same topics" can be read in two ways, so both stand in the table: bytes moved
unread, and the same records decoded and encoded, which any agent does that makes something of them. The second is the
peer that is judged by: see `pipeline_bare.py`.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from deploy.kafka.server import KafkaServer
from schemas import topics
from schemas.events import Record
from schemas.pipeline import AGENTS_GROUP
from schemas.settings import Settings
from tests.benchmarks.pipeline_measure import Rate, Topics, measured
from tests.benchmarks.pipeline_records import examples, fill, prepared, scores
from tests.servers import RedisServer

USERS = 500
EXAMPLES = 4
"""Memos that the real stages heard."""
AGENTS = ("-m", "streams.cli", "agents")
PEER = "bare Faust"
CONTENDERS = {
    "agents": (AGENTS, AGENTS_GROUP),
    PEER: (("-m", "tests.benchmarks.pipeline_bare", "faust"), "bare-faust"),
    "bare Faust, bytes": (("-m", "tests.benchmarks.pipeline_bare", "faust-bytes"), "bare-faust"),
    "bare aiokafka, bytes": (("-m", "tests.benchmarks.pipeline_bare", "aiokafka"), "bare-faust"),
}
"""What runs, and the group by whose position its progress is told."""


@dataclass(frozen=True, slots=True)
class Story:
    """What lies on a topic before the agents begin. records: makes them; memos: that must be
    followed in the end."""

    title: str
    topic: topics.Topic
    records: Callable[[], Iterable[Record]]
    memos: int


def features(memos: int) -> Story:
    """Both parts of every memo, one after the other."""
    given, days = examples(Settings.load(), EXAMPLES), memos // USERS
    return Story(
        "Two features in, one score out and followed",
        topics.FEATURES,
        lambda: chain.from_iterable(prepared(given, USERS, days)),
        days * USERS,
    )


def followed(memos: int) -> Story:
    """Scores of users who do not change."""
    days = memos // USERS
    return Story("Scores in, drift updates and alerts out", topics.SCORED, lambda: scores(USERS, days), days * USERS)


def through(story: Story, contender: str) -> Rate:
    """One contender on a broker and a Redis of its own; a memo counts once the position is past its score."""
    command, group = CONTENDERS[contender]
    with KafkaServer() as kafka, RedisServer() as redis:
        environment = {**os.environ, "KAFKA_BOOTSTRAP": kafka.bootstrap, "REDIS_URL": redis.url}
        subprocess.run([sys.executable, "-m", "streams.cli", "topics", "create"], env=environment, check=True)
        fill(kafka.bootstrap, story.topic.name, story.records())
        beside = Topics(kafka.bootstrap)
        return measured(command, environment, lambda: beside.committed(topics.SCORED.name, group), story.memos)


def beside_bare(memos: int) -> Iterator[str]:
    """Both stories by every contender, as lines of Markdown."""
    for story in (features(memos), followed(memos)):
        rates = {name: through(story, name) for name in CONTENDERS}
        peer = rates[PEER]
        yield from (f"### {story.title}", "", f"{story.memos:,} memos of {USERS} users.", "")
        yield "process | memos/s | of bare Faust | memos/s of its CPU | of bare Faust | MiB at a tenth | half | the end"
        yield "---|---|---|---|---|---|---|---"
        for name, rate in rates.items():
            shares = f"{rate.wall:,.0f} | {rate.wall / peer.wall:.2f} | {rate.cpu:,.0f} | {rate.cpu / peer.cpu:.2f}"
            yield f"{name} | {shares} | {in_mib(rate.memory)}"
        yield ""


def flat(memos: int) -> Iterator[str]:
    """The agents' memory over many memos."""
    rate = through(features(memos), "agents")
    yield from ("### Memory", "", f"The agents over {memos:,} memos: MiB at a tenth, half and the end")
    yield f"{in_mib(rate.memory)}; {rate.wall:,.0f} memos/s, {rate.cpu:,.0f} a second of CPU."


def in_mib(memory: Sequence[float]) -> str:
    """Cells of a table."""
    return " | ".join(f"{mib:.0f}" for mib in memory)
