"""What people do about a person: on its topic first, then in the history, then in force.

The topic makes it last; the history is written at once, so that whoever did it sees it; mutes and marks are also values
in Redis that the agents read. Each step is idempotent, so a request that failed half way is repeated.
"""

from schemas import topics
from schemas.event_enums import CareActionKind
from schemas.events import CareAction
from streams.api.publish import Publisher
from streams.context.marks import apply_mark
from streams.drift.mutes import apply_mute, apply_unmute
from streams.history.care import apply_action
from streams.history.database import Database
from workers.state.store import Store


async def perform(
    action: CareAction, publisher: Publisher, database: Database, store: Store, state_ttl_s: float
) -> bool:
    """Do all that follows from an action; False when the history had it already. Raises Transient, LimitError.

    state_ttl_s: UNDERTONE_STATE_TTL_S, for what agents read of a user.
    """
    await publisher.publish(topics.CARE, action.user_id, action)
    new = await database.write(apply_action, action)
    await put_in_force(action, store, state_ttl_s)
    return new


async def put_in_force(action: CareAction, store: Store, state_ttl_s: float) -> None:
    """Have the agents go by an action: a mute, its end, or a mark; any other is none of theirs. Raises Transient."""
    match action.action:
        case CareActionKind.MUTED:
            await apply_mute(store, action, action.at)
        case CareActionKind.UNMUTED:
            await apply_unmute(store, action, action.at)
        case CareActionKind.MARKED | CareActionKind.UNMARKED:
            await apply_mark(store, action, state_ttl_s)
