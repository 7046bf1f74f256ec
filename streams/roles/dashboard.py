"""`undertone dashboard`: the API and the pages over HTTP."""

import asyncio
import logging
import socket
from ipaddress import ip_address

from fastapi import FastAPI

from schemas.errors import ConfigurationError
from schemas.settings import Settings
from streams.api.application import make_application
from streams.api.services import Services
from streams.roles.http_server import bound_socket, serve
from streams.roles.lifecycle import run_with_health
from workers.service.health import HEALTH
from workers.service.shutdown import SHUTDOWN

log = logging.getLogger(__name__)


async def run_dashboard(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set and the requests under way are answered.

    Raises ConfigurationError for an address that cannot be bound, BrokerRefused without permission.
    """
    if not is_loopback(settings.dashboard_host):
        raise ConfigurationError(
            "UNDERTONE_DASHBOARD_HOST: without sign-in the dashboard listens at the loopback of this machine only; "
            "set it to 127.0.0.1 or ::1"
        )
    listening = bound_socket(settings.dashboard_host, settings.dashboard_port, "UNDERTONE_DASHBOARD_PORT")

    async def work() -> None:
        async with Services.open(settings) as services:
            await _serve(make_application(services), services, listening, stop)

    with listening:
        await run_with_health(settings, stop, "dashboard", work)


async def _serve(app: FastAPI, services: Services, listening: socket.socket, stop: asyncio.Event) -> None:
    async def close() -> None:
        await stop.wait()
        services.closing.set()

    closing = asyncio.create_task(close())
    HEALTH.has("partitions")  # it has none to wait for
    log.info("dashboard: ready, port=%d", listening.getsockname()[1])
    try:
        with SHUTDOWN.on_failure():
            await serve(app, listening, stop, services.settings.stop_deadline_s)
    finally:
        services.closing.set()
        closing.cancel()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
