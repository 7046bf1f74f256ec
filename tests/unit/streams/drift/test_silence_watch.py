"""Silence of users: raised once, ended by the next memo, and never while the system or the platform was silent."""

from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import TypeVar, cast

import pytest

from schemas.codec import Codec
from schemas.events import AlertKind, AlertState, Band, RiskAlert, RiskScored
from schemas.ids import score_id
from schemas.settings import Settings
from schemas.state_keys import DRIFT, MUTES
from streams.drift import mutes, silence_watch
from streams.drift.agent import DriftAgent
from streams.drift.detector import DAY_S
from streams.drift.rules import Rules
from streams.drift.silence_watch import Heard, SilenceWatch
from streams.drift.user_state import unpack
from streams.silence.habit import limit_days
from tests.unit.streams.mortal_world import Faults, Killed, MortalStore, Topic
from workers.kafka.producer import Delivery
from workers.kafka.record import Batch, Source
from workers.state.deadlines import MemoryDeadlines

T = TypeVar("T")

CODEC = Codec()
START = datetime(2026, 1, 1, 8, tzinfo=UTC)
SETTINGS = Settings.load()
RULES = Rules.from_settings(SETTINGS)
DAILY = 40
"""Days that everybody speaks daily."""


class World:
    """Agent and watch over one store; `restart` keeps the store, the due times and the topic."""

    def __init__(self, at: int = -1, rules: Rules = RULES) -> None:
        self.faults = Faults(at)
        self.store, self.topic = MortalStore(self.faults), Topic(self.faults)
        self.silences = MemoryDeadlines(lambda: self.now)
        self.now, self.behind_s, self.rules = START, cast("float | None", 0.0), rules
        self.resting: set[str] = set()
        self.restart()

    def restart(self) -> None:
        ttl_s, delivery = SETTINGS.state_ttl_s, cast("Delivery", self.topic)
        self.agent = DriftAgent(self.rules, ttl_s, self.store, delivery, lambda: self.now, self.silences)
        self.watch = SilenceWatch(
            self.rules,
            ttl_s,
            self.store,
            self.silences,
            self.agent.publish,
            "demo-1",
            lambda: self.behind_s,
            self.those_who_rest,
        )

    async def those_who_rest(self, users: Collection[str]) -> Collection[str]:
        return self.resting.intersection(users)

    async def speak(self, day: float, users: Iterable[str], *, uploaded: float | None = None) -> None:
        """A memo of each user arrives at this day."""
        self.now = START + timedelta(days=day)
        await self.survive(lambda: self.agent.process(Batch([source(user, day, uploaded) for user in users])))

    async def look(self, day: float) -> None:
        self.now = START + timedelta(days=day)
        while await self.survive(self.watch.look) == silence_watch.AT_ONCE:
            pass

    async def survive(self, work: Callable[[], Awaitable[T]]) -> T:
        """The result of work, done again by another process where this one dies."""
        try:
            return await work()
        except Killed:
            self.restart()
            self.now += silence_watch.CLAIM
            return await work()

    def alerts(self) -> list[RiskAlert]:
        """The alerts that were published, each once, in order."""
        return list({each.alert_id: each for each in self.topic.records if isinstance(each, RiskAlert)}.values())

    def steps(self) -> list[tuple[str, AlertState]]:
        return [(alert.user_id, alert.state) for alert in self.alerts() if alert.kind is AlertKind.SILENCE]


def source(user: str, day: float, uploaded: float | None = None) -> Source:
    at = START + timedelta(days=day)
    up = at if uploaded is None else START + timedelta(days=uploaded)
    memo = f"{user}-{day}"
    score = RiskScored(
        score_id(user, memo, "demo-1"), memo, user, up, up, at, 0.2, Band.INDETERMINATE, ("quality:noisy",), (), (),
        "demo-1",
    )  # fmt: skip
    return Source("risk.scored", 0, 0, user.encode(), CODEC.encode(score), {}, round(at.timestamp() * 1000))


async def everybody_speaks(world: World, users: Iterable[str], until: float = DAILY) -> None:
    for day in range(round(until)):
        await world.speak(day, users)
        await world.look(day + 0.5)


MANY = [f"user-{number}" for number in range(6)]
SILENT, OTHERS = MANY[0], MANY[1:]


async def silence_of_one(world: World, days: int = 20) -> None:
    await everybody_speaks(world, MANY)
    for day in range(DAILY, DAILY + days):
        await world.speak(day, OTHERS)
        await world.look(day + 0.5)


