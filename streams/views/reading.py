"""Reads what there is of a user: their records on the topics, and their state in Redis. Changes nothing."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from aiokafka import ConsumerRecord

from schemas import topics
from schemas.codec import Codec, DecodeError
from schemas.events import DeadLetter, RiskAlert, RiskScored
from schemas.settings import Settings
from schemas.state_keys import BASELINE, BASELINE_0_1, DRIFT, EXCLUSIONS, JOIN, MUTES
from streams.views.outcomes import Outcomes, memo_of
from streams.views.user import Known
from workers.kafka.topic_reader import newest, of_key, written
from workers.state.open_store import open_deadlines, open_store

R = TypeVar("R")


class Past(NamedTuple):
    """What was read of a user for a plot. alerts: each once, a topic may repeat one; state: of drift, as stored."""

    scores: list[RiskScored]
    letters: list[DeadLetter]
    alerts: list[RiskAlert]
    state: bytes | None


async def newest_scores(settings: Settings, codec: Codec, most: int) -> list[RiskScored]:
    """The last scores of all users, in the order in which they were written; at most `most` of each partition.

    Raises Transient when the broker is unavailable, BrokerRefused when it refuses, as all of these functions.
    """
    records = await newest(settings, topics.SCORED, most)
    return _decoded(sorted(records, key=lambda record: (record.timestamp, record.offset)), codec, RiskScored)


async def scores_since(settings: Settings, codec: Codec, since: datetime) -> AsyncIterator[RiskScored]:
    """The scores that were written since then, up to now."""
    async for record in written(settings, topics.SCORED, since):
        for score in _decoded([record], codec, RiskScored):
            yield score


async def records_of(settings: Settings, codec: Codec, user_id: str, *wanted: topics.Topic) -> list[list[Any]]:
    """A user's records that are retained, one list for each topic, in its order."""
    async with aclosing(of_key(settings, wanted, user_id.encode())) as polls:
        found = await anext(polls)
    return [_decoded((r for r in found if r.topic == topic.name), codec, topic.record) for topic in wanted]


async def scores_of(settings: Settings, codec: Codec, user_id: str) -> list[RiskScored]:
    """All scores of a user that are retained, in the order of the topic."""
    (scores,) = await records_of(settings, codec, user_id, topics.SCORED)
    return scores


async def known_of(settings: Settings, codec: Codec, user_id: str) -> Known:
    """Everything that there is of a user."""
    scores, uploads, letters = await records_of(settings, codec, user_id, topics.SCORED, topics.UPLOADED, topics.DEAD)
    async with open_store(settings) as store, open_deadlines(settings) as deadlines:
        open_joins = await deadlines.starting_with(JOIN.key(user_id, ""))
        baselines = BASELINE.key(user_id), BASELINE_0_1.key(user_id)
        found = await store.read([DRIFT.key(user_id), *baselines, MUTES.key(), EXCLUSIONS.key(user_id), *open_joins])
    now, former = (found.pop(key) for key in baselines)
    state = {key: found.pop(key) for key in (DRIFT.key(user_id), MUTES.key(), EXCLUSIONS.key(user_id))}
    state[baselines[0]] = now if now is not None else former
    return Known(scores, uploads, letters, state, joins=found)


async def past_of(settings: Settings, codec: Codec, user_id: str) -> Past:
    """What a plot of a user shows."""
    scores, letters, alerts = await records_of(settings, codec, user_id, topics.SCORED, topics.DEAD, topics.ALERTS)
    async with open_store(settings) as store:
        (state,) = (await store.read([DRIFT.key(user_id)])).values()
    return Past(scores, letters, list({alert.alert_id: alert for alert in alerts}.values()), state)


async def outcomes_of(settings: Settings, codec: Codec, user_id: str, outcomes: Outcomes) -> AsyncGenerator[None, None]:
    """Adds outcomes of a user's memos as they come, those that exist first; control returns after each poll."""
    async with aclosing(of_key(settings, (topics.SCORED, topics.DEAD), user_id.encode())) as polls:
        async for records in polls:
            for score in _decoded((r for r in records if r.topic == topics.SCORED.name), codec, RiskScored):
                outcomes.add((score.user_id, score.memo_id), score)
            for letter in _decoded((r for r in records if r.topic == topics.DEAD.name), codec, DeadLetter):
                outcomes.add(memo_of(letter, codec), letter)
            yield


def _decoded(records: Iterable[ConsumerRecord], codec: Codec, kind: type[R]) -> list[R]:
    """The records that can be decoded; consumers make the others dead letters."""
    found = []
    for record in records:
        try:
            found.append(codec.decode(record.value, kind))
        except DecodeError:
            continue
    return found
