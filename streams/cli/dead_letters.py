"""`undertone dead-letters`: list dead letters, and redrive them after the cause is fixed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from schemas.pipeline import STAGES
from schemas.topics import DEAD
from streams.cli.load_settings import load_settings
from streams.cli.printing import AsJson, Column, printer, progress, warn
from streams.terminal.arguments import identifier, one_of, past_since_moment

if TYPE_CHECKING:
    from schemas.json_records import Json
    from schemas.settings import Settings
    from streams.recovery.redrive import DeadLetterFilter, Selection, StoredDeadLetter
    from streams.terminal.json_lines import DeadLetterLine, Redriven, WholeDeadLetter
    from workers.state.store import Store

letters_app = typer.Typer(help="List dead letters, and redrive them after the cause is fixed.", no_args_is_help=True)

Since = Annotated[
    datetime | None,
    typer.Option(
        parser=past_since_moment,
        metavar="TIME",
        help="Written since this time: RFC 3339, or an age (90m, 12h, 3d, 2w).",
    ),
]
WRITERS = [stage.name for stage in STAGES if DEAD in stage.writes]
Stage = Annotated[
    str | None,
    typer.Option(parser=one_of(*WRITERS), metavar="STAGE", help=f"Written by this stage: {', '.join(WRITERS)}."),
]
Reason = Annotated[
    str | None, typer.Option(parser=identifier, metavar="REASON", help="For this reason, such as audio:undecodable.")
]
TEXT_BYTES = 400
"""Shown of a text, as of a record that cannot be decoded."""
ITEMS = 20
"""Shown of a list or an object."""
REFUSED_SHOWN = 20
"""Lines about dead letters that are not sent back."""


def add_to(app: typer.Typer) -> None:
    """Mount the commands of this module."""
    app.add_typer(letters_app, name="dead-letters")


@letters_app.command("list")
def list_letters(since: Since = None, stage: Stage = None, reason: Reason = None, as_json: AsJson = False) -> None:
    """List dead letters on `memos.dead`, oldest first."""
    from streams.recovery.redrive import DeadLetterFilter

    skipped: Counter[str] = Counter()
    with progress(None, "reading memos.dead"):
        kept = asyncio.run(_find(DeadLetterFilter(since, stage, reason), skipped))
    if skipped:
        warn(f"{skipped.total()} records on memos.dead are no dead letters, or outside of the limits")
    output = printer(as_json)
    output.table([_summary(each) for each in kept], COLUMNS)
    output.note(f"{len(kept)} dead letters")


COLUMNS: "tuple[Column[DeadLetterLine], ...]" = (
    Column("id", itemgetter("dead_letter_id")),
    Column("at", lambda line: line["at"][:19].replace("T", " ")),
    Column("stage", itemgetter("stage")),
    Column("reason", itemgetter("reason")),
    Column("from", lambda line: f"{line['topic']} {line['partition']}:{line['offset']}"),
    Column("redriven", lambda line: line["redriven"] or None, right=True),
)


@letters_app.command()
def show(
    dead_letter_id: Annotated[
        str,
        typer.Argument(parser=identifier, metavar="DEAD_LETTER_ID", help="Id of the dead letter, or its beginning."),
    ],
    as_json: AsJson = False,
) -> None:
    """Show one dead letter: reason, origin, history, and the original record, which may name a user."""
    from streams.recovery.redrive import DeadLetterFilter

    with progress(None, "reading memos.dead"):
        found = asyncio.run(_find(DeadLetterFilter(ids=(dead_letter_id,))))
    if len(found) != 1:
        raise typer.BadParameter(f"{len(found)} dead letters have such an id", param_hint="DEAD_LETTER_ID")
    whole = _whole(found[0])
    printer(as_json).fields(whole, _shown(cast("Mapping[str, Json]", whole)))


@letters_app.command()
def redrive(
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            parser=identifier, metavar="[IDS]...", help="Ids, or their beginnings. Default: all dead letters."
        ),
    ] = None,
    since: Since = None,
    stage: Stage = None,
    reason: Reason = None,
    again: Annotated[bool, typer.Option("--again", help="Include dead letters that were sent back before.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be sent back.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send records back to their topic and partition, after the cause is fixed.

    Each is sent back once, however often this runs. A record that fails again is a new dead letter with its history.
    A dead letter that its original record contradicts, or that nothing shows to be genuine, is refused by itself.
    """
    from streams.recovery.redrive import DeadLetterFilter

    with progress(None, "redriving"):
        done, skipped = asyncio.run(
            _redrive(DeadLetterFilter(since, stage, reason, tuple(ids or ())), again=again, dry_run=dry_run)
        )
    output = printer(as_json)
    output.data(*_redriven(done, dry_run=dry_run))
    for each in done.refused[:REFUSED_SHOWN]:
        output.note(f"refused {each.letter.dead_letter_id}: {each.why}")
    if len(done.refused) > REFUSED_SHOWN:
        output.note(f"refused {len(done.refused) - REFUSED_SHOWN} more")
    earlier = f"; {skipped} had been sent back before (--again includes them)" if skipped else ""
    refused = f"; {len(done.refused)} refused" if done.refused else ""
    output.note(f"{len(done.records)} records {'would be ' if dry_run else ''}sent back{earlier}{refused}")


