"""What people did about users, in force again after Redis has lost its data: mutes and marks, from `care.actions`.

Acknowledgements, notes and handovers are in the history alone, which Redis does not hold.
"""

from contextlib import suppress
from datetime import datetime

from schemas import topics
from schemas.codec import Codec, DecodeError
from schemas.event_enums import CareActionKind
from schemas.events import CareAction
from schemas.keeping_settings import retention_of
from schemas.settings import Settings
from streams.context.marks import apply_mark
from streams.drift.mutes import apply_mute, apply_unmute
from workers.kafka.topic_reader import written
from workers.state.store import Store

IN_FORCE = frozenset({CareActionKind.MUTED, CareActionKind.UNMUTED, CareActionKind.MARKED, CareActionKind.UNMARKED})
"""Actions that the agents go by."""


async def put_in_force(action: CareAction, store: Store, state_ttl_s: float, now: datetime | None = None) -> None:
    """Have the agents go by an action: a mute, its end, or a mark; any other is none of theirs. Raises Transient.

    state_ttl_s: UNDERTONE_STATE_TTL_S, for what agents read of a user; now: None for the moment of the action. A mute
    that is over by then is left out.
    """
    match action.action:
        case CareActionKind.MUTED:
            await apply_mute(store, action, now or action.at)
        case CareActionKind.UNMUTED:
            await apply_unmute(store, action, now or action.at)
        case CareActionKind.MARKED | CareActionKind.UNMARKED:
            await apply_mark(store, action, state_ttl_s)


async def restore_actions(settings: Settings, store: Store, codec: Codec, now: datetime) -> int:
    """Put in force what the topic holds, the oldest action first; how many there were. It may be repeated.

    Raises Transient and BrokerRefused.
    """
    found: list[CareAction] = []
    async for record in written(settings, topics.CARE, now - retention_of(topics.CARE, settings)):
        with suppress(DecodeError):  # the history counts it
            action = codec.decode(record.value, CareAction)
            if action.action in IN_FORCE:
                found.append(action)
    # By time, not by place: a user's actions of before and after sealing are on two partitions.
    for action in sorted(found, key=lambda action: action.at):
        await put_in_force(action, store, settings.state_ttl_s, now)
    return len(found)
