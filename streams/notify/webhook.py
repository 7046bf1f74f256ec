"""Alerts to any HTTP receiver, signed by the rules of Standard Webhooks.

Every alert is one POST with a JSON body and four headers: `webhook-id` (the `alert_id`, the same however often it is
sent), `webhook-timestamp` (Unix seconds of this attempt), `webhook-signature` (`v1,` and the base64 of HMAC-SHA256 over
`id.timestamp.body`) and `Idempotency-Key` (the `alert_id` again, for gateways that know that header).
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from schemas.errors import ConfigurationError, Poison, Transient
from schemas.events import RiskAlert
from schemas.json_records import to_json
from schemas.settings import Settings
from streams.notify.http_client import checked_url, make_client, post

SECRET_PREFIX = "whsec_"  # noqa: S105 - the mark of a secret, not one
LEAST_SECRET_BYTES = 24


def secret_bytes(secret: str | None) -> bytes:
    """The key in `whsec_<base64>`, or any other text as it is. Raises ConfigurationError when there is too little."""
    if not secret:
        raise ConfigurationError("UNDERTONE_WEBHOOK_SECRET: set the secret that receivers check signatures with")
    try:
        encoded = secret.startswith(SECRET_PREFIX)
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True) if encoded else secret.encode()
    except binascii.Error:
        raise ConfigurationError("UNDERTONE_WEBHOOK_SECRET: what follows whsec_ is no base64") from None
    if len(key) < LEAST_SECRET_BYTES:
        raise ConfigurationError(
            f"UNDERTONE_WEBHOOK_SECRET holds {len(key)} bytes, fewer than {LEAST_SECRET_BYTES}; "
            "make one with: echo whsec_$(openssl rand -base64 32)"
        )
    return key


def signature(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    """What `webhook-signature` holds.

    >>> signature(b"0123456789abcdefghijklmn", "id", 1700000000, b"{}")
    'v1,FnA+NQF31EQfBdMou0u4SbnSSvuyi4gQS07lUt1gPV8='
    """
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


class Webhook:
    """One receiver. `async with Webhook(settings) as receiver`. Raises ConfigurationError without address or secret.

    clock: Unix time. An alert that is not accepted within `webhook_give_up_s` counts as refused, so that a receiver
    that breaks on one alert does not keep the others for ever.
    """

    name = "webhook"
    needs_history = False

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._url = checked_url(settings.webhook_url, "UNDERTONE_WEBHOOK_URL")
        self._key = secret_bytes(settings.webhook_secret)
        self._timeout_s, self._give_up_s, self._clock = settings.bridge_timeout_s, settings.webhook_give_up_s, clock
        self._first_tried: dict[str, float] = {}

    async def __aenter__(self) -> Self:
        self._client = make_client(self._timeout_s)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._client.aclose()

    def take_up(self, partition: int, history: Sequence[RiskAlert]) -> None:
        """Nothing to remember: every alert is told of once, by itself."""

    def forget(self, partition: int) -> None:
        """Nothing was remembered."""

    async def deliver(self, partition: int, alert: RiskAlert) -> None:
        """Tell of one alert. Raises Poison when the receiver refuses it or has failed for too long, else Transient."""
        first = self._first_tried.setdefault(alert.alert_id, self._clock())
        try:
            await self._send(alert)
        except Transient as error:
            if self._clock() - first < self._give_up_s:
                raise
            del self._first_tried[alert.alert_id]
            raise Poison("receiver:gave_up", f"not accepted within {self._give_up_s:.0f} s: {error}") from error
        except Poison:
            del self._first_tried[alert.alert_id]
            raise
        del self._first_tried[alert.alert_id]

    async def _send(self, alert: RiskAlert) -> None:
        body, now = to_json(alert).encode(), int(self._clock())
        headers = {
            "webhook-id": alert.alert_id,
            "webhook-timestamp": str(now),
            "webhook-signature": signature(self._key, alert.alert_id, now, body),
            "Idempotency-Key": alert.alert_id,
        }
        await post(self._client, self._url, body, headers)
