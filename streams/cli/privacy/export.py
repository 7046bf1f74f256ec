"""`undertone export`: everything that is held of one person, for that person."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import ExitCode
from streams.cli.load_settings import load_settings
from streams.cli.printing import AsJson, fail, printer, progress
from streams.terminal.arguments import new_file, pseudonym

if TYPE_CHECKING:
    from streams.terminal.export_lines import ExportedPerson


def add_to(app: typer.Typer) -> None:
    """Mount the command."""
    app.command()(export)


def export(
    user: Annotated[str, typer.Option(parser=pseudonym, metavar="USER", help="Pseudonym of the person.")],
    out: Annotated[
        Path, typer.Option(parser=new_file(".zip"), metavar="FILE.zip", help="The archive. Nothing is overwritten.")
    ],
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why, as the audit trail says it; without the pseudonym.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write everything that is held of one person into a ZIP archive: for that person, or another system.

    It has a page for people, and for programs all records as JSON, scores and markers as CSV, and a FHIR R4 bundle.
    Read its notes by staff before you hand it on: they may be about somebody else. The file is for its owner alone.
    """
    from schemas.schema_registry import make_codec
    from streams.local.discover import connected
    from streams.views.export.archive import archive, counts
    from streams.views.export.gather import gather
    from workers.service.private_files import create_private

    settings = connected(load_settings())
    codec = make_codec(settings)
    with progress(None, "reading the topics"):
        held = asyncio.run(gather(settings, codec, user))
    if held.empty:
        fail("nothing is held of this user: no record, state or row; check the pseudonym", ExitCode.FAILED)
    data = archive(held, codec)
    create_private(out, data)
    done: ExportedPerson = {
        "file": str(out),
        "bytes": len(data),
        "records": counts(held),
        "database": held.history is not None,
    }
    output = printer(as_json)
    output.data(done)
    output.note(f"{out}: {sum(done['records'].values())} records, {len(data)} bytes; begin with index.html in it")
    if not done["database"]:
        output.note("there is no database of the history here, so none is in it")
