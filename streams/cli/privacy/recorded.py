"""Records what a command is about to show or do, before it does: an event that cannot be written stops the command."""

import asyncio
from collections.abc import Mapping
from functools import wraps
from typing import Any

from schemas.errors import Transient
from streams.audit.commands import COMMANDS, Unaudited
from streams.cli.load_settings import load_settings


def record_commands(command: Any, words: tuple[str, ...] = ()) -> None:
    """Let every command below this one leave its event before it runs, whatever it then does."""
    for name, each in getattr(command, "commands", {}).items():
        record_commands(each, (*words, name))
    path = " ".join(words)
    if not hasattr(command, "commands") and not isinstance(COMMANDS.get(path), Unaudited):
        command.callback = _recorded(path, command.callback)


def record(path: str, given: Mapping[str, object]) -> None:
    """Write the event of a command, if it leaves one. Raises Transient or BrokerRefused when Kafka does not take it."""
    from streams.audit.command_events import command_event, leaves_event

    if not leaves_event(path, given):
        return  # before the settings are read: `doctor` reports what is wrong with them
    from streams.api.publish import publish_event
    from streams.audit.settings import keys_of
    from streams.cli.privacy.token_actor import actor_by
    from streams.local.discover import connected

    settings = load_settings()
    event = command_event(path, given, actor_by(settings))
    if event is None:
        return
    try:
        live = connected(settings, redis=False)
        asyncio.run(publish_event(live, event, keys_of(live)))
    except Transient as error:
        raise Transient(f"{error}; nothing was done, because it could not be recorded in the audit trail") from error


def _recorded(path: str, callback: Any) -> Any:
    @wraps(callback)
    def run(**given: Any) -> Any:
        record(path, given)
        return callback(**given)

    return run
