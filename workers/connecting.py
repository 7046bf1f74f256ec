"""Connecting to the broker: waiting while it is away, and saying plainly when it refuses."""

import ssl
from collections.abc import Callable
from typing import Any, TypeVar

from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError, KafkaError

from schemas.errors import BrokerRefused, Transient
from workers.refusals import refusal, refusals_stop
from workers.retries import until_it_succeeds

C = TypeVar("C")


async def started(make: Callable[[], C], *, stage: str) -> C:
    """A client that is connected; made anew, with back-off, while no broker answers. Raises BrokerRefused."""

    async def attempt() -> C:
        client: Any = make()
        try:
            with refusals_stop():
                await client.start()
        except BaseException as error:
            await client.stop()
            if not isinstance(error, KafkaConnectionError):
                raise
            if refused := await _refused_at_the_door(client):
                raise refused from error
            raise Transient("no broker answers at KAFKA_BOOTSTRAP") from error
        return client  # type: ignore[no-any-return]  # aiokafka has no types

    return await until_it_succeeds(attempt, stage=stage, target="broker")


async def _refused_at_the_door(client: Any) -> BrokerRefused | None:
    """Why no connection came about, asked once more: aiokafka only logs the reason of its first attempt."""
    kafka = client.client if hasattr(client, "client") else client._client
    for host, port, _ in kafka.hosts:
        try:
            connection = await create_conn(
                host,
                port,
                client_id=kafka._client_id,
                request_timeout_ms=kafka._request_timeout_ms,
                ssl_context=kafka._ssl_context,
                security_protocol=kafka._security_protocol,
                sasl_mechanism=kafka._sasl_mechanism,
                sasl_plain_username=kafka._sasl_plain_username,
                sasl_plain_password=kafka._sasl_plain_password,
                sasl_oauth_token_provider=kafka._sasl_oauth_token_provider,
            )
        except ssl.SSLError as error:
            reason = getattr(error, "verify_message", "") or error.reason or type(error).__name__
            return BrokerRefused(f"no encrypted connection to the broker ({reason}): check its certificate and ours")
        except (OSError, KafkaError) as error:
            if refused := refusal(error):
                return refused
        else:
            connection.close()
    return None
