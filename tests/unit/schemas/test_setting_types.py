"""Roles that settings declare, against the code that each role's commands reach."""

import ast
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from schemas.channels import CHANNELS
from schemas.setting_types import Role
from schemas.settings import Settings, roles_of
from streams.cli.application import app
from tests.unit.schemas.call_graph import definitions, mentions, modules, reached

ROLES = {
    "worker": Role.WORKER,
    "agents": Role.AGENTS,
    "bridge": Role.BRIDGE,
    "history": Role.HISTORY,
    "dashboard": Role.DASHBOARD,
    "up": Role.UP,
    "demo": Role.UP,
}
"""By the first word of a command; the other commands are the command line's."""
SERVED = {"serve": Role.KEYS}
"""By the last word, of commands of which others are the command line's."""
TELLS = Role.BRIDGE | Role.DASHBOARD | Role.COMMAND_LINE
"""Roles that make receivers: bridges, and whoever erases a person."""
HOLDERS = {"settings", "given", "live"}
"""What variables and attributes that hold a Settings are called, but for underscores in front."""


def commands(command: Any, role: Role | None = None) -> Iterator[tuple[Role, str]]:
    """The function of every command, with its role."""
    if command.callback is not None:
        # A command that a function makes stands for that function.
        outermost = command.callback.__qualname__.partition(".<locals>")[0]
        yield role or Role.COMMAND_LINE, f"{command.callback.__module__}.{outermost}"
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, SERVED.get(name) or role or ROLES.get(name, Role.COMMAND_LINE))


def ways(role: Role) -> dict[str, str]:
    starts = [function for of, function in commands(typer.main.get_command(app)) if of is role]
    assert starts
    # The module of a channel is imported by its name.
    receivers = [f"streams.notify.{channel.name}.make_receiver" for channel in CHANNELS]
    return reached([*starts, *(receivers if role in TELLS else ())], mentions())


def reads(tree: ast.stmt) -> set[str]:
    """The settings that a definition reads as attributes."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        if node.attr in Settings.model_fields and _last(node.value).lstrip("_") in HOLDERS
    }


def names(tree: ast.stmt) -> set[str]:
    """The settings that a definition names as text, as tables and `getattr` do."""
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return texts & set(Settings.model_fields)


def _last(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


@pytest.mark.parametrize("role", Role, ids=lambda role: role.name)
def test_what_a_role_reads_declares_it(role: Role) -> None:
    undeclared = {
        f"{field}: add Role.{role.name}, because of {way}"
        for name, way in ways(role).items()
        for field in reads(definitions()[name])
        if role not in roles_of(field)
    }
    assert not undeclared


@pytest.mark.parametrize("role", Role, ids=lambda role: role.name)
def test_what_declares_a_role_is_read_by_it(role: Role) -> None:
    found = {field for name in ways(role) for field in reads(definitions()[name]) | names(definitions()[name])}
    assert {field for field in Settings.model_fields if role in roles_of(field)} <= found


def test_settings_are_held_under_names_that_are_looked_for() -> None:
    held = set()
    for tree in modules().values():
        for node in ast.walk(tree):
            match node:
                case ast.arg(arg=name, annotation=ast.Name(id="Settings") | ast.Constant(value="Settings")):
                    held.add(name)
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=made)):
                    if _last(made) == "connected" or ast.unparse(made) == "Settings.load":
                        held.add(name)
    assert held == HOLDERS


def test_a_role_that_is_not_declared_is_found() -> None:
    source = "def f(settings):\n    return settings.window_s, self._settings.bundle, other.home, getattr(x, 'instance')"
    (function,) = ast.parse(source).body
    assert reads(function) == {"window_s", "bundle"}
    assert names(function) == {"instance"}


def test_the_way_to_what_is_reached_is_reported() -> None:
    around = {"a": {"b", "gone"}, "b": {"a", "c"}, "c": set(), "d": {"c"}}
    assert reached(["a"], around) == {"a": "a", "b": "a → b", "c": "a → b → c"}
