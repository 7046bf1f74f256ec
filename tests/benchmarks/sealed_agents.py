"""What sealing costs the agents: CPU of their process, with and without. `python -m tests.benchmarks.sealed_agents`

The agents as in production, on real Kafka and Redis, on records that were written before, with headers: a process that
does not seal and one that does, by turns, so that whatever disturbs the machine disturbs both. Each has servers and a
home of its own and gets the same memos; what is compared is the CPU of a memo, from a tenth of the way to its end.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median

from deploy.kafka.server import KafkaServer
from schemas import topics
from schemas.events import Record
from schemas.headers import headers_of
from schemas.pipeline import AGENTS_GROUP
from schemas.settings import Settings
from tests.benchmarks.machine import provenance
from tests.benchmarks.pipeline_agents import AGENTS, Story, features, followed
from tests.benchmarks.pipeline_measure import Topics, measured
from tests.benchmarks.pipeline_records import CODEC, put, user_of
from tests.servers import RedisServer
from workers.privacy.clear_records import Written
from workers.privacy.sealing import Sealing

RESULTS = Path(__file__).parent / "results" / "sealed_agents.md"
MEMOS, TURNS = 10_000, 5
AT_ONCE = 500
"""Records that are sealed together."""


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memos", type=int, default=MEMOS)
    parser.add_argument("--turns", type=int, default=TURNS)
    chosen = parser.parse_args()
    command = f"python -m tests.benchmarks.sealed_agents --memos {chosen.memos} --turns {chosen.turns}"
    lines = ["# What sealing costs the agents", "", provenance(command), ""]
    for story in (features(chosen.memos), followed(chosen.memos)):
        lines += _compared(story, chosen.turns)
    RESULTS.write_text("\n".join(lines).rstrip() + "\n")
    print(RESULTS.read_text())


def _compared(story: Story, turns: int) -> Iterator[str]:
    """Lines of Markdown of one story."""
    taken = [(_cpu_us(story, "off"), _cpu_us(story, "on")) for _ in range(turns)]
    yield from (f"## {story.title}", "", f"{story.memos:,} memos of one process; CPU of a memo, µs.", "")
    yield from ("turn | without sealing | with sealing | ratio", "---|---|---|---")
    for number, (clear, sealed) in enumerate(taken, 1):
        yield f"{number} | {clear:.0f} | {sealed:.0f} | {sealed / clear:.3f}"
    ratios = [sealed / clear for clear, sealed in taken]
    yield from ("", f"Median {median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}.", "")


def _cpu_us(story: Story, seal: str) -> float:
    """CPU microseconds of a memo in a process of its own, with servers of its own."""
    with KafkaServer() as kafka, RedisServer() as redis, tempfile.TemporaryDirectory() as home:
        here = {"KAFKA_BOOTSTRAP": kafka.bootstrap, "REDIS_URL": redis.url, "UNDERTONE_HOME": home}
        environment = {**os.environ, **here, "UNDERTONE_SEAL": seal}
        subprocess.run([sys.executable, "-m", "streams.cli", "topics", "create"], env=environment, check=True)
        settings = Settings.load(home=Path(home), seal=seal)
        put(kafka.bootstrap, story.topic.name, _written(settings, story.topic, story.records()))
        beside = Topics(kafka.bootstrap)
        rate = measured(AGENTS, environment, lambda: beside.committed(topics.SCORED.name, AGENTS_GROUP), story.memos)
        return 1e6 / rate.cpu


def _written(settings: Settings, topic: topics.Topic, records: Iterable[Record]) -> Iterator[Written]:
    """The records as a worker writes them, sealed where the settings say so."""
    sealing = Sealing(settings)
    with asyncio.Runner() as runner:
        pending: list[Record] = []
        for record in records:
            pending.append(record)
            if len(pending) == AT_ONCE:
                yield from runner.run(_sealed(sealing, topic, pending))
                pending = []
        yield from runner.run(_sealed(sealing, topic, pending))
    sealing.close()


async def _sealed(sealing: Sealing, topic: topics.Topic, records: Sequence[Record]) -> list[Written]:
    if sealing.is_on:
        await sealing.ready()
        await sealing.keyring.warm([user_of(record).decode() for record in records], enrol=True)
    found = []
    for record in records:
        headers = headers_of(record, "benchmark", None)
        written = await sealing.sealed(topic.name, user_of(record), CODEC.encode(record), headers)
        assert written is not None, "nobody was erased"
        found.append(written)
    return found


if __name__ == "__main__":
    main()
