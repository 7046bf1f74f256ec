"""The fusion hop under redelivery and death at any step, with the store in memory."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from schemas.codec import Codec
from schemas.errors import Poison, Transient
from schemas.events import Band, DeadLetter, Evidence, Extractor, MemoFeatures, Modality, Quality, RiskScored
from schemas.settings import Settings
from streams.deadlines import MemoryDeadlines
from streams.follow import drift_key, episode_is_open
from streams.fusion_hop import FusionHop
from streams.store import MemoryStore
from workers.dead_letters import Source
from workers.delivery import Delivery, Outgoing
from workers.scoring.personal import PersonalNormal
from workers.scoring.scorer import Scored, Scorer

NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)
CODEC = Codec()


class Killed(Exception):
    """The process died here."""


@dataclass
class Faults:
    """Dies at the n-th step that reaches outside; never when `at` is negative."""

    at: int = -1
    steps: int = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.at:
            raise Killed


class CountingScorer:
    """The probability tells how many memos the user's baseline held: scoring twice would show."""

    bundle = SimpleNamespace(id="demo-test", names=("a",))

    def score(self, memos: Sequence[tuple[Mapping[Modality, MemoFeatures], PersonalNormal]]) -> list[Scored | Poison]:
        return [self._one(parts, normal) for parts, normal in memos]

    def _one(self, parts: Mapping[Modality, MemoFeatures], normal: PersonalNormal) -> Scored | Poison:
        if parts[Modality.ACOUSTIC].summary[0] < 0:
            return Poison("features:mismatch", "of another extractor")
        vector = parts[Modality.ACOUSTIC].summary[:1]
        return Scored(normal.memos / 100, Band.LOW, (), (Evidence("a", 1.0, 0.5),), vector)


@dataclass
class Topic:
    """What was delivered, in order. Dies before or after a send, as the faults say."""

    faults: Faults
    records: list[Any] = field(default_factory=list)
    codec: Codec = CODEC

    async def send(self, outgoing: Collection[Outgoing]) -> None:
        if outgoing:
            self.faults.step()
            self.records += [each.record for each in outgoing]
            self.faults.step()

    def dead_letters(self, failures: Sequence[tuple[Source, Poison]]) -> list[Outgoing]:
        return Delivery(None, CODEC, "fusion").dead_letters(failures)

    def scores(self) -> dict[str, set[bytes]]:
        """Every version that was sent of every score."""
        found: dict[str, set[bytes]] = {}
        for record in self.records:
            if isinstance(record, RiskScored):
                found.setdefault(record.memo_id, set()).add(CODEC.encode(record))
        return found


class MortalStore(MemoryStore):
    """Dies before or after a write."""

    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self.faults = faults

    async def update(self, keys: Sequence[str], fn: Callable[..., Any], *, ttl_s: float) -> dict[str, Any]:
        self.faults.step()
        result = await super().update(keys, fn, ttl_s=ttl_s)
        self.faults.step()
        return result


