"""`undertone rescore`."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.load_settings import load_settings
from streams.cli.printing import AsJson, printer, progress
from streams.terminal.arguments import past_since_moment
from streams.terminal.parse_time import since_moment

if TYPE_CHECKING:
    from streams.recovery.rescore import Plan
    from streams.terminal.json_lines import Rescored


def add_to(app: typer.Typer) -> None:
    """Mount the command."""
    app.command()(rescore)


def rescore(
    since: Annotated[
        datetime,
        typer.Option(
            parser=past_since_moment,
            metavar="TIME",
            help="Scores written then or later: RFC 3339, or an age: 90m, 12h, 3d.",
        ),
    ],
    until: Annotated[
        datetime | None,
        typer.Option(parser=since_moment, metavar="TIME", help="Scores written before then. Default: now."),
    ] = None,
    per_second: Annotated[
        int, typer.Option(min=1, help="Most memos a second, so that live ones are not held up.")
    ] = 50,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print how many memos would be resubmitted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Resubmit memos whose score lacks a modality (`missing:...`), once its worker runs.

    Their uploads are written to `memos.uploaded` once more; the new score of a memo replaces the one that it has. Memos
    whose upload a worker has yet to process are left alone, so this may run again at any time.
    """
    if until is not None and until <= since:
        raise typer.BadParameter("is not later than --since", param_hint="--until")
    with progress(None, "rescoring"):
        found = asyncio.run(_rescore(since, until or datetime.now(UTC), per_second, dry_run=dry_run))
    output, resubmitted = printer(as_json), len(found.uploads)
    counts: Rescored = {
        "dry_run": dry_run,
        "resubmitted": resubmitted,
        "under_way": found.under_way,
        "gone": found.gone,
    }
    output.data(counts)
    output.note(f"{resubmitted} memos {'would be ' if dry_run else ''}resubmitted")
    if found.under_way:
        output.note(f"{found.under_way} left alone: a worker has yet to process their uploads")
    if found.gone:
        output.note(f"{found.gone} cannot be scored: their uploads are no longer on the topic; submit them again")


async def _rescore(since: datetime, until: datetime, per_second: int, *, dry_run: bool) -> "Plan":
    from schemas.schema_registry import make_codec
    from streams.local.discover import connected
    from streams.recovery.rescore import find, send
    from workers.kafka.clients import make_producer
    from workers.kafka.connect import started_once

    settings = connected(load_settings(), redis=False)
    found = await find(settings, make_codec(settings), since, until)
    if found.uploads and not dry_run:
        producer = await started_once(lambda: make_producer(settings), settings)
        try:
            await send(found.uploads, producer, per_second)
        finally:
            await producer.stop()
    return found
