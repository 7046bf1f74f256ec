"""The fusion agent under redelivery and crashes at any step, with the store in memory."""

import asyncio
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from schemas.errors import DeadLetterCapReached, Poison, Transient
from schemas.events import (
    Band,
    DeadLetter,
    Modality,
    RiskScored,
)
from schemas.reasons import ABSTENTIONS, OTHER
from schemas.settings import Settings
from schemas.state_keys import BASELINE, BASELINE_0_1, DRIFT, EXCLUSIONS, JOIN, QUARANTINE, StateKey
from streams.context.exclusions import Exclusion, dump
from streams.drift.silence_watch import Heard
from streams.drift.user_state import open_episode
from streams.fusion import join as fusion
from streams.fusion.agent import count_scores
from streams.fusion.baseline import load, scored
from streams.fusion.dead_letter_agent import DeadLetterAgent
from streams.fusion.join import Join
from streams.fusion.rules import FusionRules
from tests.samples import counted
from tests.unit.schemas.records import SCORED
from tests.unit.streams.mortal_world import CODEC, NOW, Faults, Killed, MortalStore, World, both, dead_letter_of, source
from workers.kafka.dead_letters import dead_letter
from workers.kafka.record import Batch, Source
from workers.service.prometheus import REGISTRY
from workers.state.store import MemoryStore


async def test_a_memo_is_scored_once_all_parts_are_there() -> None:
    world = World()
    agent = world.restart()
    await agent.process(Batch([source("m", Modality.EMBEDDING)]))
    assert world.topic.records == []
    await agent.process(Batch([source("m", Modality.ACOUSTIC)]))
    assert [record.memo_id for record in world.topic.records] == ["m"]
    assert await world.deadlines.count() == 0


async def test_the_same_memo_again_changes_nothing() -> None:
    world = World()
    agent = world.restart()
    await agent.process(Batch(both("m")))
    before = await world.store.read(await world.store.find("*"))
    await agent.process(Batch(both("m")))
    assert len(world.topic.records) == 1
    assert await world.store.read(await world.store.find("*")) == before


async def test_memos_of_one_user_in_one_batch_are_scored_one_after_the_other() -> None:
    world = World()
    await world.restart().process(Batch(both(*(f"m{n:02d}" for n in range(40)))))
    assert sorted(record.probability for record in world.topic.records) == [n / 100 for n in range(40)]


async def test_two_users_memos_of_one_id_in_one_batch_are_each_scored_as_their_own() -> None:
    world = World()
    await world.restart().process(Batch(both("first", user="anna")))
    world.topic.records.clear()
    await world.restart().process(Batch([*both("m", user="anna"), *both("m", user="bert"), *both("x}:m", user="anna")]))
    scores = {(record.user_id, record.memo_id): record for record in world.topic.records}
    # A score counts the memos that its own user had before.
    assert sorted(record.probability for (user, _), record in scores.items() if user == "anna") == [0.01, 0.02]
    assert scores["bert", "m"].probability == 0.0
    assert len({record.score_id for record in scores.values()}) == len(world.topic.records) == 3


@pytest.mark.parametrize("batch", [1, 3, 8])
async def test_death_at_any_step_loses_nothing_and_scores_nothing_twice(batch: int) -> None:
    """Kill before and after every write and every send; a new process gets the batch again."""
    records = both("a", "b", user="one") + both("c", user="two") + [source("bad", m, "one", -1.0) for m in Modality][:2]
    calm = World()
    await play(calm, records, batch)
    steps = calm.faults.steps
    assert steps > 5
    for at in range(1, steps + 1):
        world = World(Faults(at))
        await play(world, records, batch)
        assert set(world.topic.scores()) == {"a", "b", "c"}, f"killed at step {at}"
        assert all(len(versions) == 1 for versions in world.topic.scores().values()), f"killed at step {at}"
        assert {r.dead_letter_id for r in world.topic.records if isinstance(r, DeadLetter)} == {
            r.dead_letter_id for r in calm.topic.records if isinstance(r, DeadLetter)
        }