def _redriven(done: "Selection", *, dry_run: bool) -> "list[Redriven]":
    """A line per record that is sent back, then one per dead letter that is refused."""
    outcome: Literal["sent", "would_be_sent"] = "would_be_sent" if dry_run else "sent"
    groups = [([each.letter for each in record], outcome, "") for record in done.records]
    refused = [([each.letter], "refused", each.why) for each in done.refused]
    return [
        {
            "outcome": what,  # type: ignore[typeddict-item]  # mypy widens literals in tuples
            "dead_letter_ids": [letter.dead_letter_id for letter in letters],
            "topic": letters[0].topic,
            "partition": letters[0].partition,
            "offset": letters[0].offset,
            "detail": why,
        }
        for letters, what, why in (*groups, *refused)
    ]


async def _find(wanted: "DeadLetterFilter", skipped: "Counter[str] | None" = None) -> "list[StoredDeadLetter]":
    from schemas.schema_registry import make_codec
    from streams.recovery import redrive as letters

    async with _connected() as (settings, store):
        return await letters.find(settings, make_codec(settings), store, wanted, skipped)


async def _redrive(wanted: "DeadLetterFilter", *, again: bool, dry_run: bool) -> "tuple[Selection, int]":
    """What was sent back and refused, and how many dead letters were skipped because they had been sent before."""
    from schemas.schema_registry import make_codec
    from streams.recovery import redrive as letters
    from workers.kafka.clients import make_producer
    from workers.kafka.connect import started_once

    async with _connected() as (settings, store):
        codec = make_codec(settings)
        kept = await letters.find(settings, codec, store, wanted)
        chosen = await letters.verified(settings, codec, letters.select(kept, again=again))
        skipped = 0 if again else sum(each.redriven > 0 for each in kept)
        if not dry_run and chosen.records:
            producer = await started_once(lambda: make_producer(settings), settings)
            try:
                chosen = await letters.redrive(chosen, producer, store)
            finally:
                await producer.stop()
        return chosen, skipped


@asynccontextmanager
async def _connected() -> "AsyncIterator[tuple[Settings, Store]]":
    from streams.local.discover import connected
    from workers.state.open_store import open_store

    settings = connected(load_settings())
    async with open_store(settings) as store:
        yield settings, store


def _redrives(each: "StoredDeadLetter") -> int:
    """How often this record was redriven: before this dead letter, and since."""
    from schemas.redrive_headers import redrives_of

    return redrives_of(each.letter.headers) + each.redriven


def _summary(each: "StoredDeadLetter") -> "DeadLetterLine":
    from schemas.json_records import to_plain

    letter = each.letter
    return {
        "dead_letter_id": letter.dead_letter_id,
        "at": str(to_plain(letter.at)),
        "stage": letter.stage,
        "reason": letter.reason,
        "detail": letter.detail,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "redriven": _redrives(each),
    }


def _whole(each: "StoredDeadLetter") -> "WholeDeadLetter":
    """What `list` shows, and history, headers, key, and the record, decoded where it can be."""
    from schemas.json_records import to_plain
    from schemas.redrive_headers import HISTORY, history_of

    letter = each.letter
    headers = {name: _text(value) for name, value in letter.headers.items() if name != HISTORY}
    return {
        **_summary(each),
        "history": [to_plain(failure) for failure in history_of(letter.headers)],
        "headers": headers,
        "key": _text(letter.key),
        "bytes": None if letter.value is None else len(letter.value),
        "record": _record(letter.topic, letter.value),
        "value_hex": None if letter.value is None else letter.value.hex(),
    }


def _record(topic: str, value: bytes | None) -> "Json":
    from schemas import topics
    from schemas.codec import DecodeError
    from schemas.json_records import to_plain
    from schemas.schema_registry import make_codec

    kind = next((known.record for known in topics.TOPICS if known.name == topic), None)
    if kind is None:
        return _text(value)
    try:
        return to_plain(make_codec(load_settings()).decode(value, kind))
    except DecodeError:
        return _text(value)


def _text(value: bytes | None) -> str | None:
    """Bytes as text where they are text, else as hexadecimal digits."""
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()


def _shown(whole: "Mapping[str, Json]") -> dict[str, str]:
    """The fields for people: those of an object on lines of their own, long texts and lists shortened."""
    lines: dict[str, str] = {}
    for name, value in whole.items():
        if isinstance(value, dict):
            parts = [*value.items()]
            lines |= {f"{name}.{part[:TEXT_BYTES]}": _shortened(each) for part, each in parts[:ITEMS]}
            lines |= {f"{name}.…": f"+{len(parts) - ITEMS}"} if len(parts) > ITEMS else {}
        else:
            lines[name] = _shortened(value)
    return lines


def _shortened(value: "Json") -> str:
    """A text as it is, anything else as one line of JSON; long texts, lists and objects shortened."""
    from schemas.json_records import json_line

    if value is None:
        return ""
    return value if isinstance(value, str) and len(value) <= TEXT_BYTES else json_line(_short(value))


def _short(value: "Json") -> "Json":
    if isinstance(value, str):
        return value if len(value) <= TEXT_BYTES else f"{value[:TEXT_BYTES]}… (+{len(value) - TEXT_BYTES})"
    if isinstance(value, list):
        rest = [f"… (+{len(value) - ITEMS})"] if len(value) > ITEMS else []
        return [*map(_short, value[:ITEMS]), *rest]
    if isinstance(value, dict):
        rest_of = {"…": f"+{len(value) - ITEMS}"} if len(value) > ITEMS else {}
        return {name[:TEXT_BYTES]: _short(each) for name, each in [*value.items()][:ITEMS]} | rest_of
    return value