async def test_who_falls_silent_is_raised_once_and_resolved_by_the_next_memo() -> None:
    world = World()
    await silence_of_one(world)
    (raised,) = world.alerts()
    state = await world.store.read([DRIFT.key(SILENT)])
    limit = limit_days(unpack(state[DRIFT.key(SILENT)] or b"").alerting.silence.pauses, RULES.silences_per_year)
    last = START + timedelta(days=DAILY - 1)
    assert (raised.kind, raised.state, raised.user_id) == (AlertKind.SILENCE, AlertState.RAISED, SILENT)
    assert raised.since == last
    assert raised.memo_id == f"{SILENT}-{DAILY - 1}"
    assert raised.statistic == pytest.approx(limit)
    assert raised.at.timestamp() == pytest.approx(last.timestamp() + limit * DAY_S, abs=0.01)
    await world.speak(DAILY + 20, MANY)
    assert world.steps() == [(SILENT, AlertState.RAISED), (SILENT, AlertState.RESOLVED)]
    resolved = world.alerts()[-1]
    assert resolved.dedup_key == raised.dedup_key
    assert resolved.statistic == pytest.approx(21)


async def test_death_at_any_step_gives_the_same_alerts_and_the_same_state() -> None:
    async def played(at: int) -> tuple[World, int]:
        world, three = World(at), MANY[:3]
        world.now = START + timedelta(days=DAILY - 1)
        for user in three:
            await world.agent.process(Batch([source(user, day) for day in range(DAILY)]))
        before = world.faults.steps
        for day in range(DAILY, DAILY + 8):
            await world.speak(day, three[1:])
            await world.look(day + 0.5)
        await world.speak(DAILY + 9, three)
        return world, before

    calm, before = await played(-1)
    assert calm.steps() == [(SILENT, AlertState.RAISED), (SILENT, AlertState.RESOLVED)]
    for at in range(before + 1, calm.faults.steps + 1):
        world, _ = await played(at)
        assert world.alerts() == calm.alerts(), f"killed at step {at}"
        keys = [DRIFT.key(user) for user in MANY]
        assert await world.store.read(keys) == await calm.store.read(keys), f"killed at step {at}"


async def test_replaying_the_scores_changes_nothing_while_a_silence_is_open() -> None:
    world = World()
    await silence_of_one(world)
    published, keys = len(world.topic.records), [DRIFT.key(user) for user in MANY]
    state = await world.store.read(keys)
    for day in range(DAILY):
        await world.agent.process(Batch([source(user, day) for user in MANY]))
    assert len(world.topic.records) == published
    assert await world.store.read(keys) == state


@pytest.mark.parametrize("behind_s", [None, 30 * DAY_S])
async def test_no_one_is_silent_for_a_system_that_is_behind(behind_s: float | None) -> None:
    world = World()
    await everybody_speaks(world, MANY)
    world.behind_s = behind_s
    for day in range(DAILY, DAILY + 25):
        await world.look(day)
    assert world.alerts() == []


async def test_scores_that_arrive_late_are_speech_at_the_time_when_they_arrive() -> None:
    """Workers are down for a fortnight, everybody goes on uploading, and all scores come at once."""
    world = World()
    await everybody_speaks(world, MANY)
    world.behind_s = 0.0
    for day in range(DAILY, DAILY + 14):
        world.behind_s = (day - DAILY) * DAY_S
        await world.look(day)
    for uploaded in range(DAILY, DAILY + 14):
        await world.speak(DAILY + 14 + uploaded * 1e-4, MANY, uploaded=uploaded)
    world.behind_s = 0.0
    await world.look(DAILY + 14.5)
    assert world.alerts() == []


@pytest.mark.parametrize("days", [3, 9, 40])
async def test_an_outage_of_the_platform_raises_no_one_during_or_after_it(days: int) -> None:
    world = World()
    await everybody_speaks(world, MANY)
    for half_day in range(2 * days):
        await world.look(DAILY + half_day / 2)
    world.restart()
    for day in range(DAILY + days, DAILY + days + 2):
        await world.speak(day, MANY[:4] if day == DAILY + days else MANY)
        await world.look(day + 0.2)
    assert world.alerts() == []


async def test_after_an_outage_silence_is_counted_from_its_end() -> None:
    world = World()
    await everybody_speaks(world, MANY)
    for day in range(DAILY, DAILY + 9):
        await world.look(day)
    for day in range(DAILY + 9, DAILY + 25):
        await world.speak(day, OTHERS)
        await world.look(day + 0.5)
        if day < DAILY + 11:
            assert world.alerts() == []
    assert world.steps() == [(SILENT, AlertState.RAISED)]


async def test_one_person_alone_is_never_raised() -> None:
    world = World()
    await everybody_speaks(world, ["alone"])
    for day in range(DAILY, DAILY + 60):
        await world.look(day)
    assert world.alerts() == []


