"""Marks reach what the agents read, once, in any order, and can be restored from the actions."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

from schemas.care_events import CareAction
from schemas.event_enums import CareActionKind, MarkKind
from schemas.state_keys import EXCLUSIONS
from streams.context.exclusions import left_out, load
from streams.context.marks import apply_mark
from workers.state.store import MemoryStore

START = datetime(2026, 5, 1, 8, tzinfo=UTC)
TTL_S = 1e6
MARK = CareAction(
    "mark", "someone", START, "ann", CareActionKind.MARKED, since=START, until=START + timedelta(days=5),
    mark=MarkKind.ILLNESS, excluded=True,
)  # fmt: skip
SHORTER = replace(
    MARK, action_id="edit", at=START + timedelta(hours=1), until=START + timedelta(days=2), mark_id="mark"
)
BACK = CareAction("back", "someone", START + timedelta(hours=2), "ann", CareActionKind.UNMARKED, mark_id="mark")


async def excluded(store: MemoryStore, day: float) -> bool:
    key = EXCLUSIONS.key("someone")
    return left_out(load((await store.read([key]))[key]), START + timedelta(days=day))


async def test_a_mark_leaves_memos_out_until_it_is_changed_or_taken_back() -> None:
    store = MemoryStore()
    assert await apply_mark(store, MARK, TTL_S)
    assert await excluded(store, 4)
    assert await apply_mark(store, SHORTER, TTL_S)
    assert [await excluded(store, 1), await excluded(store, 4)] == [True, False]
    assert await apply_mark(store, BACK, TTL_S)
    assert not await excluded(store, 1)


async def test_actions_in_any_order_and_again_leave_the_same_bytes() -> None:
    values = set()
    for order in permutations([MARK, SHORTER, BACK]):
        store = MemoryStore()
        for action in (*order, *order):
            await apply_mark(store, action, TTL_S)
        values |= set((await store.read([EXCLUSIONS.key("someone")])).values())
    assert len(values) == 1
    assert not await apply_mark(store, MARK, TTL_S)


async def test_a_mark_that_leaves_nothing_out_writes_nothing_but_changes_one_that_did() -> None:
    store = MemoryStore()
    explains = replace(MARK, excluded=False)
    assert not await apply_mark(store, explains, TTL_S)
    assert await store.find("*") == []
    await apply_mark(store, MARK, TTL_S)
    assert await apply_mark(store, replace(SHORTER, excluded=False), TTL_S)
    assert not await excluded(store, 1)


async def test_other_actions_are_no_marks() -> None:
    store = MemoryStore()
    assert not await apply_mark(store, replace(MARK, action=CareActionKind.NOTED), TTL_S)
    assert await store.find("*") == []
