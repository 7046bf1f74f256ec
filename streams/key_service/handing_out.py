"""What the key server does for one caller: its grant decides before the key directory is asked."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import blake2b

from schemas.errors import Stop
from schemas.key_grants import KEY_GRANTS, KeyGrant
from schemas.key_purposes import epoch_of
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.sources.messages import Answered, Asked, Erasing, Erasures, Granted, Holder, Users

HOLDER_BYTES = 16


class Refused(Stop):
    """The caller's grant does not allow what it asks for. The message names no person."""


class HandingOut:
    """The calls of the key server, for threads. Raise Refused, Transient, ConfigurationError.

    today: the moment, for the month of new data.
    """

    def __init__(
        self,
        directory: KeyDirectory,
        grants: Mapping[str, KeyGrant] = KEY_GRANTS,
        today: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._directory, self._grants, self._today = directory, grants, today

    def granted(self, caller: str) -> Granted:
        """What the caller is given."""
        grant = self._grant(caller)
        return Granted(tuple(sorted(grant.purposes)), grant.enrols, grant.finds)

    def keys(self, caller: str, asked: Asked) -> Answered:
        """Keys of the purposes that were asked for."""
        grant = self._grant(caller)
        if denied := sorted(set(asked.purposes) - grant.purposes):
            raise Refused(f"`{caller}` is granted no keys of {', '.join(denied)}")
        if asked.enrol and not grant.enrols:
            raise Refused(f"`{caller}` may not enrol anybody")
        if (asked.users or asked.known) and not grant.finds:
            raise Refused(f"`{caller}` may not ask by pseudonym")
        if asked.users and abs(asked.month - epoch_of(self._today())) > 1:
            raise Refused("keys of another month than this one are not made: compare the clocks of both machines")
        return Answered.of(self._directory.look_up(asked.lookup()), asked.purposes, self._directory.purpose_key)

    def erasures(self, caller: str, users: Users) -> Erasures:
        """When these people were erased: whoever opens records needs it for those in clear of before."""
        self._grant(caller)
        return Erasures({user: (*erasure,) for user, erasure in self._directory.last_erasures(users.users).items()})

    def beat(self, caller: str, holder: Holder) -> Erasing:
        """Note that a process of the caller lives; whose keys it has to drop."""
        self._grant(caller)
        return Erasing([*self._directory.holders.beat(holder_of(caller, holder.holder), time.time())])

    def dropped(self, caller: str, holder: Holder) -> Erasing:
        """Note whose keys a process of the caller dropped."""
        self._grant(caller)
        self._directory.holders.note_dropped(holder_of(caller, holder.holder), holder.subjects)
        return Erasing([])

    def left(self, caller: str, holder: Holder) -> Erasing:
        """Note that a process of the caller has no keys any more."""
        self._grant(caller)
        self._directory.holders.remove(holder_of(caller, holder.holder))
        return Erasing([])

    def _grant(self, caller: str) -> KeyGrant:
        grant = self._grants.get(caller)
        if grant is None:
            raise Refused(f"`{caller}` is not in the table of key grants")
        return grant


def holder_of(caller: str, holder: bytes) -> bytes:
    """A process as the key directory knows it: no caller speaks for a process of another one."""
    return blake2b(holder, key=caller.encode()[:64], digest_size=HOLDER_BYTES).digest()
