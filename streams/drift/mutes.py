"""An operator's word that some users' alerts shall not be sent for a while: for one user, or a cohort of them.

All mutes live in one small value of the store. An ended one stays in the list for ninety days, with the number of
alerts that it kept back, so that anybody can see who was silenced, when, why, and what that hid.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from schemas.state_keys import MUTES

KEPT = timedelta(days=90)
TTL_S = 10 * 365 * 86400.0


class Scope(StrEnum):
    """Whom a mute is for."""

    USER = "user"
    """The one user whose id is `name`."""
    COHORT = "cohort"
    """Every user whose id begins with `name`."""


@dataclass(frozen=True, slots=True)
class Mute:
    """One mute. withheld: alerts that it kept back so far."""

    scope: Scope
    name: str
    since: datetime
    until: datetime
    reason: str = ""
    withheld: int = 0

    def holds_for(self, user_id: str, now: datetime) -> bool:
        """Whether this user's alerts are kept back now."""
        named = user_id == self.name if self.scope is Scope.USER else user_id.startswith(self.name)
        return named and self.since <= now < self.until


def load(data: bytes | None) -> list[Mute]:
    """The mutes in stored bytes, oldest first. Raises ValueError when they cannot be read."""
    if not data:
        return []
    # 0.1 wrote the list without a version.
    _, body = (0, data) if data.startswith(b"[") else MUTES.opened(data)
    return [_read(one) for one in json.loads(body)]


def dump(mutes: Iterable[Mute], now: datetime) -> bytes:
    """Mutes as stored, without those that ended long ago."""
    kept = [asdict(mute) for mute in mutes if mute.until + KEPT > now]
    text = json.dumps(kept, default=lambda time: time.astimezone(UTC).isoformat(), ensure_ascii=False)
    return MUTES.framed(text.encode())


def muted_by(mutes: Iterable[Mute], user_id: str, now: datetime) -> Mute | None:
    """The mute that keeps this user's alerts back now, the first that was set."""
    return next((mute for mute in mutes if mute.holds_for(user_id, now)), None)


def with_mute(mutes: Iterable[Mute], new: Mute) -> list[Mute]:
    """Mutes with a new one; an active one of the same users ends where the new one begins."""
    return [*ended(mutes, new.scope, new.name, new.since), new]


def ended(mutes: Iterable[Mute], scope: Scope, name: str, now: datetime) -> list[Mute]:
    """Mutes with those of these users at their end."""
    return [
        replace(mute, until=min(mute.until, now)) if (mute.scope, mute.name) == (scope, name) else mute
        for mute in mutes
    ]  # fmt: skip


def with_withheld(mutes: Iterable[Mute], users: Iterable[str], now: datetime) -> list[Mute]:
    """Mutes with one more alert kept back for each of `users`."""
    counted = list(mutes)
    for user_id in users:
        mute = muted_by(counted, user_id, now)
        if mute:
            counted[counted.index(mute)] = replace(mute, withheld=mute.withheld + 1)
    return counted


def _read(one: Mapping[str, str]) -> Mute:
    return Mute(
        Scope(one["scope"]),
        one["name"],
        datetime.fromisoformat(one["since"]),
        datetime.fromisoformat(one["until"]),
        one["reason"],
        int(one["withheld"]),
    )
