"""What people do about a person: on its topic first, then in the history, then in force.

The topic makes it last; the history is written at once, so that whoever did it sees it; mutes are also the value in
Redis that the drift agent reads. Each step is idempotent, so a request that failed half way is repeated.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from schemas import topics
from schemas.event_enums import CareActionKind
from schemas.events import CareAction
from schemas.state_keys import MUTES
from streams.api.publish import Publisher
from streams.drift import mutes
from streams.drift.mutes import Mute, Scope
from streams.history.care import apply_action
from streams.history.database import Database
from workers.state.store import Store

FOREVER = datetime(9999, 12, 31, tzinfo=UTC)
"""End of a mute that has none."""
LONGEST_REASON = 500
"""Characters of a note that go with a mute: all mutes are one value in Redis."""


async def perform(action: CareAction, publisher: Publisher, database: Database, store: Store) -> bool:
    """Do all that follows from an action; False when the history had it already. Raises Transient, LimitError."""
    await publisher.publish(topics.CARE, action.user_id, action)
    new = await database.write(apply_action, action)
    if action.action in {CareActionKind.MUTED, CareActionKind.UNMUTED}:
        await _change(store, lambda known: muted(known, action), action.at)
    return new


def muted(known: list[Mute], action: CareAction) -> list[Mute]:
    """Mutes after an action about one; the same list when it changes nothing."""
    if action.action is CareActionKind.UNMUTED:
        return mutes.ended(known, Scope.USER, action.user_id, action.at)
    until = action.until or FOREVER
    new = Mute(
        Scope.USER,
        action.user_id,
        action.since or action.at,
        until,
        (action.note or "")[:LONGEST_REASON],
        by=action.actor,
    )
    repeated = any((one.name, one.since, one.by) == (new.name, new.since, new.by) for one in known)
    return known if repeated else mutes.with_mute(known, new)


async def _change(store: Store, change: Callable[[list[Mute]], list[Mute]], now: datetime) -> None:
    """Change the mutes by compare-and-set, if anything changes."""

    def update(_: str, stored: bytes | None) -> tuple[bytes | None, None]:
        known = mutes.load(stored)
        changed = change(known)
        return (None if changed == known else mutes.dump(changed, now)), None

    await store.update([MUTES.key()], update, ttl_s=mutes.TTL_S)
