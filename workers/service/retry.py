"""Retries after transient errors."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from schemas.errors import Transient
from workers.service import prometheus

log = logging.getLogger(__name__)

T = TypeVar("T")

LONGEST_WAIT_S = 10.0


async def retry_transient(work: Callable[[], Awaitable[T]], *, stage: str, target: str) -> T:
    """The result of `work`, retried after every Transient, with exponential back-off and full jitter, without limit.

    target: the dependency, for the metric: `broker`, `redis`, `storage`. Ends when cancelled; other errors propagate.
    """

    def note(state: RetryCallState) -> None:
        prometheus.RETRIES.labels(stage=stage, target=target).inc()
        if state.attempt_number in {1, 10} or state.attempt_number % 100 == 0:
            error = state.outcome.exception() if state.outcome else None
            log.warning("%s: transient error, retrying, attempt=%d: %s", stage, state.attempt_number, error)

    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(Transient),
        wait=wait_random_exponential(multiplier=0.2, max=LONGEST_WAIT_S),
        before_sleep=note,
        reraise=True,
    ):
        with attempt:
            result = await work()
    return result
