"""Telling receivers that a person was erased: their open episodes end, and webhooks get a message of their own.

Every channel whose address is set gets a last step of each open episode, `resolved`, with nothing that was heard. A
webhook, and the platform at UNDERTONE_PLATFORM_URL, get `person.erased` besides, signed like an alert:

    {"type": "person.erased", "timestamp": …, "data": {"user_id": …}}

For the platform `data` also has `audio_uris`, the addresses of the recordings.
Its id is the same whenever it is repeated.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime

from schemas.channels import CHANNELS, WEBHOOK, Channel
from schemas.environment import variable
from schemas.errors import UndertoneError
from schemas.events import RiskAlert
from schemas.ids import derived_id
from schemas.json_records import Json, to_json, to_plain
from schemas.settings import Settings
from streams.notify import receivers
from streams.notify.http_client import checked_url, make_client, post
from streams.notify.receivers import Skipped, ended
from streams.notify.webhook import secret_bytes, signed_headers

PLATFORM = "platform"
PLATFORM_URL = variable("platform_url")
TYPE = "person.erased"
PARTITION = 0
"""Receivers keep state by partition; here is one for all."""


async def tell_receivers(
    settings: Settings, user_id: str, subject: bytes, episodes: Sequence[RiskAlert], recordings: Sequence[str]
) -> Mapping[str, UndertoneError | None]:
    """Tell each receiver of the settings once; by its name why that failed, Poison where it is for ever.

    episodes: the last step of each open one; recordings: addresses, for the platform alone.
    """
    message_id = derived_id("erased", subject.hex())
    outcomes: dict[str, UndertoneError | None] = {}
    for channel in CHANNELS:
        if getattr(settings, channel.setting):
            outcomes[channel.name] = await _tried(lambda channel=channel: _end(settings, channel, episodes))  # type: ignore[misc]
    data: dict[str, Json] = {"user_id": user_id}
    if settings.webhook_url and outcomes[WEBHOOK.name] is None:
        url = settings.webhook_url
        outcomes[WEBHOOK.name] = await _tried(lambda: _post(settings, url, WEBHOOK.variable, message_id, data))
    if settings.platform_url:
        platform, listed = settings.platform_url, data | {"audio_uris": [*recordings]}
        outcomes[PLATFORM] = await _tried(lambda: _post(settings, platform, PLATFORM_URL, message_id, listed))
    return outcomes


async def _end(settings: Settings, channel: Channel, episodes: Sequence[RiskAlert]) -> None:
    now = datetime.now(UTC)
    async with receivers.make_receiver(channel, settings) as receiver:
        receiver.assign(PARTITION, [])
        for step in episodes:
            await receiver.deliver(PARTITION, ended(step, now))


async def _post(settings: Settings, url: str, setting: str, message_id: str, data: Mapping[str, Json]) -> None:
    message: dict[str, Json] = {"type": TYPE, "timestamp": to_plain(datetime.now(UTC)), "data": dict(data)}
    body = to_json(message).encode()
    headers = signed_headers(secret_bytes(settings.webhook_secret), message_id, time.time(), body)
    async with make_client(settings.bridge_timeout_s) as client:
        await post(client, checked_url(url, setting), body, headers, setting=setting)


async def _tried(tell: Callable[[], Awaitable[None]]) -> UndertoneError | None:
    """Why it failed; None where it did not, or where the receiver is not meant to know."""
    try:
        await tell()
    except Skipped:
        return None
    except UndertoneError as error:
        return error
    return None
