"""The commands of `undertone`, found in the application itself, so that a new one is in every test of all of them."""

from collections.abc import Iterator
from typing import Any

from typer.core import TyperGroup


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and every group, a group before its own, each with the words after `undertone` that name it."""
    yield path, command
    if isinstance(command, TyperGroup):
        for name, each in command.commands.items():
            yield from commands(each, (*path, name))


def paths(command: object) -> Iterator[tuple[str, ...]]:
    """The words of every command and every group."""
    return (path for path, _ in commands(command))
