"""What follows when too many records fail: wait, try one of them again, then go on or stop.

    closed ──cap passed──▶ open ──back-off──▶ half-open ──one record succeeds──▶ closed; all that failed is redone
                                                  └──it fails again──▶ the worker stops

A store that refuses everybody for some seconds thus costs some seconds; a bad deploy costs no more dead letters than
the cap allows.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
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
    """A record and what became of it."""

    record: T
    outcome: Outcome[R]


Again: TypeAlias = Callable[[Sequence[T]], Awaitable[list[Settled[T, R]]]]
"""Settle these records anew, from the very beginning."""


class CircuitBreaker:
    """Watches the outcomes of one stage. back_off_s: how long a fault has to pass."""

    def __init__(self, cap: DeadLetterCap, back_off_s: float) -> None:
        self._cap, self._back_off_s = cap, back_off_s

    @property
    def share(self) -> float:
        """Share of dead letters lately."""
        return self._cap.share

    async def passed(
        self, batch: list[Settled[T, R]], again: Again[T, R], stopping: asyncio.Event
    ) -> list[Settled[T, R]]:
        """The batch as it may be delivered, in its order; what failed because of a fault that passed is redone.

        Raises DeadLetterCapReached when the record that passed the cap fails again after the back-off, or when the
        worker is asked to stop before that.
        """
        while (tripped := self._tripped(batch)) is not None:
            record, reached = tripped
            log.error("%s; one record is tried again in %.1f s", reached, self._back_off_s)
            if await _is_set_within(stopping, self._back_off_s):
                raise reached
            (trial,) = await again([record])
            if isinstance(trial.outcome, Poison):
                raise reached
            log.warning("the fault has passed: the records of this batch that failed are tried again")
            self._cap.reset()
            failed = [index for index, each in enumerate(batch) if isinstance(each.outcome, Poison)]
            redone = await again([batch[index].record for index in failed])
            batch = list(batch)
            for index, each in zip(failed, redone, strict=True):
                batch[index] = each
        return batch

    def _tripped(self, batch: Sequence[Settled[T, R]]) -> tuple[T, DeadLetterCapReached] | None:
        """The record that passed the cap, and the error that says so; None when all stay within it."""
        failed = None
        for each in batch:
            failed = each.record if isinstance(each.outcome, Poison) else failed
            try:
                self._cap.record(poisoned=isinstance(each.outcome, Poison))
            except DeadLetterCapReached as reached:
                return each.record if failed is None else failed, reached
        return None


async def _is_set_within(event: asyncio.Event, timeout_s: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return False
    return True