async def play(world: World, records: Sequence[Source], batch: int) -> None:
    """Process the records in batches; after a crash a new process gets the batch again."""
    agent = world.restart()
    for start in range(0, len(records), batch):
        try:
            await agent.process(Batch(records[start : start + batch]))
        except Killed:
            agent = world.restart()
            await agent.process(Batch(records[start : start + batch]))


async def given_up(world: World, *memos: str) -> None:
    """Memos without embeddings whose joins were given up."""
    await world.restart().process(Batch([source(memo, Modality.ACOUSTIC) for memo in memos]))
    world.now = lambda: NOW + timedelta(hours=1)
    await world.restart().close_overdue()
    world.now = lambda: NOW + timedelta(hours=2)


async def test_a_join_that_stays_open_becomes_an_indeterminate_score() -> None:
    world = World()
    agent = world.restart()
    await agent.process(Batch([source("m", Modality.ACOUSTIC)]))
    assert await agent.close_overdue() == 0
    await given_up(world, "m")
    await world.restart().close_overdue()
    assert [(r.band, r.reasons) for r in world.topic.records] == [(Band.INDETERMINATE, ("missing:embedding",))]


async def test_a_part_that_comes_after_that_makes_the_score_once() -> None:
    world = World()
    await given_up(world, "m")
    calm = World()
    await calm.restart().process(Batch(both("m")))
    for _ in range(3):
        await world.restart().process(Batch([source("m", Modality.EMBEDDING)]))
        await world.restart().process(Batch(both("m")))
        await world.restart().close_overdue()
    assert world.outcomes() == {"m": ["indeterminate missing:embedding", "low"]}
    first, score = world.topic.records
    (expected,) = calm.topic.records
    assert len({first.score_id, score.score_id, expected.score_id}) == 2
    assert replace(score, scored_at=NOW, score_id="") == replace(expected, scored_at=NOW, score_id="")
    assert await world.deadlines.count() == 0


async def test_death_at_any_step_of_a_late_part_gives_one_more_score_and_the_same_one() -> None:
    calm = World()
    await given_up(calm, "m")
    calm.faults.steps = 0
    await calm.restart().process(Batch([source("m", Modality.EMBEDDING)]))
    for at in range(1, calm.faults.steps + 1):
        world = World()
        await given_up(world, "m")
        world.faults.steps, world.faults.at = 0, at
        await play(world, [source("m", Modality.EMBEDDING)], 1)
        await play(world, both("m"), 2)
        encodings = {CODEC.encode(record) for record in world.topic.records}
        assert len(encodings) == 2, f"killed at step {at}"
        assert set(world.outcomes()["m"]) == {"indeterminate missing:embedding", "low"}, f"killed at step {at}"


@pytest.mark.parametrize("at", range(1, 7))
async def test_a_part_that_comes_while_the_join_is_being_given_up_makes_the_score(at: int) -> None:
    """The process that gives it up dies at any step; the part comes before another looks again."""
    world = World()
    await world.restart().process(Batch([source("m", Modality.ACOUSTIC)]))
    world.now = lambda: NOW + timedelta(hours=1)
    world.faults.steps, world.faults.at = 0, at
    with suppress(Killed):
        await world.restart().close_overdue()
    await world.restart().process(Batch([source("m", Modality.EMBEDDING)]))
    world.now = lambda: NOW + timedelta(hours=2)
    await world.restart().close_overdue()
    await world.restart().process(Batch([source("m", Modality.EMBEDDING)]))
    assert world.outcomes()["m"][-1] == "low"
    assert len({CODEC.encode(r) for r in world.topic.records if r.band is Band.LOW}) == 1
    assert await world.deadlines.count() == 0


