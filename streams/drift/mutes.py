"""Temporary alert suppression by user or cohort.

All mutes are stored in one small value. An ended mute stays in the list for ninety days, with the number of alerts that
it suppressed, as an audit record of who was muted, when, why, and at what cost.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from schemas.care_events import CareAction
from schemas.state_keys import MUTES
from workers.state.store import Store

RETENTION = timedelta(days=90)
"""How long an ended mute stays listed."""
TTL_S = 10 * 365 * 86400.0
LONGEST_TEXT = 500
"""Characters of a reason: all mutes are one value."""
FOREVER = datetime(9999, 12, 31, tzinfo=UTC)
"""End of a mute without one."""


class Scope(StrEnum):
    """What `Mute.name` matches."""

    USER = "user"
    """The one user whose id is `name`."""
    COHORT = "cohort"
    """Every user whose id begins with `name`."""


@dataclass(frozen=True, slots=True)
class Mute:
    """One mute. withheld: alerts that it has suppressed so far; by: who muted, empty from older versions."""

    scope: Scope
    name: str
    since: datetime
    until: datetime
    reason: str = ""
    withheld: int = 0
    by: str = ""

    def applies_to(self, user_id: str, now: datetime) -> bool:
        """Whether this mute suppresses the user's alerts now."""
        matches = user_id == self.name if self.scope is Scope.USER else user_id.startswith(self.name)
        return matches and self.since <= now < self.until


def load(data: bytes | None) -> list[Mute]:
    """The mutes in stored bytes, oldest first. Raises UnreadableState."""
    if not data:
        return []
    with MUTES.decoding():
        # Version 0.1 wrote the list without a version.
        body = data if data.startswith(b"[") else MUTES.opened(data)[1]
        return [_read(one) for one in json.loads(body)]


def dump(mutes: Iterable[Mute], now: datetime) -> bytes:
    """Mutes as stored, without those that ended more than RETENTION ago."""
    listed = [asdict(mute) for mute in mutes if mute.until > now - RETENTION]  # one until the year 9999 is not added to
    text = json.dumps(listed, default=lambda time: time.astimezone(UTC).isoformat(), ensure_ascii=False)
    return MUTES.framed(text.encode())


def muted_by(mutes: Iterable[Mute], user_id: str, now: datetime) -> Mute | None:
    """The mute that suppresses this user's alerts now, the earliest one; None without a mute."""
    return next((mute for mute in mutes if mute.applies_to(user_id, now)), None)


def with_mute(mutes: Iterable[Mute], new: Mute) -> list[Mute]:
    """Mutes with a new one, which ends an active one of the same scope and name."""
    return [*ended(mutes, new.scope, new.name, new.since), new]


def active(mutes: Iterable[Mute], scope: Scope, name: str, now: datetime) -> Mute | None:
    """The mute of exactly this scope and name that applies now, the newest one; None without one."""
    found = [mute for mute in mutes if (mute.scope, mute.name) == (scope, name) and mute.since <= now < mute.until]
    return found[-1] if found else None


def ended(mutes: Iterable[Mute], scope: Scope, name: str, now: datetime) -> list[Mute]:
    """Mutes, with those of this scope and name ended now."""
    return [
        replace(mute, until=min(mute.until, now)) if (mute.scope, mute.name) == (scope, name) else mute
        for mute in mutes
    ]  # fmt: skip


def with_withheld(mutes: Iterable[Mute], users: Iterable[str], now: datetime) -> list[Mute]:
    """Mutes with one more suppressed alert for each of `users`."""
    counted = list(mutes)
    for user_id in users:
        mute = muted_by(counted, user_id, now)
        if mute:
            counted[counted.index(mute)] = replace(mute, withheld=mute.withheld + 1)
    return counted


async def change(store: Store, new: Callable[[list[Mute]], list[Mute]], now: datetime) -> list[Mute]:
    """Change the mutes by compare-and-set, if anything changes; the mutes as they were before. Raises Transient."""

    def changed(_: str, data: bytes | None) -> tuple[bytes | None, list[Mute]]:
        known = load(data)
        after = new(known)
        return (None if after == known else dump(after, now)), known

    return (await store.update([MUTES.key()], changed, ttl_s=TTL_S))[MUTES.key()]


async def apply_mute(store: Store, action: CareAction, now: datetime) -> bool:
    """Mute a user as an action `muted` says, as `undertone alerts mute` does; whether anything changed.

    A redelivered action, or one whose time is over, changes nothing. Raises Transient.
    """
    since, until = action.since or action.at, action.until or FOREVER
    mute = Mute(Scope.USER, action.user_id, since, until, (action.note or "")[:LONGEST_TEXT], by=action.actor)

    def muted(known: list[Mute]) -> list[Mute]:
        # What was muted or ended later, or counts as a withheld alert, is newer than the action.
        later = any((one.scope, one.name) == (mute.scope, mute.name) and one.since >= since for one in known)
        return known if later or until <= now else with_mute(known, mute)

    before = await change(store, muted, now)
    return muted(before) is not before


async def apply_unmute(store: Store, action: CareAction, now: datetime) -> bool:
    """End the mute of a user as an action `unmuted` says; whether anything changed.

    A mute that began after the action stays. Raises Transient.
    """

    def unmuted(known: list[Mute]) -> list[Mute]:
        found = active(known, Scope.USER, action.user_id, action.at)
        return known if found is None else ended(known, Scope.USER, action.user_id, action.at)

    before = await change(store, unmuted, now)
    return unmuted(before) != before


def _read(one: Mapping[str, str]) -> Mute:
    """One mute of the list. Raises KeyError, TypeError or ValueError for anything else."""
    since, until = datetime.fromisoformat(one["since"]), datetime.fromisoformat(one["until"])
    by = one.get("by", "")  # absent from older versions, which ignore it
    if since.tzinfo is None or until.tzinfo is None or not isinstance(one["name"] + one["reason"] + by, str):
        raise ValueError("not a mute")
    return Mute(Scope(one["scope"]), one["name"], since, until, one["reason"], int(one["withheld"]), by)