class World:
    """One hop and what surrounds it; `restart` keeps the store and the topic, as a new process would."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.store, self.deadlines, self.topic = MortalStore(self.faults), MemoryDeadlines(), Topic(self.faults)
        ticks = count()
        self.now = lambda: NOW + timedelta(seconds=next(ticks))
        self.settings = Settings.load(join_timeout_s=60.0)

    def restart(self) -> FusionHop:
        scorer, delivery = cast("Scorer", CountingScorer()), cast("Delivery", self.topic)
        return FusionHop(self.settings, scorer, self.store, self.deadlines, delivery, self.now)


def source(memo: str, modality: Modality, user: str = "user", value: float = 1.0) -> Source:
    one = np.full((1, 1), value, np.float32)
    features = MemoFeatures(
        memo, user, NOW, NOW, modality, Extractor("x", "1", "0"), 3.0, 15.0, one, one[0], ("a",),
        Quality(2.0, 30.0, 0.0, 8000.0),
    )  # fmt: skip
    return Source("memos.features", 0, 0, user.encode(), CODEC.encode(features))


def both(*memos: str, user: str = "user") -> list[Source]:
    return [source(memo, modality, user) for memo in memos for modality in (Modality.ACOUSTIC, Modality.EMBEDDING)]


async def test_a_memo_is_scored_once_all_parts_are_there() -> None:
    world = World()
    hop = world.restart()
    await hop.process([source("m", Modality.EMBEDDING)])
    assert world.topic.records == []
    await hop.process([source("m", Modality.ACOUSTIC)])
    assert [record.memo_id for record in world.topic.records] == ["m"]
    assert await world.deadlines.count() == 0


async def test_the_same_memo_again_changes_nothing() -> None:
    world = World()
    hop = world.restart()
    await hop.process(both("m"))
    before = await world.store.read(await world.store.find("*"))
    await hop.process(both("m"))
    assert len(world.topic.records) == 1
    assert await world.store.read(await world.store.find("*")) == before


async def test_memos_of_one_user_in_one_batch_are_scored_one_after_the_other() -> None:
    world = World()
    await world.restart().process(both(*(f"m{n:02d}" for n in range(40))))
    assert sorted(record.probability for record in world.topic.records) == [n / 100 for n in range(40)]


@pytest.mark.parametrize("batch", [1, 3, 8])
async def test_death_at_any_step_loses_nothing_and_scores_nothing_twice(batch: int) -> None:
    """Kill before and after every write and every send; the batch comes again to a new process."""
    way = both("a", "b", user="one") + both("c", user="two") + [source("bad", m, "one", -1.0) for m in Modality][:2]
    calm = World()
    await play(calm, way, batch)
    steps = calm.faults.steps
    assert steps > 5
    for at in range(1, steps + 1):
        world = World(Faults(at))
        await play(world, way, batch)
        assert set(world.topic.scores()) == {"a", "b", "c"}, f"killed at step {at}"
        assert all(len(versions) == 1 for versions in world.topic.scores().values()), f"killed at step {at}"
        assert {r.dead_letter_id for r in world.topic.records if isinstance(r, DeadLetter)} == {
            r.dead_letter_id for r in calm.topic.records if isinstance(r, DeadLetter)
        }


async def play(world: World, way: Sequence[Source], batch: int) -> None:
    """Give the way in batches; a batch whose process dies is given again to a new one."""
    hop = world.restart()
    for start in range(0, len(way), batch):
        try:
            await hop.process(way[start : start + batch])
        except Killed:
            hop = world.restart()
            await hop.process(way[start : start + batch])


async def test_a_join_that_stays_open_becomes_an_indeterminate_score_and_late_parts_are_recognised() -> None:
    world = World()
    hop = world.restart()
    await hop.process([source("m", Modality.ACOUSTIC)])
    assert await hop.close_overdue() == 0
    later = iter([NOW + timedelta(hours=1)] * 10)
    world.now = lambda: next(later)
    hop = world.restart()
    assert await hop.close_overdue() == 1
    assert await hop.close_overdue() == 0
    await hop.process([source("m", Modality.EMBEDDING)])
    assert [(r.band, r.reasons) for r in world.topic.records] == [(Band.INDETERMINATE, ("missing:embedding",))]


async def test_death_while_closing_a_join_still_gives_one_score() -> None:
    for at in range(1, 12):
        world = World()
        await world.restart().process([source("m", Modality.ACOUSTIC)])
        world.now = lambda: NOW + timedelta(hours=1)
        world.faults.steps, world.faults.at = 0, at
        try:
            await world.restart().close_overdue()
        except Killed:
            world.now = lambda: NOW + timedelta(hours=2)
            await world.restart().close_overdue()
        assert {memo: len(versions) for memo, versions in world.topic.scores().items()} == {"m": 1}


async def test_a_record_that_is_no_features_becomes_a_dead_letter_alone() -> None:
    world = World()
    await world.restart().process([Source("memos.features", 0, 5, b"u", b"garbage"), *both("m")])
    letters = [r for r in world.topic.records if isinstance(r, DeadLetter)]
    assert [(letter.value, letter.reason) for letter in letters] == [(b"garbage", "event:undecodable")]
    assert set(world.topic.scores()) == {"m"}


async def test_an_absent_store_is_transient() -> None:
    class Away(MemoryStore):
        async def update(self, *_: Any, **__: Any) -> Any:
            raise Transient("Redis is away")

    world = World()
    world.store = cast("MortalStore", Away())
    with pytest.raises(Transient):
        await world.restart().process(both("m"))


async def test_memos_during_an_open_alert_do_not_become_the_users_normal() -> None:
    from tests.unit.streams import test_drift_hop

    drifted = test_drift_hop.World()
    await test_drift_hop.play(drifted, test_drift_hop.way_of("changed", 50, 40), 50)
    world = World()
    hop = world.restart()
    await hop.process(both("before", user="changed"))
    (state,) = (await drifted.state()).values()
    await world.store.update([drift_key("changed")], lambda *_: (state, None), ttl_s=1e6)
    assert episode_is_open(state)
    await hop.process(both("during", user="changed"))
    await hop.process(both("after", user="changed"))
    assert [record.probability for record in world.topic.records] == [0.0, 0.01, 0.01]
