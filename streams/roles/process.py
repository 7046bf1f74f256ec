"""The lifecycle of a role's process: its logs, its HTTP endpoint, and its shutdown."""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from schemas.errors import ExitCode, Stop
from schemas.settings import Settings, ignored_variables
from schemas.version import version
from workers.kafka.authorization_errors import refusal
from workers.service import logs, prometheus
from workers.service.health import HEALTH
from workers.service.http_endpoint import serve
from workers.service.shutdown import SHUTDOWN
from workers.service.tracing import tracing

log = logging.getLogger(__name__)

CLOSE_S = 1.5
"""Seconds to leave the group and close connections, once the work is finished or past its deadline."""


def until_asked_to_stop(settings: Settings, name: str, role: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run a role until SIGTERM, SIGINT or, under `undertone up`, the end of the parent. name: of the role, in logs."""
    logs.configure(settings, name)
    log.info("%s: started, version=%s", name, version())
    for sentence in ignored_variables():
        log.warning("%s", sentence)
    if settings.supervised:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with tracing(settings, name):
            asyncio.run(_run(settings, role))
    except Exception as error:
        # A stage past its deadline still holds a thread, and a normal exit would wait for it.
        stop = error if isinstance(error, Stop) else refusal(error)
        if stop is None:
            log.critical("%s: unhandled exception; current batch not committed", name, exc_info=True)
            _leave(ExitCode.FAILED)
        else:
            log.critical("%s: exiting: %s", name, stop)
            _leave(stop.exit_code)
    log.info("%s: shutdown requested, exiting", name)
    _leave(ExitCode.OK)


async def _run(settings: Settings, role: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    SHUTDOWN.arm(settings.stop_deadline_s + CLOSE_S)

    def ask(*_: object) -> None:
        # Not a handler of the event loop: the deadline holds while the loop is blocked, too.
        SHUTDOWN.begin()
        HEALTH.lacks("work", "shutdown requested")
        with suppress(RuntimeError):  # the loop is closed already
            loop.call_soon_threadsafe(stop.set)

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, ask)
    with _http_endpoint(settings):
        await role(stop)


@contextmanager
def _http_endpoint(settings: Settings) -> Iterator[None]:
    """Metrics and health on the port of the settings, if set."""
    HEALTH.stuck_after_s = settings.stuck_after_s
    if not settings.metrics_port:
        yield
        return
    prometheus.BUILD.labels(version=version()).set(1)
    with serve(settings.metrics_port, settings.metrics_host):
        yield


def _leave(code: int) -> None:
    sys.stderr.flush()
    SHUTDOWN.note()
    os._exit(code)


def _end_with_parent() -> None:
    # The descriptor itself: a thread inside `sys.stdin` would hold its lock when the interpreter ends.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
