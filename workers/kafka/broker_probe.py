"""Probes the broker over a separate connection, because the clients' own retries hide an outage."""

import asyncio
from collections.abc import Sequence
from typing import Any, NoReturn

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from schemas.connection_errors import why_unreachable
from schemas.errors import BrokerRefused, Transient
from schemas.settings import Settings
from workers.kafka.authorization_errors import refusal
from workers.kafka.clients import client_options
from workers.service.health import HEALTH, Health

ANSWER_S = 10.0
EVERY_S = 3.0
MOST_REFUSALS = 3
CLOSING_S = 0.5
"""Timeout of closing an encrypted connection: until the broker responds, the socket stays open."""


class Probe:
    """One connection to any broker of the cluster, opened on demand. Its request needs no permission."""

    def __init__(self, settings: Settings) -> None:
        options = client_options(settings)
        self._bootstrap: str = options.pop("bootstrap_servers")
        self._addresses = addresses(self._bootstrap)
        self._options = options
        self._connection: AIOKafkaConnection | None = None

    async def ask(self) -> None:
        """Return when the broker has responded. Raises Transient when unavailable, BrokerRefused without access."""
        try:
            async with asyncio.timeout(ANSWER_S):
                if self._connection is None or not self._connection.connected():
                    self._connection = await self._connect()
                answer = await self._connection.send(MetadataRequest([]))
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            if refused := refusal(error):
                raise refused from error
            cut = isinstance(error, ConnectionResetError | KafkaConnectionError)
            hint = "; check that UNDERTONE_KAFKA_… match this listener's encryption and certificates" if cut else ""
            raise Transient(f"KAFKA_BOOTSTRAP={self._bootstrap}: {why_unreachable(error)}{hint}") from error
        if not answer.brokers and self._options.get("sasl_mechanism") == "OAUTHBEARER":
            # A broker responds like this to an invalid token; aiokafka treats its error as success.
            await self.close()
            raise BrokerRefused("the broker rejected the token: check its issuer, audience and expiry")

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await _closed(connection)

    async def _connect(self) -> AIOKafkaConnection:
        """A connection to the first address that accepts one. Raises the error of the last address."""
        *others, last = self._addresses
        for host, port in others:
            try:
                return await self._connect_to(host, port)
            except (KafkaError, OSError):
                continue
        return await self._connect_to(*last)

    async def _connect_to(self, host: str, port: int) -> AIOKafkaConnection:
        connection = AIOKafkaConnection(host, port, request_timeout_ms=int(ANSWER_S * 1000), **self._options)
        try:
            await connection.connect()
        except (KafkaError, OSError):
            await _closed(connection)
            raise
        return connection


async def answered(settings: Settings) -> None:
    """Return when the broker has responded to one probe. Raises Transient, BrokerRefused and ConfigurationError."""
    probe = Probe(settings)
    try:
        await probe.ask()
    finally:
        await probe.close()


async def watch_broker(settings: Settings, health: Health = HEALTH) -> NoReturn:
    """Report until cancelled whether the broker is available.

    Raises BrokerRefused after MOST_REFUSALS consecutive refusals: a single one may come from a broker that has just
    started and has not loaded its users, but clients that keep retrying would overload it.
    """
    probe, refusals = Probe(settings), 0
    try:
        while True:
            try:
                await probe.ask()
            except Transient as error:
                health.lacks("broker", str(error))
            except BrokerRefused as error:
                refusals += 1
                health.lacks("broker", str(error))
                if refusals >= MOST_REFUSALS:
                    raise
            else:
                refusals = 0
                health.has("broker")
            await asyncio.sleep(EVERY_S)
    finally:
        await probe.close()


async def _closed(connection: AIOKafkaConnection) -> None:
    """Return when the connection's socket is closed, or after CLOSING_S."""
    if closing := connection.close():
        await asyncio.wait([closing], timeout=CLOSING_S)


def addresses(bootstrap: str) -> Sequence[tuple[str, int]]:
    """Hosts and ports of KAFKA_BOOTSTRAP, which the settings have checked; IPv6 without its brackets."""
    parts: list[Any] = [address.strip().rpartition(":") for address in bootstrap.split(",")]
    return [(host.strip("[]"), int(port)) for host, _, port in parts]
