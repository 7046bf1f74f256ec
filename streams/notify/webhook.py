"""Alerts to any HTTP receiver, signed as specified by Standard Webhooks.

Every alert is one POST with a JSON body and four headers: `webhook-id` (the `alert_id`, the same in every attempt),
`webhook-timestamp` (Unix seconds of this attempt), `webhook-signature` (`v1,` and the base64 of HMAC-SHA256 over
`id.timestamp.body`) and `Idempotency-Key` (the `alert_id` again, for gateways that support that header).
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable

from schemas.channels import WEBHOOK
from schemas.errors import ConfigurationError
from schemas.events import RiskAlert
from schemas.json_records import to_json, to_plain
from schemas.settings import Settings
from streams.notify.http_client import checked_url, post
from streams.notify.http_receiver import HttpReceiver
from streams.notify.links import dashboard_of, episode_link
from streams.notify.receivers import Receiver

SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix of a secret, not one
LEAST_SECRET_BYTES = 24


def secret_bytes(secret: str | None) -> bytes:
    """The key in `whsec_<base64>`, or the bytes of any other text. Raises ConfigurationError when it is too short."""
    if not secret:
        raise ConfigurationError(
            "UNDERTONE_WEBHOOK_SECRET is not set: set it to the secret that receivers verify signatures with"
        )
    try:
        encoded = secret.startswith(SECRET_PREFIX)
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True) if encoded else secret.encode()
    except binascii.Error:
        raise ConfigurationError("UNDERTONE_WEBHOOK_SECRET: the text after whsec_ is not base64") from None
    if len(key) < LEAST_SECRET_BYTES:
        raise ConfigurationError(
            f"UNDERTONE_WEBHOOK_SECRET has {len(key)} bytes, minimum {LEAST_SECRET_BYTES}; "
            "generate one with: echo whsec_$(openssl rand -base64 32)"
        )
    return key


def signature(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    """The value of `webhook-signature`.

    >>> signature(b"0123456789abcdefghijklmn", "id", 1700000000, b"{}")
    'v1,FnA+NQF31EQfBdMou0u4SbnSSvuyi4gQS07lUt1gPV8='
    """
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def signed_headers(key: bytes, message_id: str, now: float, body: bytes) -> dict[str, str]:
    """The headers of one attempt. now: Unix time; message_id: the same for every attempt."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": signature(key, message_id, int(now), body),
        "Idempotency-Key": message_id,
    }


class Webhook(HttpReceiver):
    """One receiver. `async with Webhook(settings) as receiver`. Raises ConfigurationError without address or secret.

    clock: Unix time.
    """

    name = WEBHOOK.name

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        super().__init__(settings.bridge_timeout_s, settings.webhook_give_up_s, clock)
        self._url = checked_url(settings.webhook_url, WEBHOOK.variable)
        self._key, self._dashboard = secret_bytes(settings.webhook_secret), dashboard_of(settings)

    async def send(self, partition: int, alert: RiskAlert) -> None:
        """Post one alert, signed for this attempt. Raises Poison and Transient as `http_client.post`."""
        body = body_of(alert, self._dashboard)
        headers = signed_headers(self._key, alert.alert_id, self._clock(), body)
        await post(self._client, self._url, body, headers, setting=WEBHOOK.variable)


def body_of(alert: RiskAlert, dashboard: str | None) -> bytes:
    """The record as JSON, with `episode_url` where there is a dashboard."""
    if (link := episode_link(dashboard, alert.dedup_key)) is None:
        return to_json(alert).encode()
    record = to_plain(alert)
    assert isinstance(record, dict)
    return to_json(record | {"episode_url": link}).encode()


def make_receiver(settings: Settings) -> Receiver:
    """The receiver of this channel."""
    return Webhook(settings)
