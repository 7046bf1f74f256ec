"""Whether data is sealed where no setting says so: on one machine that shares nothing, with keys in its home.

`UNDERTONE_SEAL` decides wherever it is set. Where it is not, and no server is one's own, `undertone up` seals; commands
follow the home, whether a system runs in it or not.
"""

import asyncio

from schemas.settings import Settings
from schemas.stored_files import KEYS
from streams.local.discover import running
from workers.privacy.sealing import Sealing

SHARED = ("kafka_bootstrap", "redis_url", "database_url", "key_directory_url", "key_service_url")
"""Settings that name a server of one's own. Others may read it, and they do not have the keys of this home."""


def sealed_unless_shared(settings: Settings) -> Settings:
    """Settings of a system on this machine: sealed, unless it has a server of one's own or `UNDERTONE_SEAL` is set."""
    return settings if _is_decided(settings) else settings.model_copy(update={"seal": "on"})


def sealed_as_home(settings: Settings) -> Settings:
    """Settings of a command: sealed as the system that runs in the home, or else if the home has keys. Makes none."""
    if _is_decided(settings):
        return settings
    found = running(settings)
    if found is not None:
        return settings.model_copy(update={"seal": found.seal})
    return settings.model_copy(update={"seal": "on"}) if _has_keys(settings) else settings


async def open_keys(sealing: Sealing) -> None:
    """Open the keys of a system that starts and seals, or make them, however long a busy machine takes.

    Raises ConfigurationError, and Transient while a server of the key directory does not answer.
    """
    if sealing.is_on:
        await asyncio.to_thread(lambda: sealing.keyring)


def _is_decided(settings: Settings) -> bool:
    return "seal" in settings.model_fields_set or any(getattr(settings, name) for name in SHARED)


def _has_keys(settings: Settings) -> bool:
    try:
        return any((settings.home / name).exists() for name in KEYS.names)
    except PermissionError:
        return False  # a home of another user