async def test_the_part_that_overtakes_the_end_of_giving_up_is_not_lost() -> None:
    """It comes between the indeterminate score and the mark that says so, and its own process dies before scoring."""
    world = World()
    agent = world.restart()
    await agent.process(Batch([source("m", Modality.ACOUSTIC)]))
    world.now = lambda: NOW + timedelta(hours=1)
    send = world.topic.send

    async def overtaken(outgoing: Any) -> None:
        await send(outgoing)
        world.topic.send = send  # type: ignore[method-assign]
        world.faults.steps, world.faults.at = 0, 3
        with suppress(Killed):
            await world.restart().process(Batch([source("m", Modality.EMBEDDING)]))

    world.topic.send = overtaken  # type: ignore[method-assign]
    await agent.close_overdue()
    await world.restart().process(Batch([source("m", Modality.EMBEDDING)]))
    assert world.outcomes() == {"m": ["indeterminate missing:embedding", "low"]}


async def test_death_while_closing_a_join_still_gives_one_score() -> None:
    for at in range(1, 12):
        world = World()
        await world.restart().process(Batch([source("m", Modality.ACOUSTIC)]))
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
    await world.restart().process(Batch([Source("memos.features", 0, 5, b"u", b"garbage"), *both("m")]))
    found = [(r.value, r.reason) for r in world.topic.records if isinstance(r, DeadLetter)]
    assert found == [(b"garbage", "event:undecodable")]
    assert set(world.topic.scores()) == {"m"}


async def test_an_unavailable_store_is_transient() -> None:
    class Unavailable(MemoryStore):
        async def update(self, *_: Any, **__: Any) -> Any:
            raise Transient("Redis unavailable")

    world = World()
    world.store = cast("MortalStore", Unavailable())
    with pytest.raises(Transient):
        await world.restart().process(Batch(both("m")))


async def test_memos_during_an_open_alert_do_not_become_the_users_normal() -> None:
    from tests.unit.streams.drift import test_agent

    drifted = test_agent.World()
    await test_agent.play(drifted, test_agent.way_of("changed", 50, 40), 50)
    world = World()
    agent = world.restart()
    await agent.process(Batch(both("before", user="changed")))
    (state,) = (await drifted.state()).values()
    await world.store.update([DRIFT.key("changed")], lambda *_: (state, None), ttl_s=1e6)
    assert open_episode(state)
    await agent.process(Batch(both("during", user="changed")))
    await agent.process(Batch(both("after", user="changed")))
    assert [record.probability for record in world.topic.records] == [0.0, 0.01, 0.01]


# One outcome a memo


@pytest.mark.parametrize("order", ["part first", "dead letter first"])
async def test_a_memo_that_died_in_one_stage_is_not_waited_for(order: str) -> None:
    """Its dead letter is its one outcome, without an indeterminate score, in whatever order the two are read."""
    world = World()
    if order == "dead letter first":
        await world.dead_letters().process(Batch([dead_letter_of("m")]))
    await world.restart().process(Batch([source("m", Modality.ACOUSTIC)]))
    if order == "part first":
        await world.dead_letters().process(Batch([dead_letter_of("m")]))
    world.now = lambda: NOW + timedelta(hours=1)
    await world.restart().close_overdue()
    assert world.topic.records == []
    assert await world.deadlines.count() == 0


async def test_a_redriven_memo_is_scored_as_if_it_had_never_failed() -> None:
    calm = World()
    await calm.restart().process(Batch(both("before", "m")))
    world = World()
    agent = world.restart()
    await agent.process(Batch([*both("before"), source("m", Modality.ACOUSTIC)]))
    await world.dead_letters().process(Batch([dead_letter_of("m")]))
    await agent.process(Batch([source("m", m, redrives=1) for m in (Modality.ACOUSTIC, Modality.EMBEDDING)]))
    expected, found = (next(r for r in w.topic.records if r.memo_id == "m") for w in (calm, world))
    assert world.outcomes() == {"before": ["low"], "m": ["low"]}
    assert replace(found, scored_at=NOW) == replace(expected, scored_at=NOW)
    await agent.process(Batch([source("m", m, redrives=2) for m in (Modality.ACOUSTIC, Modality.EMBEDDING)]))
    assert world.outcomes()["m"] == ["low"]


