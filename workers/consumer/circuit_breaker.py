"""Circuit breaker: when too many records fail, wait, retry one of them, then continue or stop.

    closed ──cap exceeded──▶ open ──back-off──▶ half-open ──one record succeeds──▶ closed; failed records are retried
                                                    └──it fails again──▶ the worker stops

A store that rejects all requests for some seconds thus costs some seconds, and a bad deploy at most as many dead
letters as the cap allows.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from schemas.errors import DeadLetterCapReached, Poison
from workers.consumer.stage import Outcome
from workers.kafka.dead_letters import DeadLetterCap

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Settled(Generic[T, R]):
    """A record, its outcome, and whose record it is; None if unknown."""

    record: T
    outcome: Outcome[R]
    user: Hashable = None


Again: TypeAlias = Callable[[Sequence[T]], Awaitable[list[Settled[T, R]]]]
"""Load and process these records again."""


class CircuitBreaker:
    """Monitors the outcomes of one stage. back_off_s: wait before the trial retry."""

    def __init__(self, cap: DeadLetterCap, back_off_s: float) -> None:
        self._cap, self._back_off_s = cap, back_off_s

    @property
    def share(self) -> float:
        """Recent share of dead letters."""
        return self._cap.share

    def failed(self, users: Iterable[Hashable]) -> None:
        """Count records of these users that passed and could then not be delivered. Raises DeadLetterCapReached."""
        for user in users:
            self._cap.record(poisoned=True, user=user)

    async def passed(
        self, batch: list[Settled[T, R]], again: Again[T, R], stopping: asyncio.Event
    ) -> list[Settled[T, R]]:
        """The batch to deliver, in its order; records that failed by a transient fault are retried.

        Raises DeadLetterCapReached when the record that exceeded the cap fails again after the back-off, or on a
        shutdown before that.
        """
        while (tripped := self._tripped(batch)) is not None:
            record, reached = tripped
            log.error("circuit open: %s; retrying one record in %.1f s", reached, self._back_off_s)
            if await _is_set_within(stopping, self._back_off_s):
                raise reached
            (trial,) = await again([record])
            if isinstance(trial.outcome, Poison):
                raise reached
            log.warning("circuit closed; retrying failed records")
            self._cap.reset()
            failed = [index for index, each in enumerate(batch) if isinstance(each.outcome, Poison)]
            retried = await again([batch[index].record for index in failed])
            batch = list(batch)
            for index, each in zip(failed, retried, strict=True):
                batch[index] = each
        return batch

    def _tripped(self, batch: Sequence[Settled[T, R]]) -> tuple[T, DeadLetterCapReached] | None:
        """The record that exceeded the cap, and its error; None when all stay within it."""
        failed = None
        for each in batch:
            failed = each.record if isinstance(each.outcome, Poison) else failed
            try:
                self._cap.record(isinstance(each.outcome, Poison), each.user)
            except DeadLetterCapReached as reached:
                return each.record if failed is None else failed, reached
        return None


async def _is_set_within(event: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
