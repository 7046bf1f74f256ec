"""What people do about a person: on its topic first, then in the history, then in force.

The topic makes it last; the history is written at once, so that whoever did it sees it; mutes and marks are also values
in Redis that the agents read. Each step is idempotent, so a request that failed half way is repeated.
"""

from schemas import topics
from schemas.events import CareAction
from streams.api.publish import Publisher
from streams.history.care import apply_action
from streams.history.database import Database
from streams.recovery.care_actions import put_in_force
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
