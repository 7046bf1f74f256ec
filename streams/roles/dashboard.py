"""`undertone dashboard`: the API and the pages over HTTP."""

import asyncio
import logging
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack

from fastapi import FastAPI

from schemas.bundle_manifest import bundle_id
from schemas.settings import Settings
from streams.access.access import check_settings
from streams.access.permissions import check_routes
from streams.api.services import Services, Submitting
from streams.audit.settings import keys_of
from streams.privacy.places import Place
from streams.roles.directory_witness import DirectoryWitness
from streams.roles.http_server import bound_socket, passed_socket, serve
from streams.roles.lifecycle import keep_loaded, run_with_health
from streams.roles.start_events import start_recorded
from streams.web.application import make_application
from streams.web.charts import person_charts
from workers.service.health import HEALTH
from workers.service.shutdown import SHUTDOWN

log = logging.getLogger(__name__)


async def run_dashboard(
    settings: Settings, stop: asyncio.Event, submitting: Submitting | None = None, places: Sequence[Place] = ()
) -> None:
    """Serve until `stop` is set and the requests under way are answered.

    submitting: how uploaded memos are submitted; None: to Kafka alone. places: of this machine, for erasures.
    Raises ConfigurationError for an address that cannot be bound or that lets anybody in, BrokerRefused without
    permission.
    """
    check_settings(settings)
    listening = _listening(settings)

    async def work() -> None:
        async with AsyncExitStack() as exits:
            bundle = bundle_id(settings.bundle)
            await exits.enter_async_context(start_recorded(settings, "dashboard", keys_of, bundle))
            services = await exits.enter_async_context(Services.open(settings, submitting, places))
            witnessing = asyncio.create_task(DirectoryWitness(settings, services.store).run())
            exits.callback(witnessing.cancel)
            application = make_application(services)
            check_routes(application)
            await _serve(application, services, listening, stop)

    with listening:
        await run_with_health(settings, stop, "dashboard", work)


def _listening(settings: Settings) -> socket.socket:
    """The socket of the address in the settings, or the one that was bound before this process was started."""
    if settings.dashboard_socket is not None:
        return passed_socket(settings.dashboard_socket, "UNDERTONE_DASHBOARD_SOCKET")
    return bound_socket(settings.dashboard_host, settings.dashboard_port, "UNDERTONE_DASHBOARD_PORT")


async def _serve(app: FastAPI, services: Services, listening: socket.socket, stop: asyncio.Event) -> None:
    async def close() -> None:
        await stop.wait()
        services.closing.set()

    closing = asyncio.create_task(close())
    # Beside the first requests: a page of a person would else wait a second for the layout of its charts.
    warming = asyncio.create_task(asyncio.to_thread(_warm))
    HEALTH.has("partitions")  # it has none to wait for
    log.info("dashboard: ready, port=%d", listening.getsockname()[1])
    try:
        with SHUTDOWN.on_failure():
            await serve(app, listening, stop, services.settings.stop_deadline_s)
    finally:
        services.closing.set()
        closing.cancel()
        warming.cancel()


def _warm() -> None:
    """Load what requests need later."""
    person_charts.warm()
    keep_loaded()
