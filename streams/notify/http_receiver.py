"""Base of receivers that get one POST per step of an episode: a client, and a limit on retries."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self

from schemas.errors import Poison, Transient
from schemas.events import RiskAlert
from streams.notify.http_client import RetryLater, make_client


class HttpReceiver(ABC):
    """A receiver that gets every step separately, so it needs no history.

    timeout_s: of one request; give_up_s: an alert that is not accepted within it counts as refused, so that a server
    that fails on one alert does not block the others forever; clock: Unix time.
    """

    name: str
    needs_history = False

    def __init__(self, timeout_s: float, give_up_s: float, clock: Callable[[], float] = time.time) -> None:
        self._timeout_s, self._give_up_s, self._clock = timeout_s, give_up_s, clock
        self._first_tried: dict[int, dict[str, float]] = {}
        """By partition and id: when a record that is not accepted yet was first sent."""

    @abstractmethod
    async def send(self, partition: int, alert: RiskAlert) -> None:
        """Make one attempt. Raises Poison for a permanent refusal, Transient when a retry may succeed."""

    async def __aenter__(self) -> Self:
        self._client = make_client(self._timeout_s)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._client.aclose()

    def assign(self, partition: int, history: Sequence[RiskAlert]) -> None:
        """Start a partition."""
        self._first_tried[partition] = {}

    def revoke(self, partition: int) -> None:
        """Drop the state of a partition, which another process owns now."""
        self._first_tried.pop(partition, None)

    async def deliver(self, partition: int, alert: RiskAlert) -> None:
        """Send one alert. Raises Poison when it is refused or its time is over, else Transient, as late as asked."""
        await self._within_time(partition, alert.alert_id, lambda: self.send(partition, alert))

    async def _within_time(self, partition: int, record_id: str, send: Callable[[], Awaitable[None]]) -> None:
        """One attempt at one record. Raises as `deliver`."""
        tried = self._first_tried.setdefault(partition, {})
        first = tried.setdefault(record_id, self._clock())
        try:
            await send()
        except Transient as error:
            if isinstance(error, RetryLater):
                await asyncio.sleep(error.wait_s)
            if self._clock() - first < self._give_up_s:
                raise
            del tried[record_id]
            raise Poison("receiver:gave_up", f"not accepted within {self._give_up_s:.0f} s: {error}") from error
        except Poison:
            del tried[record_id]
            raise
        del tried[record_id]
