"""`undertone history`: the role, and the commands for its database."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import ConfigurationError
from streams.cli.load_settings import load_settings
from streams.cli.printing import AsJson, printer, progress, warn

if TYPE_CHECKING:
    from schemas.settings import Settings
    from streams.terminal.history_lines import CohortMembers, Migrated, Rebuilt

history_app = typer.Typer(
    help="Keep scores, alerts and what people did in a database, for the dashboard.", invoke_without_command=True
)


def add_to(app: typer.Typer) -> None:
    """Mount the command and those below it."""
    app.add_typer(history_app, name="history")


@history_app.callback()
def history(context: typer.Context) -> None:
    """Keep scores, alerts and what people did in a database, for the dashboard: topics → SQL.

    The database is a file of SQLite in UNDERTONE_HOME, or PostgreSQL at UNDERTONE_DATABASE_URL. Run any number of
    these processes with PostgreSQL, one with SQLite. `undertone up` starts one as well.
    """
    if context.invoked_subcommand is not None:
        return
    from streams.roles.process import until_asked_to_stop

    settings = _settings()
    from streams.roles.history import run_history

    until_asked_to_stop(settings, "history", lambda stop: run_history(settings, stop))


@history_app.command()
def migrate(as_json: AsJson = False) -> None:
    """Create the tables, or bring those of an older version to this one. It may be repeated.

    SQLite needs no such step: the role takes it. Stop no process for it: what runs waits until it is done.
    """
    _check_packages()
    from streams.history.database import Database

    done: Migrated = {"migrated": Database.migrate(load_settings())}
    output = printer(as_json)
    output.data(done)
    output.note("tables migrated" if done["migrated"] else "nothing to migrate: the tables are of this version")


@history_app.command()
def rebuild(
    yes: Annotated[bool, typer.Option("--yes", help="Also when records would be lost.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete what came from the topics, and read them again from their beginning.

    Records that the topics no longer hold are lost: with some it is refused without --yes. Processes of the role that
    run meanwhile take part, and pages show what is read so far. Cohorts of a file stay.
    """
    settings = _settings()
    from streams.roles.history import lost_by_rebuild
    from streams.roles.history import rebuild as read_again

    lost = asyncio.run(lost_by_rebuild(settings))
    if lost and not yes:
        raise ConfigurationError(
            f"{lost} stored records are no longer on the topics and would be lost: repeat it with --yes, or make a "
            "backup of the database first"
        )
    with progress(None, "reading the topics"):
        records = asyncio.run(read_again(settings))
    if lost:
        warn(f"{lost} records that the topics no longer hold are gone")
    done: Rebuilt = {"records": records, "lost": lost}
    output = printer(as_json)
    output.data(done)
    output.note(f"{records} records stored")


@history_app.command()
def cohorts(
    path: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, metavar="FILE.csv", help="Lines of `pseudonym,cohort`.")
    ],
    as_json: AsJson = False,
) -> None:
    """Name people's cohorts one by one, instead of those that the last file named; the others go by prefix.

    The dashboard shows the new ones when the command ends.
    """
    _check_packages()
    from streams.history.cohorts import read_members

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            members = list(read_members(file))
    except UnicodeDecodeError:
        raise typer.BadParameter("is not a text in UTF-8", param_hint="FILE.csv") from None
    with progress(None, "naming cohorts"):
        people = asyncio.run(_name_cohorts(load_settings(), members))
    done: CohortMembers = {"people": people}
    output = printer(as_json)
    output.data(done)
    output.note(f"the cohorts of {people} people are named")


async def _name_cohorts(settings: "Settings", members: list[tuple[str, str]]) -> int:
    from streams.history.cohorts import by_prefix, reassign, replace_members
    from streams.history.database import Database

    database = await asyncio.to_thread(Database.open, settings)
    try:
        people = await database.write(replace_members, members)
        after: str | None = ""
        while after is not None:
            after = await database.write(reassign, by_prefix(settings.cohorts), after)
    finally:
        database.close()
    return people


def _settings() -> "Settings":
    """Settings with a broker: as given, or that of the running embedded system. Raises ConfigurationError."""
    _check_packages()
    from schemas.settings import Settings
    from streams.local.discover import connected

    return connected(Settings.load(), redis=False)


def _check_packages() -> None:
    """Raises ConfigurationError where the packages of the history are not installed."""
    from importlib.util import find_spec

    if any(find_spec(name) is None for name in ("sqlalchemy", "alembic", "psycopg")):
        raise ConfigurationError("the history's packages are missing: `pip install 'undertone-voice[history]'`")
