"""The production roles: one process each."""

import asyncio
import os
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Annotated

import typer

from schemas.errors import Stop
from schemas.events import Modality
from schemas.settings import Settings

topics_app = typer.Typer(help="Create and describe the topics.", no_args_is_help=True)


GOODBYE_S = 1.5
"""Seconds to leave the group and close connections, once the work is finished or its deadline has passed."""


def add_to(app: typer.Typer) -> None:
    """Mount the commands of this module."""
    app.command()(worker)
    app.command()(agents)
    app.add_typer(topics_app, name="topics")


def worker(modality: Annotated[Modality, typer.Argument(help="Which features to extract.")]) -> None:
    """Run one feature worker: memos.uploaded → memos.features."""
    from streams.cli.quiet import import_tensorflow
    from streams.roles import run_worker

    if modality is not Modality.ACOUSTIC:
        import_tensorflow()
    settings = Settings.load()
    if modality not in settings.modalities:
        raise typer.BadParameter(f"{modality} is none of UNDERTONE_MODALITIES: {', '.join(settings.modalities)}")
    until_asked_to_stop(settings, lambda stop: run_worker(settings, modality, stop))


def agents() -> None:
    """Run the agents: memos.features → risk.scored → risk.alerts."""
    from streams.cli.quiet import import_tensorflow
    from streams.roles import run_agents
    from workers.scoring.bundle import head_kind
    from workers.scoring.heads import NEURAL

    settings = Settings.load()
    if head_kind(settings.bundle) in NEURAL:
        import_tensorflow()
    until_asked_to_stop(settings, lambda stop: run_agents(settings, stop))


@topics_app.command()
def create() -> None:
    """Create the topics that are missing, with their retention; those that exist stay as they are."""
    from streams.topic_admin import create_topics

    for line in asyncio.run(create_topics(Settings.load())):
        print(line)


@topics_app.command()
def describe() -> None:
    """The way of a memo: topics, partitions, retention, and how far each group is behind."""
    from rich.console import Console

    from streams.system import connected
    from streams.topic_admin import describe_topics

    Console().print(asyncio.run(describe_topics(connected(Settings.load()))))


def until_asked_to_stop(settings: Settings, role: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run a role until SIGTERM, SIGINT or, under `undertone up`, the end of the parent."""
    if settings.supervised:
        threading.Thread(target=_end_with_parent, daemon=True).start()

    from workers.health import HEALTH

    async def run() -> None:
        stop = asyncio.Event()

        def ask() -> None:
            stop.set()
            HEALTH.lacks("work", "this process was asked to stop")
            # Clients that cannot reach their broker wait long to say goodbye; the deadline holds for them too.
            last_word = threading.Timer(settings.stop_deadline_s + GOODBYE_S, _leave, [1])
            last_word.daemon = True
            last_word.start()

        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, ask)
        with _told_to_platform(settings):
            await role(stop)

    # A stage that outlived its deadline still holds a thread, and Python would wait for it.
    try:
        asyncio.run(run())
    except Stop as stop:
        typer.secho(f"undertone: {stop}", fg="red", err=True)
        _leave(stop.exit_code)
    except BaseException:
        traceback.print_exc()
        _leave(1)
    _leave(0)


@contextmanager
def _told_to_platform(settings: Settings) -> Iterator[None]:
    """Metrics and health on the port that the settings name, if they do."""
    from workers import instruments
    from workers.health import HEALTH
    from workers.port import serve

    HEALTH.stuck_after_s = settings.stuck_after_s
    if not settings.metrics_port:
        yield
        return
    instruments.BUILD.labels(version=metadata.version("undertone")).set(1)
    with serve(settings.metrics_port):
        yield


def _leave(code: int) -> None:
    sys.stderr.flush()
    os._exit(code)


def _end_with_parent() -> None:
    # The descriptor itself: a thread inside `sys.stdin` would hold its lock when the interpreter ends.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
