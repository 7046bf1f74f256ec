"""Remembers in Redis how far the key directory is, so that a process that starts on an older one makes no keys.

A directory that was restored from a backup knows nothing of what came after it, and neither does a new process. Redis
is kept apart from it. Where the newest backup is the older one, whoever operates it deletes the key in Redis.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, NoReturn

import msgpack

from schemas.errors import UndertoneError
from schemas.settings import Settings
from schemas.state_keys import WITNESS
from workers.privacy.sealing import DIRECTORY_FILE
from workers.state.store import Store

if TYPE_CHECKING:
    from workers.privacy.key_tables import KeyDatabase
    from workers.privacy.sources.directory_age import Age

log = logging.getLogger(__name__)

LOOK_S = 5.0
TTL_S = 10 * 365 * 86400.0
OLDER = (
    "the key directory is older than it was, so no process makes keys: restore its newest backup; if this is the "
    "newest, delete undertone:key-directory in Redis"
)


class DirectoryWitness:
    """That of one process, with the directory and the Redis of its settings."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store
        self._database: KeyDatabase | None = None
        self._is_older = False

    async def run(self) -> NoReturn:
        """Look until cancelled. What hinders it is said by whoever needs keys or Redis."""
        try:
            while True:
                try:
                    await self.look()
                except UndertoneError as error:
                    log.debug("the key directory is not witnessed: %s", error)
                await asyncio.sleep(LOOK_S)
        finally:
            self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._database is not None:
            self._database.engine.dispose()
            self._database = None

    async def look(self) -> bool:
        """Whether the directory is older than it was; noted in it. Raises Transient, ConfigurationError."""
        if self._settings.key_directory_url is None and not (self._settings.home / DIRECTORY_FILE).exists():
            return False
        # Only processes that seal load SQLAlchemy.
        from workers.privacy.key_tables import KeyDatabase, engine_of
        from workers.privacy.sources.directory_age import age_of, note_behind

        if self._database is None:
            self._database = await asyncio.to_thread(lambda: KeyDatabase(engine_of(self._settings)))
        age, noted = await asyncio.to_thread(age_of, self._database)
        older = age.is_older(await self._seen(age))
        if older != noted:
            await asyncio.to_thread(note_behind, self._database, older)
        if older != self._is_older:
            self._is_older = older
            log.log(logging.ERROR if older else logging.WARNING, OLDER if older else "the key directory is not older")
        return older

    async def _seen(self, age: "Age") -> "Age":
        """The furthest that any process has seen, this time included."""

        def seen(_: str, data: bytes | None) -> "tuple[bytes | None, Age]":
            people, month = _loaded(data)
            before = age._replace(people=people, month=month)
            newest = age.newest(before)
            return (None if newest == before else WITNESS.framed(msgpack.packb(list(newest)))), newest

        return (await self._store.update([WITNESS.key()], seen, ttl_s=TTL_S))[WITNESS.key()]


def _loaded(data: bytes | None) -> tuple[int, int]:
    """People and month in stored bytes. Raises UnreadableState."""
    if data is None or WITNESS.is_newer(data):
        return 0, 0
    with WITNESS.decoding():
        people, month = map(int, msgpack.unpackb(WITNESS.opened(data)[1]))
        return people, month
