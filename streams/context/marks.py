"""Applying a mark of the time line to what the agents read. It comes from an action, which the topic keeps."""

from math import inf

from schemas.care_events import CareAction
from schemas.event_enums import CareActionKind
from schemas.state_keys import EXCLUSIONS
from streams.context.exclusions import Exclusion, Exclusions, dump, load, with_exclusion
from workers.state.store import Store


async def apply_mark(store: Store, action: CareAction, ttl_s: float) -> bool:
    """Have the agents leave out what a mark says, or no longer; whether anything changed. Raises Transient.

    For actions `marked` and `unmarked`; any other changes nothing. ttl_s: UNDERTONE_STATE_TTL_S. Actions may be
    redelivered, in any order: of each mark the latest one counts. A mark that leaves nothing out writes nothing, unless
    it changes one that did. After Redis has lost its data, applying the actions of `care.actions` restores all marks.
    """
    found = exclusion_of(action)
    if found is None:
        return False
    mark_id, new = found

    def apply(_: str, data: bytes | None) -> tuple[bytes | None, bool]:
        known: Exclusions = load(data)
        if mark_id not in known and new.until_s <= new.since_s and action.action is CareActionKind.MARKED:
            return None, False
        after = with_exclusion(known, mark_id, new)
        return (None, False) if after is known else (dump(after), True)

    key = EXCLUSIONS.key(action.user_id)
    return (await store.update([key], apply, ttl_s=ttl_s))[key]


def exclusion_of(action: CareAction) -> tuple[str, Exclusion] | None:
    """The mark that an action is about, and what is left out after it; None for an action about no mark."""
    if action.action not in (CareActionKind.MARKED, CareActionKind.UNMARKED):
        return None
    mark_id, said_s = action.mark_id or action.action_id, action.at.timestamp()
    since_s = (action.since or action.at).timestamp()
    leaves_out = action.action is CareActionKind.MARKED and action.excluded
    until_s = inf if action.until is None else action.until.timestamp()
    return mark_id, Exclusion(said_s, since_s, max(until_s, since_s) if leaves_out else since_s)