async def test_there_is_no_silence_before_there_is_a_habit() -> None:
    world = World()
    await everybody_speaks(world, OTHERS)
    for day in range(DAILY, DAILY + 60):
        await world.speak(day, [*OTHERS, "new"] if day < DAILY + 5 else OTHERS)
        await world.look(day + 0.5)
    assert world.alerts() == []
    assert await world.silences.count() == len(OTHERS)


async def test_a_memo_that_cannot_be_read_is_speech() -> None:
    world = World()
    await silence_of_one(world)
    at_s = (START + timedelta(days=DAILY + 20)).timestamp()
    world.now = START + timedelta(days=DAILY + 20)
    await world.watch.hear([Heard(SILENT, "broken", at_s, at_s), Heard("stranger", "broken", at_s, at_s)])
    await world.look(DAILY + 20)
    assert world.steps() == [(SILENT, AlertState.RAISED), (SILENT, AlertState.RESOLVED)]
    assert world.alerts()[-1].memo_id == "broken"


async def test_the_silence_of_a_muted_user_is_suppressed_and_counted_and_its_end_is_published() -> None:
    world = World()
    mute = mutes.Mute(mutes.Scope.USER, SILENT, START, START + timedelta(days=999), "on a cruise")
    await world.store.update([MUTES.key()], lambda *_: (mutes.dump([mute], START), None), ttl_s=1e6)
    await silence_of_one(world)
    assert world.alerts() == []
    await world.speak(DAILY + 20, MANY)
    assert world.steps() == [(SILENT, AlertState.RESOLVED)]
    (counted,) = mutes.load((await world.store.read([MUTES.key()]))[MUTES.key()])
    assert counted.withheld == 1


async def test_a_silence_ends_after_ninety_days_and_is_not_raised_again() -> None:
    world = World()
    await silence_of_one(world, days=115)
    assert world.steps() == [(SILENT, AlertState.RAISED), (SILENT, AlertState.RESOLVED)]


async def test_a_user_whose_state_was_erased_is_not_watched_any_more() -> None:
    world = World()
    await everybody_speaks(world, MANY)
    await world.store.delete([DRIFT.key(SILENT)])
    for day in range(DAILY, DAILY + 20):
        await world.speak(day, OTHERS)
        await world.look(day + 0.5)
    assert world.alerts() == []
    assert await world.silences.count() == len(OTHERS)


async def test_due_times_that_were_lost_come_back_with_the_next_memo() -> None:
    world = World()
    await everybody_speaks(world, MANY)
    await world.silences.drop(MANY)
    await world.speak(DAILY, MANY)
    for day in range(DAILY + 1, DAILY + 20):
        await world.speak(day, OTHERS)
        await world.look(day + 0.5)
    assert world.steps() == [(SILENT, AlertState.RAISED)]


async def test_many_users_are_looked_at_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence_watch, "AT_ONCE", 4)
    world = World()
    await silence_of_one(world)
    assert world.steps() == [(SILENT, AlertState.RAISED)]


async def test_a_budget_of_zero_watches_no_one() -> None:
    world = World(rules=RULES._replace(silences_per_year=0.0))
    await silence_of_one(world)
    assert world.alerts() == []
    assert await world.silences.count() == 0


async def test_who_falls_silent_again_after_a_silence_is_raised_again() -> None:
    world = World()
    await silence_of_one(world)
    for day in range(DAILY + 20, DAILY + 35):
        await world.speak(day, MANY)
        await world.look(day + 0.5)
    for day in range(DAILY + 35, DAILY + 60):
        await world.speak(day, OTHERS)
        await world.look(day + 0.5)
    assert [state for _, state in world.steps()] == [AlertState.RAISED, AlertState.RESOLVED, AlertState.RAISED]


async def test_a_dead_letter_that_comes_again_after_a_death_ends_its_silence_at_once() -> None:
    world = World()
    await silence_of_one(world)
    world.now = START + timedelta(days=DAILY + 20)
    heard = [Heard(SILENT, "broken", world.now.timestamp(), world.now.timestamp())]
    world.faults.at = world.faults.steps + 2  # the state is written, and no due time moved
    await world.survive(lambda: world.watch.hear(heard))
    await world.look(DAILY + 20.5)
    assert world.steps() == [(SILENT, AlertState.RAISED), (SILENT, AlertState.RESOLVED)]


async def test_no_silence_is_raised_of_who_does_not_consent_and_an_open_one_ends() -> None:
    world = World()
    world.resting = {SILENT}
    await silence_of_one(world)
    assert world.steps() == []
    world.resting = set()
    for day in (DAILY + 20, DAILY + 21):
        await world.speak(day, OTHERS)
        await world.look(day + 0.5)
    assert world.steps() == [(SILENT, AlertState.RAISED)], "looked at again once it is given"
    world.resting = {SILENT}
    await world.speak(DAILY + 23, MANY)
    assert world.steps()[1:] == [(SILENT, AlertState.RESOLVED)]
