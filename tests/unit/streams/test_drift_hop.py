"""The drift hop under redelivery and death at any step, with the store in memory."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import numpy as np
import pytest

from schemas.codec import Codec
from schemas.events import AlertState, Band, Modality, RiskAlert, RiskScored
from schemas.ids import score_id
from schemas.settings import Settings
from streams import mutes
from streams.drift_hop import DriftHop, rules_for
from streams.rules import Rules
from tests.unit.streams.test_fusion_hop import Faults, Killed, MortalStore, Topic
from workers.dead_letters import Source
from workers.delivery import Delivery

CODEC = Codec()
START = datetime(2026, 1, 1, 8, tzinfo=UTC)
SETTINGS = Settings.load()
RULES = Rules.from_settings(SETTINGS)


def way_of(user: str, days: int, changed_after: int, seed: int = 0) -> list[Source]:
    """One score a day; from one day on the logits lie three standard deviations higher."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1.0, 0.5, days) + np.where(np.arange(days) >= changed_after, 1.5, 0.0)
    return [source(user, day, float(1 / (1 + np.exp(-logit)))) for day, logit in enumerate(logits)]


def source(user: str, day: int, probability: float) -> Source:
    memo, at = f"{user}-{day}", START + timedelta(days=day)
    score = RiskScored(
        score_id(memo, "demo-1"), memo, user, at, at, at, probability, Band.LOW, (), (), tuple(Modality)[:2], "demo-1"
    )
    return Source("risk.scored", 0, day, user.encode(), CODEC.encode(score))


class World:
    def __init__(self, at: int = -1) -> None:
        self.faults = Faults(at)
        self.store, self.topic = MortalStore(self.faults), Topic(self.faults)
        self.now = START

    def restart(self) -> DriftHop:
        return DriftHop(SETTINGS, RULES, self.store, cast("Delivery", self.topic), lambda: self.now)

    def alerts(self) -> dict[str, set[bytes]]:
        """Every version that was published of every alert."""
        found: dict[str, set[bytes]] = {}
        for record in self.topic.records:
            if isinstance(record, RiskAlert):
                found.setdefault(record.alert_id, set()).add(CODEC.encode(record))
        return found

    async def state(self) -> dict[str, Any]:
        return await self.store.read(await self.store.find("drift:*"))


async def play(world: World, way: Sequence[Source], batch: int) -> None:
    hop = world.restart()
    for start in range(0, len(way), batch):
        try:
            await hop.process(way[start : start + batch])
        except Killed:
            hop = world.restart()
            await hop.process(way[start : start + batch])


async def test_a_user_who_changes_is_alerted_about_and_one_who_does_not_is_not() -> None:
    world = World()
    await play(world, way_of("calm", 60, 1000, seed=1) + way_of("changed", 60, 40), 500)
    raised = [r for r in world.topic.records if r.state is AlertState.RAISED]
    assert {alert.user_id for alert in raised} == {"changed"}


@pytest.mark.parametrize("batch", [7, 60])
async def test_death_at_any_step_gives_the_same_alerts_and_the_same_state(batch: int) -> None:
    way = way_of("changed", 60, 40)
    calm = World()
    await play(calm, way, batch)
    assert calm.alerts()
    for at in range(1, calm.faults.steps + 1):
        world = World(at)
        await play(world, way, batch)
        assert world.alerts() == calm.alerts(), f"killed at step {at}"
        assert await world.state() == await calm.state(), f"killed at step {at}"


async def test_replaying_the_topic_publishes_nothing_new() -> None:
    world = World()
    way = way_of("changed", 60, 40)
    await play(world, way, 20)
    published, state = len(world.topic.records), await world.state()
    await play(world, way, 33)
    assert len(world.topic.records) == published
    assert await world.state() == state


async def test_a_muted_user_is_silent_and_the_mute_counts_it() -> None:
    world = World()
    mute = mutes.Mute(mutes.Scope.USER, "changed", START, START + timedelta(days=1), "known to the clinic")
    await world.store.update([mutes.MUTES_KEY], lambda *_: (mutes.dump([mute], START), None), ttl_s=1e6)
    await play(world, way_of("changed", 60, 40), 20)
    assert world.alerts() == {}
    (counted,) = mutes.load((await world.store.read([mutes.MUTES_KEY]))[mutes.MUTES_KEY])
    assert counted.withheld >= 1


async def test_a_mute_keeps_back_what_begins_and_never_what_ends() -> None:
    world = World()
    changed = way_of("changed", 60, 40)
    await play(world, changed, 20)
    assert world.topic.records[-1].state is not AlertState.RESOLVED
    mute = mutes.Mute(mutes.Scope.USER, "changed", START, START + timedelta(days=1), "known to the clinic")
    await world.store.update([mutes.MUTES_KEY], lambda *_: (mutes.dump([mute], START), None), ttl_s=1e6)
    logits = np.random.default_rng(9).normal(-1.0, 0.5, 60)
    back = [source("changed", 60 + day, float(1 / (1 + np.exp(-logit)))) for day, logit in enumerate(logits)]
    await play(world, back, 20)
    assert world.topic.records[-1].state is AlertState.RESOLVED


async def test_the_pool_of_all_users_is_kept_and_taken_up() -> None:
    world = World()
    await play(world, [s for n in range(4) for s in way_of(f"user-{n}", 60, 1000, seed=n)], 50)
    rules = await rules_for(SETTINGS, world.store)
    assert 0 <= rules.chart.phi <= 0.5
    assert await world.store.find("drift-pool") == ["drift-pool"]


@pytest.mark.parametrize("batch", [1, 60])
async def test_an_alert_is_caused_by_the_score_of_its_memo_however_many_came_together(batch: int) -> None:
    world = World()
    await play(world, way_of("changed", 60, 40), batch)
    assert world.topic.records
    for alert, cause in zip(world.topic.records, world.topic.causes, strict=True):
        assert CODEC.decode(cause.value, RiskScored).memo_id == alert.memo_id