async def test_a_redelivered_old_dead_letter_does_not_stop_the_new_attempt() -> None:
    world = World()
    agent = world.restart()
    await world.dead_letters().process(Batch([dead_letter_of("m")]))
    await agent.process(Batch([source("m", Modality.ACOUSTIC, redrives=1)]))
    await world.dead_letters().process(Batch([dead_letter_of("m")]))
    await agent.process(Batch([source("m", Modality.EMBEDDING, redrives=1)]))
    assert world.outcomes() == {"m": ["low"]}


async def test_a_redriven_memo_that_fails_again_is_dead_again() -> None:
    world = World()
    agent = world.restart()
    await world.dead_letters().process(Batch([dead_letter_of("m")]))
    await agent.process(Batch([source("m", Modality.ACOUSTIC, redrives=1)]))
    await world.dead_letters().process(Batch([dead_letter_of("m", redrives=1)]))
    world.now = lambda: NOW + timedelta(hours=1)
    agent = world.restart()
    await agent.close_overdue()
    assert world.topic.records == []
    await agent.process(Batch([source("m", m, redrives=2) for m in (Modality.ACOUSTIC, Modality.EMBEDDING)]))
    assert world.outcomes() == {"m": ["low"]}


async def test_features_that_no_bundle_could_score_are_scored_once_redriven() -> None:
    """The scorer refused the join (of another extractor); after the fix one part alone is sent back."""
    world = World()
    agent = world.restart()
    bad = [source("m", m, value=-1.0) for m in (Modality.ACOUSTIC, Modality.EMBEDDING)]
    await agent.process(Batch(bad))
    await agent.process(Batch(bad))  # redelivery adds nothing
    assert world.outcomes() == {"m": ["features:mismatch"]}
    await agent.process(Batch([source("m", Modality.ACOUSTIC, redrives=1)]))
    assert world.outcomes() == {"m": ["features:mismatch", "low"]}


async def test_a_dead_letter_of_a_scored_memo_changes_nothing() -> None:
    """The same memo was uploaded twice and failed once."""
    world = World()
    await world.restart().process(Batch(both("m")))
    before = await world.store.read(await world.store.find("*"))
    await world.dead_letters().process(Batch([dead_letter_of("m")]))
    assert await world.store.read(await world.store.find("*")) == before


async def test_a_memo_whose_features_the_program_fails_on_has_one_outcome() -> None:
    """The dead letter of its last part closes the join; a redrive of that part scores it."""
    world = World()
    agent = world.restart()
    await agent.process(Batch([source("m", Modality.ACOUSTIC)]))
    failed = dead_letter(source("m", Modality.EMBEDDING), Poison("defect:ValueError", "a bug"), "fusion", NOW)
    await world.dead_letters().process(Batch([Source("memos.dead", 0, 0, b"user", CODEC.encode(failed))]))
    world.now = lambda: NOW + timedelta(days=30)
    await world.restart().close_overdue()
    assert world.topic.records == []
    await world.restart().process(Batch([source("m", Modality.EMBEDDING, redrives=1)]))
    assert world.outcomes() == {"m": ["low"]}


async def test_dead_letters_of_records_that_are_not_memos_are_skipped() -> None:
    world = World()
    other = dead_letter(Source("memos.features", 0, 1, b"u", b"x"), Poison("r", "d"), "fusion", NOW)
    garbage = dead_letter(Source("memos.uploaded", 0, 1, b"u", b"x"), Poison("r", "d"), "acoustic", NOW)
    values = [CODEC.encode(other), CODEC.encode(garbage), b"not a dead letter", None]
    await world.dead_letters().process(
        Batch([Source("memos.dead", 0, n, b"u", value) for n, value in enumerate(values)])
    )
    assert await world.store.find("*") == []


