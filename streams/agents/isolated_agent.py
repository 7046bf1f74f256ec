"""An agent of which no record stops the others: one that it fails on becomes a dead letter, alone."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from schemas.errors import Poison
from streams.agents.agent_loop import Agent
from workers.consumer.isolation import isolated
from workers.kafka.dead_letters import DeadLetterCap
from workers.kafka.record import Batch, Source
from workers.service import prometheus
from workers.service.health import HEALTH

Failures: TypeAlias = Sequence[tuple[Source, Poison]]


class IsolatedAgent:
    """Processes what `agent` processes, and passes the records that it fails on to `reject`.

    cap: limits those records; reject: writes their dead letters, raises Transient.
    """

    def __init__(
        self, agent: Agent, stage: str, cap: DeadLetterCap, reject: Callable[[Failures], Awaitable[None]]
    ) -> None:
        self._agent, self._stage, self._cap, self._reject = agent, stage, cap, reject

    async def process(self, batch: Batch) -> None:
        """Process these records, and return when all results and dead letters are delivered.

        Raises Transient; DeadLetterCapReached when the agent fails on too many users' records.
        """
        refused = [(source, source.poison) for source in batch.sources if source.poison is not None]
        sources = [source for source in batch.sources if source.poison is None]

        async def work(part: Sequence[Source]) -> None:
            HEALTH.part(self._stage).progress()
            await self._agent.process(Batch(part, batch.results))

        failed = await isolated(work, sources, self._stage) if sources else []
        self._count(sources, failed)
        if failures := refused + failed:
            prometheus.RECORDS_FAILED.labels(stage=self._stage).inc(len(failures))
            await self._reject(failures)

    def _count(self, sources: Sequence[Source], failed: Failures) -> None:
        by_the_agent = {id(source) for source, _ in failed}
        for source in sources:
            self._cap.record(poisoned=id(source) in by_the_agent, user=source.key)
