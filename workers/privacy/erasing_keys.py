"""Keys of a person who is being erased: the directory refuses them to everybody but the erasure itself."""

import math
import time
from collections.abc import Mapping

from sqlalchemy import select

from schemas.errors import Unknown
from schemas.key_purposes import Purpose
from workers.privacy.envelope import unseal
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.key_tables import DATA_KEYS
from workers.privacy.person_keys import KEY_BYTES, purpose_key
from workers.privacy.prepared import Prepared, PreparedPeople


class ErasingKeys(PreparedPeople):
    """What opens the records of one person until the keys are destroyed. keys: by epoch."""

    def __init__(self, user_id: str, subject: bytes, keys: Mapping[int, bytes]) -> None:
        super().__init__(time.monotonic)
        self._user, self._own, self._keys = user_id, subject, keys

    @classmethod
    def of(cls, directory: KeyDirectory, user_id: str, subject: bytes) -> "ErasingKeys":
        """Those of the directory, whatever the person's state. Blocks; raises Transient."""
        with directory.database.reading() as connection:
            rows = connection.execute(select(DATA_KEYS).where(DATA_KEYS.c.subject == subject)).all()
            live = {key.version: key for key in directory.store_keys.live(connection)} if rows else {}
        known = [row for row in rows if row.store_key in live]
        opened = {row.epoch: live[row.store_key].unwrap(subject, row.epoch, row.wrapped) for row in known}
        return cls(user_id, subject, {epoch: plain[:KEY_BYTES] for epoch, plain in opened.items() if plain is not None})

    def unseal(self, topic: str, kind: str, value: bytes) -> bytes:
        """A sealed record. Raises Poison for a damaged one, Unknown for another person's or without a key."""
        return unseal(self, topic, kind, value)[1]

    def subject(self, user_id: str) -> bytes:
        """The subject of the person."""
        return self._own

    def epoch(self, subject: bytes) -> int:
        """Raises Unknown: nothing is sealed with these keys."""
        raise Unknown("a person who is being erased has no month for new records")

    def _derived(self, subject: bytes, epoch: int, purpose: Purpose) -> bytes:
        key = self._keys.get(epoch)
        if key is None:
            raise Unknown("no key of this person and month")
        return purpose_key(key, purpose)

    def _prepare(self, subject: bytes) -> Prepared:
        if subject != self._own:
            raise Unknown("these are keys of another person")
        return self._add_prepared(Prepared(self._user, subject, math.inf))
