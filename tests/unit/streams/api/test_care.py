"""What the agents go by after an action. The rest is in tests/unit/streams/api/routes/test_actions.py."""

from datetime import timedelta

from schemas.event_enums import CareActionKind
from schemas.state_keys import EXCLUSIONS, MUTES
from streams.context import exclusions
from streams.drift import mutes
from streams.recovery.care_actions import put_in_force
from tests.history import NOW, action
from workers.state.store import MemoryStore

TTL_S = 1e6


async def test_mutes_and_marks_are_in_force_until_they_are_ended() -> None:
    store, day = MemoryStore(), timedelta(days=1)
    mark = action("anna", CareActionKind.MARKED, since=NOW, until=NOW + 5 * day, excluded=True)
    for each in (action("anna", CareActionKind.MUTED, until=NOW + 3 * day), mark):
        await put_in_force(each, store, TTL_S)
    stored = await store.read([MUTES.key(), EXCLUSIONS.key("anna")])
    assert mutes.muted_by(mutes.load(stored[MUTES.key()]), "anna", NOW + day)
    assert exclusions.left_out(exclusions.load(stored[EXCLUSIONS.key("anna")]), NOW + day)
    for ended in (CareActionKind.UNMUTED, CareActionKind.UNMARKED):
        await put_in_force(action("anna", ended, at=NOW + day, mark_id=mark.action_id), store, TTL_S)
    stored = await store.read([MUTES.key(), EXCLUSIONS.key("anna")])
    assert not mutes.muted_by(mutes.load(stored[MUTES.key()]), "anna", NOW + 2 * day)
    assert not exclusions.left_out(exclusions.load(stored[EXCLUSIONS.key("anna")]), NOW + 2 * day)


async def test_other_actions_are_no_concern_of_the_agents() -> None:
    store = MemoryStore()
    await put_in_force(action("anna", CareActionKind.NOTED, note="called"), store, TTL_S)
    assert await store.find("*") == []
