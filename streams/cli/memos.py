"""`undertone up` and `undertone submit`."""

import asyncio
import json
import signal
import sys
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.load_settings import load_settings
from streams.terminal.arguments import audio_paths, past_moment, pseudonym, some_path
from streams.terminal.files import audio_files

if TYPE_CHECKING:
    from schemas.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Mount the commands of this module."""
    app.command()(up)
    app.command()(submit)


def up() -> None:
    """Run the whole system: workers, agents, and an embedded broker and store.

    KAFKA_BOOTSTRAP and REDIS_URL connect to your own Kafka and Redis; then only workers and agents are started.
    The address of a receiver of alerts (`undertone bridge --help`) starts its bridge as well.

    The embedded broker is for a laptop: **volatile** (in the memory of this process; a journal on disk resubmits
    unfinished memos at the next start), **small** (about 5 MB per partition, oldest records dropped beyond;
    `undertone submit` waits rather than overfill it), four partitions. Use Apache Kafka for anything else.
    """
    asyncio.run(_up(load_settings()))


async def _up(settings: "Settings") -> None:
    from streams.local.discover import without_credentials
    from streams.local.system import System

    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with System(settings) as system:
        kind = "embedded" if system.embedded else "external"
        print(f"undertone is up ({kind} broker): KAFKA_BOOTSTRAP={system.settings.kafka_bootstrap}", end=" ")
        address = without_credentials(system.settings.redis_url or "")
        # The output of a service is kept, and the path of a home may name a person.
        print(f"REDIS_URL={address.replace(str(settings.home.resolve()), '$UNDERTONE_HOME')}", flush=True)
        print("next: `undertone submit memo.m4a --user someone`, `undertone alerts`; Ctrl-C stops it", flush=True)
        running = asyncio.create_task(system.run())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if running.done():
            running.result()
        running.cancel()


def submit(
    paths: Annotated[
        list[Path],
        typer.Argument(
            parser=some_path, callback=audio_paths, metavar="PATHS...", help="Audio files, or folders of them."
        ),
    ],
    user: Annotated[str, typer.Option(parser=pseudonym, metavar="USER", help="Pseudonym of the speaker.")],
    recorded_at: Annotated[
        datetime | None,
        typer.Option(
            parser=past_moment,
            metavar="TIME",
            help="Time of recording, RFC 3339 (UTC without a zone). Default: the file's modification time.",
        ),
    ] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON line per file.")] = False,
) -> None:
    """Submit memos. The same file, user and time is the same memo: submitting it twice has no effect."""
    from workers.service.tracing import tracing

    with tracing(load_settings(), "submit"):
        failures = asyncio.run(_submit(audio_files(paths), user, recorded_at, json_lines))
    raise typer.Exit(1 if failures else 0)


async def _submit(files: list[Path], user: str, recorded_at: datetime | None, json_lines: bool) -> int:
    from rich.progress import track

    from schemas.errors import Poison
    from schemas.schema_registry import make_codec
    from streams.local.discover import connected, running
    from streams.local.inbox import Inbox
    from streams.local.journal import Journal
    from streams.local.submit import Submitter, event_of, uri_maker
    from workers.service.terminal import escaped

    settings = load_settings()
    failures = 0
    with ExitStack() as exits:
        found = running(settings)
        live = connected(settings)
        here = found is not None and found.bootstrap == live.kafka_bootstrap
        journal = exits.enter_context(Journal(settings.home / "journal.db")) if here else None
        uri_of = uri_maker(settings, Inbox(settings.home / "audio") if here else None)
        codec = make_codec(live)
        if journal is not None and found is not None and not found.embedded:
            opening = Submitter.open_durable(live, codec, journal)
        else:
            opening = Submitter.open(live, codec, journal)
        async with opening as submitter:
            for path in track(files, "submitting", disable=json_lines or len(files) < 2 or not sys.stderr.isatty()):
                try:
                    event = await asyncio.to_thread(event_of, path, user, recorded_at, uri_of)
                except Poison as poison:
                    failures += 1
                    fault = {"path": str(path), "error": poison.detail}
                    print(json.dumps(fault) if json_lines else escaped(f"{path}: {poison.detail}"))
                    continue
                await submitter.send(event)
                line = {"path": str(path), "memo_id": event.memo_id, "recorded_at": event.recorded_at.isoformat()}
                print(json.dumps(line) if json_lines else escaped(f"{path}: memo {event.memo_id}"))
    return failures
