"""The steps of an erasure that are about keys, and the key that signs its certificate.

Undertone itself has a row in the key directory, under a name that no pseudonym can have. Its lasting key follows every
rotation of the store key; two keys are derived from it: one signs certificates, the other makes keyed hashes of
pseudonyms, so that a certificate shows whose it is to whoever has the pseudonym and this directory.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from schemas.errors import Transient
from streams.privacy.certificate import Statement, public_bytes, signed
from streams.privacy.places import Person
from streams.privacy.steps import Facts, timestamp
from workers.privacy.erased_people import ITSELF, LOST, person_hash
from workers.privacy.holders.key_holders import standing, tidy
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.key_tables import STORE_KEYS
from workers.privacy.store_keys import StoreKeyState, expand

ASK_EVERY_S = 0.5
MARGIN_S = 2.0
"""Seconds by which this machine's clock may be behind that of a process that read a key."""


class DirectoryKeys:
    """Keys of one directory. cache_s: how long a process may keep a key in memory, the same for every process."""

    def __init__(
        self, directory: KeyDirectory, cache_s: float, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        self._directory, self._cache_s, self._sleep = directory, cache_s, sleep

    def person_hash(self, user_id: str) -> str:
        """A keyed hash of a pseudonym, 64 hexadecimal digits: the same for as long as the directory lives."""
        return person_hash(self._own_key(), user_id)

    def sign(self, statement: Facts) -> bytes:
        """As `Keys.sign`."""
        return signed(statement, self._signing_key())

    def public_key(self) -> bytes:
        """32 bytes of the key that verifies certificates."""
        return public_bytes(self._signing_key().public_key())

    def refuse(self, person: Person) -> Facts:
        """As `Keys.refuse`; says which keys there are to destroy."""
        self._directory.mark_erasing(person.user_id)
        epochs: list[Statement] = [*self._directory.epochs_of(person.subject)]
        return {"at": timestamp(datetime.now(UTC)), "keys": epochs}

    def destroy(self, person: Person) -> Facts:
        """As `Keys.destroy`."""
        self._directory.destroy_keys(person.subject)
        return {"at": timestamp(datetime.now(UTC))}

    def rotate(self) -> Facts:
        """As `Keys.rotate`; with the key service's receipts. Raises Transient while an old version is not destroyed."""
        rotation = self._directory.rotate_store_key()
        older = select(STORE_KEYS).where(STORE_KEYS.c.version < rotation.version).order_by(STORE_KEYS.c.version)
        with self._directory.database.reading() as connection:
            rows = connection.execute(older).all()
        if kept := [row for row in rows if row.state != StoreKeyState.DESTROYED]:
            raise Transient(f"the key service still has {len(kept)} old versions of the store key")
        gone = {str(row.version): timestamp(row.destroyed_at.replace(tzinfo=UTC)) for row in rows}
        return {"store_key": rotation.version, "rewrapped": rotation.rewrapped, "destroyed": gone}

    async def forgotten(self, person: Person) -> Facts:
        """As `Keys.forgotten`: until every process that may hold keys noted that it dropped the person's.

        At most as long as a process may keep a key that it read just before it was destroyed: one that died, or does
        not reach the directory, uses none from then on.
        """
        database, waited_s, most_s = self._directory.database, 0.0, self._cache_s + MARGIN_S
        while True:
            found = await asyncio.to_thread(standing, database, person.subject, self._cache_s, time.time())
            if not found.missing or waited_s >= most_s:
                break
            pause_s = min(ASK_EVERY_S, most_s - waited_s)
            await self._sleep(pause_s)
            waited_s += pause_s
        await asyncio.to_thread(tidy, database, self._cache_s, time.time())
        return {
            "at": timestamp(datetime.now(UTC)),
            "ended_by": "time" if found.missing else "acknowledgement",
            "processes": found.holders,
            "acknowledged": found.holders - found.missing,
            "waited_s": round(waited_s),
        }

    def _signing_key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(expand(self._own_key(), b"undertone/certificate/sign"))

    def _own_key(self) -> bytes:
        self._directory.enrol([ITSELF])
        key = self._directory.own_key()
        if key is None:
            raise Transient(LOST)
        return key
