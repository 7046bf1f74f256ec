"""`undertone dashboard`: the API and the pages over HTTP."""

import asyncio
import logging
import socket

from fastapi import FastAPI

from schemas.settings import Settings
from streams.access.access import check_settings
from streams.access.permissions import check_routes
from streams.api.services import Services, Submitting
from streams.roles.http_server import bound_socket, serve
from streams.roles.lifecycle import run_with_health
from streams.web.application import make_application
from streams.web.charts import person_charts
from workers.service.health import HEALTH
from workers.service.shutdown import SHUTDOWN

log = logging.getLogger(__name__)


async def run_dashboard(settings: Settings, stop: asyncio.Event, submitting: Submitting | None = None) -> None:
    """Serve until `stop` is set and the requests under way are answered.

    submitting: how uploaded memos are submitted; None: to Kafka alone. Raises ConfigurationError for an address that
    cannot be bound or that lets anybody in, BrokerRefused without permission.
    """
    check_settings(settings)
    listening = bound_socket(settings.dashboard_host, settings.dashboard_port, "UNDERTONE_DASHBOARD_PORT")

    async def work() -> None:
        async with Services.open(settings, submitting) as services:
            application = make_application(services)
            check_routes(application)
            await _serve(application, services, listening, stop)

    with listening:
        await run_with_health(settings, stop, "dashboard", work)


async def _serve(app: FastAPI, services: Services, listening: socket.socket, stop: asyncio.Event) -> None:
    async def close() -> None:
        await stop.wait()
        services.closing.set()

    closing = asyncio.create_task(close())
    # Beside the first requests: a page of a person would else wait a second for the layout of its charts.
    warming = asyncio.create_task(asyncio.to_thread(person_charts.warm))
    HEALTH.has("partitions")  # it has none to wait for
    log.info("dashboard: ready, port=%d", listening.getsockname()[1])
    try:
        with SHUTDOWN.on_failure():
            await serve(app, listening, stop, services.settings.stop_deadline_s)
    finally:
        services.closing.set()
        closing.cancel()
        warming.cancel()
