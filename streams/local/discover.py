"""Finds an embedded system that runs on this machine, by a file in its home."""

import fcntl
import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from schemas.errors import ConfigurationError, Stop
from schemas.settings import Settings
from streams.local.private_files import private_folder, private_opener, write_private

NOTE = "up.json"
"""File in the home of a running system. `REDIS_URL` may contain a password, so it is for the home's user alone."""


@dataclass(frozen=True, slots=True)
class Running:
    """Addresses of a running embedded system, as in the file in its home.

    dashboard_url: empty where there is none.
    """

    bootstrap: str
    redis_url: str
    embedded: bool
    dashboard_url: str = ""


def running(settings: Settings) -> Running | None:
    """The embedded system that runs with this home, if any."""
    note = settings.home / NOTE
    if not note.exists() or not _locked(settings.home):
        return None
    return Running(**json.loads(note.read_text()))


def announce(home: Path, system: Running) -> Path:
    """Write the file that other commands find a running system by, and return it."""
    note = home / NOTE
    write_private(note, json.dumps(asdict(system)).encode())
    return note


def without_credentials(url: str) -> str:
    """An address for people: without user, password and options.

    >>> without_credentials("rediss://user:secret@store:6379/0?password=secret")
    'rediss://***@store:6379/0'
    """
    parts = urlsplit(url)
    _, at, host = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{'***@' if at else ''}{host}{parts.path}"


def connected(settings: Settings, *, kafka: bool = True, redis: bool = True) -> Settings:
    """Settings with the servers that are needed: as given, or those of the running embedded system.

    kafka, redis: whether each is needed. Raises ConfigurationError when one is neither given nor running.
    """
    lacking = [
        name
        for name, needed, address in (
            ("KAFKA_BOOTSTRAP", kafka, settings.kafka_bootstrap),
            ("REDIS_URL", redis, settings.redis_url),
        )
        if needed and not address
    ]
    if not lacking:
        return settings
    found = running(settings)
    if found is None:
        lacks = f"{' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not set"
        raise ConfigurationError(
            f"{lacks}, and no embedded system runs: set what is needed, or start one with `undertone up`"
        )
    return settings.model_copy(
        update={
            "kafka_bootstrap": settings.kafka_bootstrap or found.bootstrap,
            "redis_url": settings.redis_url or found.redis_url,
        }
    )


def lock(home: Path) -> ExitStack:
    """Lock a home for this process. Raises Stop when another has it."""
    private_folder(home)
    with ExitStack() as exits:
        handle = exits.enter_context(open(home / "lock", "w", opener=private_opener))
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