async def test_a_bundle_that_can_score_nothing_stops_the_agent_before_it_empties_the_topic() -> None:
    world = World()
    agent = world.restart()
    for number in range(20):
        await agent.process(
            Batch([source(f"m{number}", m, f"u{number}", -1.0) for m in (Modality.ACOUSTIC, Modality.EMBEDDING)])
        )
    with pytest.raises(DeadLetterCapReached):
        await agent.process(Batch([source("one more", m, value=-1.0) for m in (Modality.ACOUSTIC, Modality.EMBEDDING)]))
    assert "one more" not in world.outcomes()


# An unavailable modality, and clocks


async def test_a_modality_unavailable_for_an_hour_leaves_no_memo_without_a_score() -> None:
    """One memo a minute; embeddings come late by up to an hour. Each memo has its full score once."""
    world = World()
    world.settings = Settings.load(join_timeout_s=900.0)
    minute, held = 0, []
    world.now = lambda: NOW + timedelta(minutes=minute)
    agent = world.restart()
    for minute in range(130):
        if minute < 120:
            parts = [source(f"m{minute}", m, f"u{minute % 7}") for m in (Modality.ACOUSTIC, Modality.EMBEDDING)]
            await agent.process(Batch(parts[:1]))
            held.append(parts[1])
        if not 30 <= minute < 90:
            await agent.process(Batch(held))
            held.clear()
        await agent.close_overdue()
    outcomes = world.outcomes()
    assert {memo: found.count("low") for memo, found in outcomes.items()} == {f"m{n}": 1 for n in range(120)}
    revised = [memo for memo, found in outcomes.items() if found == ["indeterminate missing:embedding", "low"]]
    assert revised == [f"m{n}" for n in range(30, 75)]
    assert sum(map(len, outcomes.values())) == 120 + len(revised)
    assert await world.deadlines.count() == 0


@pytest.mark.parametrize(
    ("behind_s", "waited", "given_up"),
    [
        (0.0, timedelta(seconds=59), False),
        (0.0, timedelta(seconds=61), True),
        (3600.0, timedelta(minutes=59), False),
        (3600.0, timedelta(minutes=61), True),
        (None, timedelta(days=2.9), False),
        (1e300, timedelta(days=2.9), False),
        (None, timedelta(days=3, seconds=1), True),
        (1e300, timedelta(days=3, seconds=1), True),
    ],
)
async def test_a_join_is_given_up_once_the_workers_have_passed_its_memo(
    behind_s: float | None, waited: timedelta, given_up: bool
) -> None:
    """behind_s: how far back the uploads are that they have not passed; None: the broker does not say."""
    world = World()
    world.now = lambda: NOW
    world.behind_s = behind_s
    await world.restart().process(Batch([source("m", Modality.ACOUSTIC)]))
    world.now = lambda: NOW + waited
    await world.restart().close_overdue()
    assert world.outcomes() == ({"m": ["indeterminate missing:embedding"]} if given_up else {})
    await world.restart().process(Batch([source("m", Modality.EMBEDDING)]))
    assert world.outcomes()["m"][-1] == "low"


async def test_a_join_that_was_being_given_up_by_a_clock_that_was_ahead_is_given_up_in_time() -> None:
    """The process died before it had delivered the score."""
    world = World()
    await world.restart().process(Batch([source("m", Modality.ACOUSTIC)]))
    world.now = lambda: NOW + timedelta(days=3000)
    world.faults.steps, world.faults.at = 0, 3
    with pytest.raises(Killed):
        await world.restart().close_overdue()
    world.now = lambda: NOW + timedelta(minutes=3)
    await world.restart().close_overdue()
    assert world.outcomes() == {"m": ["indeterminate missing:embedding"]}


