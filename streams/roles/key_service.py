"""`undertone keys serve`: the key server, which alone has the key directory and what unwraps its keys."""

import asyncio
import logging
import os
import socket
import ssl
import stat
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

from schemas.errors import ConfigurationError, Transient
from schemas.event_enums import ActorProof
from schemas.events import AuditEvent
from schemas.key_grants import KEY_GRANTS
from schemas.settings import Settings
from streams.api.publish import publish_event
from streams.audit.settings import keys_of
from streams.key_service.application import CALLER, Service, make_application
from streams.key_service.callers import SOCKET, caller_of
from streams.key_service.grant_events import GrantEvents
from streams.key_service.handing_out import HandingOut
from streams.roles.http_server import Server, TimedHead, bound_socket, make_server, serve_on
from streams.roles.key_retention import KeyRetention
from streams.roles.start_events import start_recorded
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.key_requests import KEYS
from workers.privacy.sealing import close_all
from workers.privacy.sources.service_source import tls_context
from workers.service.health import HEALTH, turn
from workers.service.retry import retry_transient
from workers.service.shutdown import SHUTDOWN

log = logging.getLogger(__name__)

ROLE, START = "key-server", "keys.serve"
LAST_EVENTS_S = 2.0
LOOK_S = 5.0
"""Seconds between two looks whether the key directory answers: while it does not, the service is not ready."""


class KnownCaller(TimedHead):
    """A connection whose other side has a name, which each of its requests has in its state."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """The certificate was verified, or the socket's file opened, before."""
        self.app_state = {**self.app_state, CALLER: caller_of(transport)}
        super().connection_made(transport)


async def run_key_service(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set and the requests under way are answered; where nothing was ever sealed, only wait.

    It needs Kafka for audit events alone, and waits for none of them. Raises ConfigurationError for a key directory, a
    key service or certificates that cannot be used.
    """
    if settings.seal == "off" and not KeyDirectory.is_made(settings):
        log.info("key-server: nothing is sealed, so there are no keys to give")
        HEALTH.has("partitions")
        await stop.wait()
        return
    tls = None if settings.key_service_sockets else tls_context(settings, ssl.Purpose.CLIENT_AUTH)
    HEALTH.has("partitions")  # it has none to wait for
    HEALTH.lacks(KEYS, "not opened yet")
    async with AsyncExitStack() as exits:
        listening = _listening(settings, exits)
        directory = await _opened(settings, stop)
        if directory is None:
            return
        exits.callback(close_all)
        exits.callback(directory.close)
        await exits.enter_async_context(start_recorded(settings, START, keys_of))
        proof = ActorProof.OS_USER if tls is None else ActorProof.CERTIFICATE
        events = GrantEvents(partial(_publish, settings), proof)
        exits.push_async_callback(_last_events, events)
        works: list[Coroutine[Any, Any, None]] = [turn(), events.run(), _watch(directory)]
        if settings.keys_retention_s is not None:
            works.append(KeyRetention(settings, settings.keys_retention_s).run())
        for work in works:
            task = asyncio.create_task(work)
            exits.callback(task.cancel)
        app = make_application(Service(HandingOut(directory), events))
        server: Server = make_server(app, settings.stop_deadline_s, tls, KnownCaller)
        log.info("key-server: ready, port=%s", "sockets" if tls is None else listening[0].getsockname()[1])
        with SHUTDOWN.on_failure():
            await serve_on(server, listening, stop)


async def _opened(settings: Settings, stop: asyncio.Event) -> KeyDirectory | None:
    """The key directory as soon as it answers; None when `stop` is set before. Raises ConfigurationError."""
    if not KeyDirectory.is_made(settings):
        raise ConfigurationError("there is no key directory in UNDERTONE_HOME: `undertone keys init` makes one")
    opening = asyncio.create_task(
        retry_transient(lambda: asyncio.to_thread(KeyDirectory.open, settings), stage=ROLE, target=KEYS)
    )
    asking = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({opening, asking}, return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            return None
        HEALTH.has(KEYS)
        return opening.result()
    finally:
        opening.cancel()
        asking.cancel()


async def _publish(settings: Settings, event: AuditEvent) -> None:
    await publish_event(settings, event, keys_of(settings))


async def _last_events(events: GrantEvents) -> None:
    """Write what would be summed up for longer, as far as Kafka takes it at once."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LAST_EVENTS_S):
            await events.write_due(all_of_it=True)


async def _watch(directory: KeyDirectory) -> None:
    """Report whether the key directory answers: no request is sent to a service that is not ready."""
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            await asyncio.to_thread(directory.destroyed_before)
            HEALTH.has(KEYS)
        except (Transient, ConfigurationError) as error:
            HEALTH.lacks(KEYS, str(error))


def _listening(settings: Settings, exits: AsyncExitStack) -> list[socket.socket]:
    """Sockets that listen: one at an address, or one for each role in a folder. Raises ConfigurationError."""
    folder = settings.key_service_sockets
    if folder is None:
        host, port = settings.key_service_host, settings.key_service_port
        return [exits.enter_context(bound_socket(host, port, "UNDERTONE_KEY_SERVICE_PORT"))]
    try:
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        found = [exits.enter_context(_unix_socket(folder / f"{name}{SOCKET}")) for name in KEY_GRANTS]
    except OSError as error:
        raise ConfigurationError(f"UNDERTONE_KEY_SERVICE_SOCKETS: no sockets there ({error.strerror})") from None
    return found


def _unix_socket(path: Path) -> socket.socket:
    """A socket that its owner may open; one that an earlier service left is replaced, and its group and mode stay."""
    before = path.stat() if path.is_socket() else None
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o777)
    try:
        listening.bind(str(path))
    finally:
        os.umask(old)
    if before is not None:
        with suppress(PermissionError):
            os.chown(path, -1, before.st_gid)
    path.chmod(0o600 if before is None else stat.S_IMODE(before.st_mode))
    listening.listen(256)
    listening.setblocking(False)
    return listening
