"""The interface of receivers, and the factory for the receiver of a channel."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from importlib import import_module
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from schemas.channels import Channel
from schemas.errors import Poison
from schemas.event_enums import AlertState
from schemas.events import RiskAlert, RiskScored
from schemas.ids import derived_id
from schemas.settings import Settings


class Skipped(Poison):
    """The receiver is not meant to get this record: nothing failed."""


class Receiver(Protocol):
    """A service outside Kafka that receives alerts. Used within `async with`, which closes its connections."""

    name: str
    """Name of the channel: the stage of its metrics, and the suffix of its consumer group."""
    needs_history: bool
    """Whether it must read all alerts of a partition before it delivers new ones."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...

    def assign(self, partition: int, history: Sequence[RiskAlert]) -> None:
        """Start a partition. history: its alerts up to the committed offset (none without `needs_history`)."""

    def revoke(self, partition: int) -> None:
        """Drop the state of a partition, which another process owns now."""

    async def deliver(self, partition: int, alert: RiskAlert) -> None:
        """Return when the alert is accepted. Raises Poison for a permanent refusal, Transient to be retried."""


@runtime_checkable
class ScoreReceiver(Protocol):
    """A receiver that gets scores as well: the row of its channel reads their topic."""

    async def deliver_score(self, partition: int, score: RiskScored) -> None:
        """Return when the score is accepted. Raises as `Receiver.deliver`."""


def ended(step: RiskAlert, now: datetime) -> RiskAlert:
    """The end of an episode whose person was erased, with nothing of what was heard. step: its last one."""
    alert_id = derived_id("erased", step.dedup_key)
    last = replace(step, alert_id=alert_id, state=AlertState.RESOLVED, at=now, evidence=(), scores=())
    return replace(last, summary="The episode ended because the person's data was erased.")


def make_receiver(channel: Channel, settings: Settings) -> Receiver:
    """The receiver of a channel, from the module of that name; loads no other channel's module.

    Raises ConfigurationError when a required setting is missing or invalid.
    """
    receiver: Receiver = import_module(f"streams.notify.{channel.name}").make_receiver(settings)
    return receiver
