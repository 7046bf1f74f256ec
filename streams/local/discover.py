"""Finds an embedded system that runs on this machine, by a file in its home."""

import fcntl
import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from schemas.errors import ConfigurationError, Stop
from schemas.settings import Settings
from streams.local.private_files import private_folder, write_private
from workers.service.private_files import private_opener

NOTE = "up.json"
"""File in the home of a running system, for the home's user alone."""
CREDENTIALS = ("username", "password")
"""Options of an address of Redis that are secrets."""


@dataclass(frozen=True, slots=True)
class Running:
    """Addresses of a running embedded system, as in the file in its home: no password is in any of them.

    dashboard_url: empty where there is none; redis_needs_password: the address that the system was given had one; seal:
    whether it seals, as in UNDERTONE_SEAL.
    """

    bootstrap: str
    redis_url: str
    embedded: bool
    dashboard_url: str = ""
    redis_needs_password: bool = False
    seal: str = "off"


def running(settings: Settings) -> Running | None:
    """The embedded system that runs with this home, if any."""
    note = settings.home / NOTE
    try:
        if not note.exists() or not _locked(settings.home):
            return None
    except PermissionError:
        return None  # a home of another user
    return Running(**json.loads(note.read_text()))


def announce(home: Path, system: Running) -> Path:
    """Write the file that other commands find a running system by, and return it; passwords stay out of it."""
    note = home / NOTE
    address, removed = _split_credentials(system.redis_url)
    told = replace(system, redis_url=address, redis_needs_password=system.redis_needs_password or removed)
    write_private(note, json.dumps(asdict(told)).encode())
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

    kafka, redis: whether each is needed. What is written to the running system is sealed as it seals, unless
    UNDERTONE_SEAL is given. Raises ConfigurationError when a server is neither given nor running, or when the running
    system's Redis needs a password that is not given: it is written nowhere.
    """
    lacking = [
        name
        for name, needed, address in (
            ("KAFKA_BOOTSTRAP", kafka, settings.kafka_bootstrap),
            ("REDIS_URL", redis, settings.redis_url),
        )
        if needed and not address
    ]
    found = running(settings)
    if not lacking:
        return _sealed_as(found, settings)
    if found is None:
        lacks = f"{' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not set"
        raise ConfigurationError(
            f"{lacks}, and no embedded system runs: set what is needed, or start one with `undertone up`"
        )
    given = settings.model_fields_set
    if "REDIS_URL" in lacking and found.redis_needs_password and "redis_password" not in given:
        raise ConfigurationError(
            "the Redis of the running system needs a password, which is kept nowhere: set REDIS_URL, or "
            "UNDERTONE_REDIS_USER and UNDERTONE_REDIS_PASSWORD, as for `undertone up`"
        )
    addresses = {
        "kafka_bootstrap": settings.kafka_bootstrap or found.bootstrap,
        "redis_url": settings.redis_url or found.redis_url,
    }
    return _sealed_as(found, settings.model_copy(update=addresses))


def _sealed_as(found: Running | None, settings: Settings) -> Settings:
    """Settings that seal as the running system does, if they have its broker and do not say it themselves."""
    if found is None or found.bootstrap != settings.kafka_bootstrap or "seal" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"seal": found.seal})


def _split_credentials(url: str) -> tuple[str, bool]:
    """An address for programs: with its options, without user and password; and whether it had any.

    >>> _split_credentials("rediss://user:secret@store:6379/0?password=secret&socket_timeout=3")
    ('rediss://store:6379/0?socket_timeout=3', True)
    """
    parts = urlsplit(url)
    _, at, host = parts.netloc.rpartition("@")
    given = parse_qsl(parts.query, keep_blank_values=True)
    options = [(name, value) for name, value in given if name not in CREDENTIALS]
    if not at and len(options) == len(given):
        return url, False
    return f"{parts.scheme}://{host}{parts.path}{'?' if options else ''}{urlencode(options)}", True


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
