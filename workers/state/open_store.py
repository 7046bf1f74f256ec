"""The store and the due times of the settings: what is of a person is sealed, or was and still opens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from schemas.settings import Settings
from schemas.state_keys import OPEN_JOINS, StateKey
from workers.privacy.sealing import sealing_of
from workers.state.deadlines import Deadlines
from workers.state.redis_deadlines import RedisDeadlines
from workers.state.redis_store import RedisStore
from workers.state.store import Store

if TYPE_CHECKING:
    from workers.privacy.keyring import Keyring
    from workers.state.places import Places

_PLACES: "WeakValueDictionary[Keyring, Places]" = WeakValueDictionary()


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """The store, open during the block, with the keys of this process where there are any.

    Raises ConfigurationError for settings that cannot be used, Transient while the key directory does not answer.
    """
    sealing = sealing_of(settings)
    async with RedisStore.of(settings) as inner:
        keyring = await sealing.keys()
        if keyring is None:
            yield inner
            return
        # Only processes that seal, or meet what is sealed, load cryptography.
        from workers.state.sealed_store import SealedStore

        yield SealedStore(inner, keyring, sealing=sealing.is_on, places=_places_of(keyring))


@asynccontextmanager
async def open_deadlines(settings: Settings, row: StateKey = OPEN_JOINS) -> AsyncIterator[Deadlines]:
    """Due times of a row of the table of keys, open during the block. Raises as `open_store`."""
    sealing = sealing_of(settings)
    async with RedisDeadlines.of(settings, row) as inner:
        keyring = await sealing.keys()
        if keyring is None:
            yield inner
            return
        from workers.state.sealed_deadlines import SealedDeadlines

        yield SealedDeadlines(inner, keyring, row, sealing=sealing.is_on, places=_places_of(keyring))


async def take_over(store: Store, settings: Settings) -> int:
    """Have every value of a person written as the settings say, sealed or in clear; returns how many were not.

    Raises Transient.
    """
    if await sealing_of(settings).keys() is None:
        return 0
    from workers.state.sealed_store import SealedStore

    lifetimes = {"UNDERTONE_JOIN_TTL_S": settings.join_ttl_s}
    if not isinstance(store, SealedStore):
        return 0
    return await store.take_over(lambda row: lifetimes.get(row.lifetime, settings.state_ttl_s))


def _places_of(keyring: "Keyring") -> "Places":
    """Where the keys of these people are: a store and the due times of its joins share it."""
    from workers.state.places import Places

    return _PLACES.setdefault(keyring, Places(keyring))
