"""The commands of `undertone`, found in the application itself, so that a new one is in every test of all of them."""

from collections.abc import Iterator

from typer.core import TyperGroup


def paths(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words after `undertone` of every command and every group, a group before its own."""
    yield path
    if isinstance(command, TyperGroup):
        for name, each in command.commands.items():
            yield from paths(each, (*path, name))