async def test_a_join_whose_deadline_came_of_a_clock_that_was_ahead_is_given_up_in_time() -> None:
    world = World()
    world.now = lambda: NOW + timedelta(days=3000)
    await world.restart().process(Batch([source("m", Modality.ACOUSTIC)]))
    world.now = lambda: NOW
    await world.restart().close_overdue()
    world.now = lambda: NOW + timedelta(minutes=3)
    await world.restart().close_overdue()
    assert world.outcomes() == {"m": ["indeterminate missing:embedding"]}


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({}, 3 * 86400.0),
        ({"join_ttl_s": 1000.0}, 900.0),
        ({"join_give_up_s": 5.0}, 900.0),
        ({"join_give_up_s": 1e6}, 544320.0),
    ],
)
def test_a_join_is_given_up_before_redis_forgets_it_and_not_before_its_timeout(
    given: dict[str, float], seconds: float
) -> None:
    assert FusionRules.from_settings(Settings.load(**given)).give_up == timedelta(seconds=seconds)


async def test_two_agents_that_look_at_the_same_time_give_up_a_join_once() -> None:
    world = World()
    await world.restart().process(Batch([source("m", Modality.ACOUSTIC)]))
    world.now = lambda: NOW + timedelta(hours=1)
    await asyncio.gather(*(world.restart().close_overdue() for _ in range(3)))
    assert world.outcomes() == {"m": ["indeterminate missing:embedding"]}


async def test_a_join_that_is_complete_is_not_settled_by_the_timer_before_it_was_scored() -> None:
    """All parts are written, the process dies before it scores, and the timer of another comes first."""
    world = World()
    await world.restart().process(Batch([source("m", Modality.ACOUSTIC)]))
    world.faults.steps, world.faults.at = 0, 2
    with pytest.raises(Killed):
        await world.restart().process(Batch([source("m", Modality.EMBEDDING)]))
    world.now = lambda: NOW + timedelta(hours=1)
    await world.restart().close_overdue()
    await world.restart().process(Batch([source("m", Modality.EMBEDDING)]))
    assert world.outcomes() == {"m": ["low"]}


@pytest.mark.parametrize("at", range(1, 14))
async def test_a_store_that_comes_back_empty_within_a_batch_scores_nothing_twice(at: int) -> None:
    """Redis dies at any step of a batch and has lost everything when the batch is tried again."""
    world = World()
    agent = world.restart()
    await agent.process(Batch([source("early", Modality.ACOUSTIC)]))
    batch = Batch([source("early", Modality.EMBEDDING), *both("a"), *both("b", user="other")])
    world.faults.steps, world.faults.at = 0, at
    try:
        await agent.process(batch)
    except Killed:  # as if it were Transient: the same process tries again
        await world.store.delete(await world.store.find("*"))
        await world.deadlines.drop([key for key, _ in world.deadlines._due.items()])
        await agent.process(batch)
    world.faults.at = -1
    world.now = lambda: NOW + timedelta(hours=1)
    await world.restart().close_overdue()
    assert {memo: len(set(found)) for memo, found in world.outcomes().items()} == {"early": 1, "a": 1, "b": 1}
    assert all(len(versions) == 1 for versions in world.topic.scores().values())


async def test_a_score_that_no_part_causes_belongs_to_the_trace_of_the_part_that_came() -> None:
    world = World()
    parent = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    part = replace(source("memo", Modality.ACOUSTIC), headers={"traceparent": parent})
    agent = world.restart()
    await agent.process(Batch([part]))
    world.now = lambda: NOW + timedelta(seconds=100)
    assert await world.restart().close_overdue() == 1
    (cause,) = world.topic.causes
    assert cause.headers == {"traceparent": parent}


