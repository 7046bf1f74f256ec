"""`undertone erase`: erase one person with a certificate, and verify such a certificate."""

import asyncio
from collections.abc import Mapping
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.load_settings import load_settings
from streams.cli.printing import AsJson, Column, printer, progress
from streams.cli.privacy.recorded import record
from streams.terminal.arguments import identifier

if TYPE_CHECKING:
    from streams.privacy.places import Trial
    from streams.terminal.erasure_lines import ErasedPerson, TrialLine

erase_app = typer.Typer(
    help="Erase one person everywhere, and certify it; verify such a certificate.", invoke_without_command=True
)

Pseudonym = Annotated[
    str | None, typer.Option("--user", parser=identifier, metavar="PSEUDONYM", help="Pseudonym of the person.")
]


def add_to(app: typer.Typer) -> None:
    """Mount the command and the one below it."""
    app.add_typer(erase_app, name="erase")


@erase_app.callback()
def erase(
    context: typer.Context,
    user: Pseudonym = None,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why, as the certificate says it; without the pseudonym.")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(metavar="FILE", help="Where the certificate is written.")] = None,
    by: Annotated[str | None, typer.Option(parser=identifier, metavar="TICKET", help="Ticket of the request.")] = None,
    unsealed: Annotated[
        bool, typer.Option("--unsealed", help="Also a person all of whose data is in clear, so without keys.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Erase one person: destroy the keys, delete what is left, try to open everything, and certify it.

    It cannot be undone. Processes keep keys in memory for UNDERTONE_KEY_CACHE_S, and it waits as long. Interrupted, it
    goes on where it was when it is run again with the same pseudonym. Run it with the environment of the agents, and on
    a laptop with UNDERTONE_HOME.
    """
    if context.invoked_subcommand is not None:
        return
    if user is None or reason is None or certificate is None:
        raise typer.BadParameter("an erasure takes --user, --reason and --certificate", param_hint="erase")
    from streams.local.discover import connected
    from streams.local.privacy.home_place import HomePlace
    from streams.notify.person_erased import tell_receivers
    from streams.privacy.erasing import erase_person
    from streams.privacy.journal import Request

    request = Request(reason, by)
    request.check_unnamed(user)
    record("erase", {"user": user, "reason": reason})
    settings = connected(load_settings())
    with progress(None, "erasing"):
        places = [HomePlace(settings.home)]
        tell = partial(tell_receivers, settings)
        signed = asyncio.run(erase_person(settings, user, request, places, tell, unsealed=unsealed))
    certificate.write_bytes(signed)
    done: ErasedPerson = {"certificate": str(certificate)}
    output = printer(as_json)
    output.data(done)
    output.note(f"erased; the certificate is {certificate}: keep it, and verify it with `undertone erase verify`")


@erase_app.command()
def verify(
    certificate: Annotated[Path, typer.Argument(metavar="CERTIFICATE", help="File of the certificate.")],
    user: Pseudonym = None,
    as_json: AsJson = False,
) -> None:
    """Verify a certificate of erasure: its signature, and that nothing of the person opens anywhere.

    Reads every record of every topic and every value of every store. With --user it also looks for the pseudonym.
    """
    from streams.local.discover import connected
    from streams.local.privacy.home_place import HomePlace
    from streams.privacy.erasing import try_certificate

    settings = connected(load_settings())
    with progress(None, "trying every record"):
        places = [HomePlace(settings.home)]
        found = asyncio.run(try_certificate(settings, certificate.read_bytes(), user, places))
    output = printer(as_json)
    output.table(_lines(found), COLUMNS)
    output.note("verified: nothing opens" + (", and nothing holds the pseudonym" if user else ""))


def _lines(found: "Mapping[str, Mapping[str, Trial]]") -> "list[TrialLine]":
    return [
        {
            "place": place,
            "row": row,
            "tried": each.tried,
            "sealed": each.sealed,
            "opened": each.opened,
            "named": each.named,
            "kept": each.kept,
        }
        for place, trials in found.items()
        for row, each in trials.items()
    ]


COLUMNS: "tuple[Column[TrialLine], ...]" = (
    Column("place", itemgetter("place")),
    Column("row", itemgetter("row")),
    Column("tried", itemgetter("tried"), right=True),
    Column("sealed", itemgetter("sealed"), right=True),
    Column("opened", itemgetter("opened"), right=True),
    Column("named", itemgetter("named"), right=True),
    Column("kept", itemgetter("kept"), right=True),
)
