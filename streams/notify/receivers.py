"""What a bridge asks of a receiver, and how the receiver of a channel is made."""

from collections.abc import Sequence
from importlib import import_module
from types import TracebackType
from typing import Protocol, Self

from schemas.channels import Channel
from schemas.events import RiskAlert
from schemas.settings import Settings


class Receiver(Protocol):
    """A service outside Kafka that is told of alerts. Used within `async with`, which holds its connections."""

    name: str
    """Of its channel: the stage of its metrics, and the end of its consumer group's name."""
    needs_history: bool
    """Whether it must know all alerts that the topic holds before it goes on with a partition."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...

    def take_up(self, partition: int, history: Sequence[RiskAlert]) -> None:
        """Begin with a partition, knowing its alerts up to the committed position (none without `needs_history`)."""

    def forget(self, partition: int) -> None:
        """The partition belongs to another process now."""

    async def deliver(self, partition: int, alert: RiskAlert) -> None:
        """Return when it was accepted. Raises Poison when it never will be, Transient to be called again."""


def make_receiver(channel: Channel, settings: Settings) -> Receiver:
    """The receiver of a channel, from the module that has its name; no other channel's module is loaded.

    Raises ConfigurationError when a setting that it needs is missing or wrong.
    """
    receiver: Receiver = import_module(f"streams.notify.{channel.name}").make_receiver(settings)
    return receiver