def test_reasons_of_records_never_become_series_of_their_own() -> None:
    def series() -> set[str]:
        metric = next(m for m in REGISTRY.collect() if m.name == "undertone_scores_indeterminate")
        return {sample.labels["reason"] for sample in metric.samples}

    invented = [replace(SCORED, reasons=tuple(f"quality:{n}-{m}" for m in range(10))) for n in range(100)]
    with (
        counted("scores_indeterminate_total", reason=OTHER) as others,
        counted("scores_indeterminate_total", reason="quality:noisy") as noisy,
    ):
        count_scores([*invented, replace(SCORED, reasons=("quality:noisy",))])
    assert (others, noisy) == ([1000], [1])
    assert series() <= {OTHER, *ABSTENTIONS}


@pytest.mark.parametrize(
    "damaged",
    [b"", b"\x00", b"\xff" * 99, b"\x0c\x91" * 50, b"\x90" * 3000, b"\x01" + zlib.compress(bytes(1 << 26)), b"[{}]"],
)
async def test_a_damaged_join_or_baseline_restarts_its_memo_or_user_and_no_other(damaged: bytes) -> None:
    world = World()
    await world.restart().process(Batch([*both("first", user="anna"), source("m", Modality.ACOUSTIC, "anna")]))
    keys = [JOIN.key("anna", "m"), BASELINE.key("anna")]
    await world.store.update(keys, lambda *_: (damaged, None), ttl_s=1e9)
    await world.restart().process(Batch([*both("m", user="anna"), *both("n", user="bert")]))
    assert {"m", "n"} <= set(world.topic.scores())
    kept = await world.store.read([QUARANTINE.key(key) for key in keys])
    assert set(kept.values()) == {damaged}


async def under_the_key_of_bert(world: World) -> bytes:
    """The open join of Anna's memo, also under the key of Bert's."""
    await world.restart().process(Batch([source("m", Modality.ACOUSTIC, "anna")]))
    state = (await world.store.read([JOIN.key("anna", "m")]))[JOIN.key("anna", "m")]
    assert state is not None
    await world.store.update([JOIN.key("bert", "n")], lambda *_: (state, None), ttl_s=1e9)
    return state


async def test_a_join_under_the_key_of_another_memo_is_damage() -> None:
    world = World()
    state = await under_the_key_of_bert(world)
    await world.restart().process(Batch([source("n", Modality.EMBEDDING, "bert")]))
    assert world.topic.records == []
    moved = QUARANTINE.key(JOIN.key("bert", "n"))
    assert await world.store.read([moved]) == {moved: state}


async def test_neither_the_timer_nor_a_dead_letter_follows_a_join_of_another_memo() -> None:
    world = World()
    state = await under_the_key_of_bert(world)
    moved = QUARANTINE.key(JOIN.key("bert", "n"))
    await world.dead_letters().process(Batch([dead_letter_of("n", user="bert")]))
    assert await world.store.read([moved]) == {moved: state}
    await world.restart().process(Batch(both("n", user="bert")))
    assert world.topic.records == [], "the dead letter is the outcome of the memo that it names"

    world = World()
    state = await under_the_key_of_bert(world)
    await world.deadlines.drop([JOIN.key("anna", "m")])
    await world.deadlines.put({JOIN.key("bert", "n"): NOW})
    world.now = lambda: NOW + timedelta(hours=1)
    await world.restart().close_overdue()
    assert world.topic.records == []
    assert await world.store.read([moved]) == {moved: state}


@pytest.mark.parametrize("row", [BASELINE, BASELINE_0_1])
@pytest.mark.parametrize("undelivered", [CODEC.encode(replace(SCORED, memo_id="m", user_id="anna")), b"no score"])
async def test_a_score_of_another_user_s_memo_is_damage_and_is_not_sent(row: StateKey, undelivered: bytes) -> None:
    state = scored(load(None, "demo-test", 1), "m", undelivered, None).to_bytes()
    world, key = World(), row.key("bert")
    await world.store.update([key], lambda *_: (state, None), ttl_s=1e9)
    await world.restart().process(Batch(both("m", user="bert")))
    assert [(record.user_id, record.memo_id) for record in world.topic.records] == [("bert", "m")]
    assert await world.store.read([QUARANTINE.key(key)]) == {QUARANTINE.key(key): state}


