"""`undertone bridge`: risk.alerts → one receiver outside Kafka."""

import asyncio

from schemas.schema_registry import make_codec
from schemas.settings import Settings
from streams.notify.bridge import Bridge
from streams.notify.receivers import Receiver
from streams.roles.lifecycle import run_with_health
from streams.roles.start_events import no_keys, start_recorded
from workers.service.shutdown import SHUTDOWN


async def run_bridge(settings: Settings, receiver: Receiver, stop: asyncio.Event) -> None:
    """Deliver alerts to `receiver` until `stop` is set. Raises what ended it; BrokerRefused without permission."""

    async def work() -> None:
        async with (
            receiver,
            Bridge(settings, make_codec(settings), receiver) as bridge,
            start_recorded(settings, f"bridge.{receiver.name}", no_keys),
        ):
            with SHUTDOWN.on_failure():
                await bridge.run(stop)

    await run_with_health(settings, stop, receiver.name, work)
