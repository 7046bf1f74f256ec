"""Finds an embedded system that runs on this machine, by a file in its home."""

import fcntl
import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import ConfigurationError, Stop
from schemas.settings import Settings


@dataclass(frozen=True, slots=True)
class Running:
    """Addresses of a running embedded system, as in the file in its home."""

    bootstrap: str
    redis_url: str
    embedded: bool


def running(settings: Settings) -> Running | None:
    """The embedded system that runs with this home, if any."""
    note = settings.home / "up.json"
    if not note.exists() or not _locked(settings.home):
        return None
    return Running(**json.loads(note.read_text()))


def connected(settings: Settings) -> Settings:
    """Settings with a broker and a store: as given, or those of the running embedded system.

    Raises ConfigurationError if there is neither.
    """
    if settings.kafka_bootstrap and settings.redis_url:
        return settings
    found = running(settings)
    if found is None:
        raise ConfigurationError(
            "no broker: set KAFKA_BOOTSTRAP and REDIS_URL, or start an embedded system with `undertone up`"
        )
    return settings.model_copy(
        update={
            "kafka_bootstrap": settings.kafka_bootstrap or found.bootstrap,
            "redis_url": settings.redis_url or found.redis_url,
        }
    )


def lock(home: Path) -> ExitStack:
    """Lock a home for this process. Raises Stop when another has it."""
    home.mkdir(parents=True, exist_ok=True)
    with ExitStack() as exits:
        handle = exits.enter_context((home / "lock").open("w"))
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Stop("an `undertone up` with this home is already running; stop it, or set UNDERTONE_HOME") from None
        return exits.pop_all()


def _locked(home: Path) -> bool:
    """Whether a process has locked this home."""
    try:
        lock(home).close()
    except Stop:
        return True
    return False