async def test_a_join_that_the_program_fails_on_keeps_no_other_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def incomplete(join: Join, *rest: Any) -> Any:
        if join.memo_id == "bad":
            raise ZeroDivisionError
        return as_it_is(join, *rest)

    as_it_is = fusion.incomplete
    world = World()
    names = ["a", "bad", "b", "c"]
    await world.restart().process(Batch([source(name, Modality.ACOUSTIC) for name in names]))
    monkeypatch.setattr(fusion, "incomplete", incomplete)
    for minutes in (60, 61):  # the second time, because the first has claimed them all
        world.now = lambda minutes=minutes: NOW + timedelta(minutes=minutes)  # type: ignore[misc]
        await world.restart().close_overdue()
    assert set(world.outcomes()) == {"a", "b", "c"}
    assert await world.deadlines.due(world.now(), 10) == []
    monkeypatch.setattr(fusion, "incomplete", as_it_is)
    world.now = lambda: NOW + timedelta(hours=2)
    await world.restart().close_overdue()
    assert set(world.outcomes()) == set(names)


async def test_timeouts_that_name_no_join_are_dropped() -> None:
    world = World()
    await world.restart().process(Batch(both("m", user="anna")))
    before = await world.store.read(await world.store.find("*"))
    await world.deadlines.put({BASELINE.key("anna"): NOW, "anything": NOW})
    world.now = lambda: NOW + timedelta(hours=1)
    await world.restart().close_overdue()
    assert await world.deadlines.count() == 0
    assert await world.store.read(await world.store.find("*")) == before


async def test_memos_of_dead_letters_are_speech_of_their_users_whoever_closes_their_joins() -> None:
    world, spoken = World(), list[Heard]()

    async def hear(memos: Sequence[Heard]) -> None:
        spoken.extend(memos)

    rules = FusionRules.from_settings(world.settings)
    agent = DeadLetterAgent(rules, world.store, world.deadlines, CODEC, hear)
    await agent.process(Batch([dead_letter_of("m"), dead_letter_of("n", user="other")]))
    assert [(each.user_id, each.memo_id) for each in spoken] == [("user", "m"), ("other", "n")]
    assert {each.uploaded_s for each in spoken} == {NOW.timestamp()}


async def test_a_memo_within_a_mark_is_scored_and_not_added_to_the_baseline() -> None:
    """The scorer's probability counts the memos of the baseline."""
    world = World()
    mark = {"cold": Exclusion(0.0, NOW.timestamp(), NOW.timestamp() + 1.0)}
    await world.store.update([EXCLUSIONS.key("user")], lambda *_: (dump(mark), None), ttl_s=1e6)
    agent = world.restart()
    for memo in ("a", "b", "c"):
        await agent.process(Batch(both(memo)))
        await agent.process(Batch(both(memo, user="free")))
    scores = [record for record in world.topic.records if isinstance(record, RiskScored)]
    found = {user: [score.probability for score in scores if score.user_id == user] for user in ("user", "free")}
    assert found == {"user": [0.0, 0.0, 0.0], "free": [0.0, 0.01, 0.02]}


async def test_a_damaged_mark_leaves_nothing_out_and_stops_nothing() -> None:
    world = World()
    await world.store.update([EXCLUSIONS.key("user")], lambda *_: (b"\x01damaged", None), ttl_s=1e6)
    agent = world.restart()
    for memo in ("a", "b"):
        await agent.process(Batch(both(memo)))
    assert [record.probability for record in world.topic.records if isinstance(record, RiskScored)] == [0.0, 0.01]
    assert await world.store.find("quarantine:excluded*")
