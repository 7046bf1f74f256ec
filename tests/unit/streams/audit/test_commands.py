"""The table of commands and their audit events."""

import typer
from typer.core import TyperGroup

from streams.audit.commands import COMMANDS, FILES, CommandEvent, Unaudited
from streams.cli.application import app
from tests.commands import commands

FOUND = {" ".join(path): each for path, each in commands(typer.main.get_command(app)) if path}
RUN = {path for path, each in FOUND.items() if not isinstance(each, TyperGroup) or each.invoke_without_command}


def test_every_command_has_a_row_and_every_row_is_a_command() -> None:
    assert sorted(COMMANDS) == sorted(RUN), "give each command a row in streams/audit/commands.py"


def test_rows_name_parameters_that_the_command_has() -> None:
    for path, row in COMMANDS.items():
        if isinstance(row, CommandEvent):
            has = {parameter.name for parameter in FOUND[path].params}
            named = {name for name in (*row.people, row.prefix, row.unless, row.only_with) if name}
            assert named <= has, path


def test_whoever_names_a_person_is_recorded_with_that_person() -> None:
    for path, each in FOUND.items():
        asked = {parameter.name for parameter in each.params if parameter.metavar == "USER"}
        row = COMMANDS.get(path)
        if asked and row is not FILES:
            assert isinstance(row, CommandEvent), path
            assert asked <= set(row.people), path


def test_every_command_without_an_event_says_why() -> None:
    assert all(row.why for row in COMMANDS.values() if isinstance(row, Unaudited))
