"""The drift agent under redelivery and crashes at any step, with the store in memory."""

import struct
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import numpy as np
import pytest

from schemas.codec import Codec
from schemas.events import AlertState, Band, Modality, RiskAlert, RiskScored
from schemas.ids import score_id
from schemas.settings import Settings
from schemas.state_keys import DRIFT, MUTES, POOL, PRIOR, QUARANTINE
from streams.drift import mutes
from streams.drift.agent import DriftAgent, with_prior
from streams.drift.detector import DAY_S
from streams.drift.pooled_autocorrelation import PRIOR_DAYS, Pool
from streams.drift.rules import Rules
from streams.drift.user_state import follow_in_detail, prior_of
from tests.unit.streams.mortal_world import Faults, Killed, MortalStore, Topic
from workers.kafka.producer import Delivery
from workers.kafka.record import Batch, Source

CODEC = Codec()
START = datetime(2026, 1, 1, 8, tzinfo=UTC)
NOW = START + timedelta(days=200)
SETTINGS = Settings.load()
RULES = Rules.from_settings(SETTINGS)


def way_of(user: str, days: int, changed_after: int, seed: int = 0) -> list[Source]:
    """One score a day; from one day on the logits are three standard deviations higher."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1.0, 0.5, days) + np.where(np.arange(days) >= changed_after, 1.5, 0.0)
    return [source(user, day, float(1 / (1 + np.exp(-logit)))) for day, logit in enumerate(logits)]


def source(user: str, day: int, probability: float) -> Source:
    memo, at = f"{user}-{day}", START + timedelta(days=day)
    score = RiskScored(
        score_id(user, memo, "demo-1"),
        memo,
        user,
        at,
        at,
        at,
        probability,
        Band.LOW,
        (),
        (),
        tuple(Modality)[:2],
        "demo-1",
    )
    return Source("risk.scored", 0, day, user.encode(), CODEC.encode(score))


class World:
    def __init__(self, at: int = -1) -> None:
        self.faults = Faults(at)
        self.store, self.topic = MortalStore(self.faults), Topic(self.faults)
        self.now = NOW

    def restart(self) -> DriftAgent:
        return DriftAgent(RULES, SETTINGS.state_ttl_s, self.store, cast("Delivery", self.topic), lambda: self.now)

    def alerts(self) -> dict[str, set[bytes]]:
        """Every distinct encoding that was published of every alert."""
        found: dict[str, set[bytes]] = {}
        for record in self.topic.records:
            if isinstance(record, RiskAlert):
                found.setdefault(record.alert_id, set()).add(CODEC.encode(record))
        return found

    async def state(self) -> dict[str, Any]:
        return await self.store.read(await self.store.find("drift:*"))


async def play(world: World, way: Sequence[Source], batch: int) -> None:
    agent = world.restart()
    for start in range(0, len(way), batch):
        try:
            await agent.process(Batch(way[start : start + batch]))
        except Killed:
            agent = world.restart()
            await agent.process(Batch(way[start : start + batch]))


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


async def test_alerts_of_a_muted_user_are_suppressed_and_counted() -> None:
    world = World()
    mute = mutes.Mute(mutes.Scope.USER, "changed", NOW, NOW + timedelta(days=1), "known to the clinic")
    await world.store.update([MUTES.key()], lambda *_: (mutes.dump([mute], NOW), None), ttl_s=1e6)
    await play(world, way_of("changed", 60, 40), 20)
    assert world.alerts() == {}
    (counted,) = mutes.load((await world.store.read([MUTES.key()]))[MUTES.key()])
    assert counted.withheld >= 1


async def test_a_mute_suppresses_raised_and_never_resolved() -> None:
    world = World()
    changed = way_of("changed", 60, 40)
    await play(world, changed, 20)
    assert world.topic.records[-1].state is not AlertState.RESOLVED
    mute = mutes.Mute(mutes.Scope.USER, "changed", NOW, NOW + timedelta(days=1), "known to the clinic")
    await world.store.update([MUTES.key()], lambda *_: (mutes.dump([mute], NOW), None), ttl_s=1e6)
    logits = np.random.default_rng(9).normal(-1.0, 0.5, 60)
    back = [source("changed", 60 + day, float(1 / (1 + np.exp(-logit)))) for day, logit in enumerate(logits)]
    await play(world, back, 20)
    assert world.topic.records[-1].state is AlertState.RESOLVED


async def know_of_all(world: World, phi: float) -> None:
    """The pool has so many days that it overrules the default."""
    await world.store.update([POOL.key()], lambda *_: (Pool().plus(1e6, phi * 1e6).to_bytes(), None), ttl_s=1e9)


async def test_the_pooled_estimate_becomes_the_prior_of_new_users_once_the_last_prior_has_expired() -> None:
    world = World()
    await play(world, [s for n in range(4) for s in way_of(f"user-{n}", 60, 1000, seed=n)], 50)
    pool = Pool.from_bytes((await world.store.read([POOL.key()]))[POOL.key()])
    assert 3 * 57e6 < pool.pairs <= 4 * 57e6
    await know_of_all(world, 0.1)
    assert (await with_prior(RULES, world.store)).chart.phi == RULES.chart.phi
    world.store.later(PRIOR_DAYS * DAY_S + 1)
    assert (await with_prior(RULES, world.store)).chart.phi == pytest.approx(0.1)
    await know_of_all(world, 0.4)
    assert (await with_prior(RULES, world.store)).chart.phi == pytest.approx(0.1)


@pytest.mark.parametrize("stored", [b"", b"junk", b"\x07" + b"\0" * 8])
async def test_an_unreadable_prior_is_replaced(stored: bytes) -> None:
    world = World()
    await know_of_all(world, 0.2)
    await world.store.update([PRIOR.key()], lambda *_: (stored, None), ttl_s=1e9)
    assert (await with_prior(RULES, world.store)).chart.phi == pytest.approx(0.2)


@pytest.mark.parametrize("restarts", [{9}, {3, 9, 12}, set(range(1, 18))])
async def test_restarted_agents_give_the_same_alerts(restarts: set[int]) -> None:
    """Also for users who start after a restart, when the pool differs from the first start."""
    ways = [way_of(f"user-{n}", 60, 40, seed=n) for n in range(6)]
    scores = [way[day - late] for day in range(90) for late, way in zip(range(0, 30, 5), ways, strict=True)
              if late <= day < late + 60]  # fmt: skip
    plain, world = World(), World()
    agent, restarted = plain.restart(), world.restart()
    for number, start in enumerate(range(0, len(scores), 20)):
        batch = scores[start : start + 20]
        await agent.process(Batch(batch))
        if number in restarts:
            await know_of_all(world, 0.05 * (number % 9))
            restarted = world.restart()
        await restarted.process(Batch(batch))
    assert len(plain.alerts()) >= 6
    assert world.alerts() == plain.alerts()
    assert await world.state() == await plain.state()


async def test_a_user_keeps_their_first_prior_and_a_new_bundle_starts_with_todays() -> None:
    world = World()
    way = way_of("someone", 60, 1000)
    await play(world, way[:20], 20)
    await know_of_all(world, 0.1)
    world.store.later(PRIOR_DAYS * DAY_S + 1)
    await play(world, way[20:40], 20)
    (state,) = (await world.state()).values()
    assert prior_of(state) == RULES.chart.phi
    scores = [CODEC.decode(one.value, RiskScored) for one in way[40:]]
    moved = [replace(one, value=CODEC.encode(replace(score, bundle_id="demo-2")))
             for one, score in zip(way[40:], scores, strict=True)]  # fmt: skip
    await play(world, moved, 20)
    (state,) = (await world.state()).values()
    assert prior_of(state) == pytest.approx(0.1)


@pytest.mark.parametrize("batch", [1, 60])
async def test_an_alert_is_caused_by_the_score_of_its_memo_however_many_came_together(batch: int) -> None:
    world = World()
    await play(world, way_of("changed", 60, 40), batch)
    assert world.topic.records
    for alert, cause in zip(world.topic.records, world.topic.causes, strict=True):
        assert CODEC.decode(cause.value, RiskScored).memo_id == alert.memo_id


def damaged(seed: int, value: bytes) -> bytes:
    """A value that was cut off, or whose bytes or numbers changed."""
    rng = np.random.default_rng(seed)
    at, kind = int(rng.integers(len(value))), seed % 3
    wrong = [b"", rng.bytes(8), struct.pack("<d", (np.nan, -np.inf, 1e300, -1.0)[seed % 4])][kind]
    return value[:at] + wrong + (b"" if kind == 0 else value[at + len(wrong) :])


async def test_a_damaged_state_restarts_its_user_and_no_other() -> None:
    way, calm = way_of("changed", 30, 20), way_of("calm", 30, 1000, seed=1)
    healthy = World()
    await play(healthy, way + calm, 10)
    states = await healthy.state()
    for seed in range(200):
        world = World()
        wrong = {**states, DRIFT.key("changed"): damaged(seed, states[DRIFT.key("changed")])}
        await world.store.update(list(wrong), lambda key, _, wrong=wrong: (wrong[key], None), ttl_s=1e9)
        await world.restart().process(Batch(way[-2:] + calm[-2:]))
        assert (await world.state())[DRIFT.key("calm")] == states[DRIFT.key("calm")], f"seed {seed}"


async def test_a_state_under_the_key_of_another_user_is_damage_and_its_alerts_are_not_published() -> None:
    scores = [CODEC.decode(one.value, RiskScored) for one in way_of("changed", 60, 40)]
    followed = follow_in_detail(None, scores, RULES, NOW.timestamp())
    assert followed.alerts
    world, key = World(), DRIFT.key("calm")
    await world.store.update([key], lambda *_: (followed.state, None), ttl_s=1e9)
    await world.restart().process(Batch(way_of("calm", 1, 1000)))
    assert world.topic.records == []
    assert await world.store.read([QUARANTINE.key(key)]) == {QUARANTINE.key(key): followed.state}
