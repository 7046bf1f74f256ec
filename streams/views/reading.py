"""Reads what there is of a user: their records on the topics, and their state in Redis. Changes nothing."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from datetime import datetime
from typing import TypeVar

from aiokafka import ConsumerRecord

from schemas import topics
from schemas.codec import Codec, DecodeError
from schemas.errors import UnreadableState
from schemas.events import DeadLetter, MemoUploaded, RiskAlert, RiskScored
from schemas.settings import Settings
from schemas.state_keys import BASELINE, BASELINE_0_1, DRIFT, JOIN, MUTES
from streams.drift import mutes
from streams.views.outcomes import Outcomes, memo_of
from streams.views.user import Known
from workers.kafka.topic_reader import newest, of_key, written
from workers.state.redis_deadlines import RedisDeadlines
from workers.state.redis_store import RedisStore

R = TypeVar("R")


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


async def scores_of(settings: Settings, codec: Codec, user_id: str) -> list[RiskScored]:
    """All scores of a user that are retained, in the order of the topic."""
    return _decoded(await _existing(settings, topics.SCORED, user_id), codec, RiskScored)


async def known_of(settings: Settings, codec: Codec, user_id: str) -> Known:
    """Everything that there is of a user."""
    scores, uploads, letters = await asyncio.gather(
        *(_existing(settings, topic, user_id) for topic in (topics.SCORED, topics.UPLOADED, topics.DEAD))
    )
    async with RedisStore.of(settings) as store, RedisDeadlines.of(settings) as deadlines:
        open_joins = await deadlines.starting_with(JOIN.key(user_id, ""))
        baselines = BASELINE.key(user_id), BASELINE_0_1.key(user_id)
        found = await store.read([DRIFT.key(user_id), *baselines, MUTES.key(), *open_joins])
    now, former = (found.pop(key) for key in baselines)
    try:
        muted = mutes.load(found.pop(MUTES.key()))
    except UnreadableState:
        muted = []  # the drift agent moves them to quarantine, and then mutes no user either
    return Known(
        scores=_decoded(scores, codec, RiskScored),
        uploads=_decoded(uploads, codec, MemoUploaded),
        letters=_decoded(letters, codec, DeadLetter),
        state={DRIFT.key(user_id): found.pop(DRIFT.key(user_id)), baselines[0]: now if now is not None else former},
        joins=found,
        mutes=muted,
    )


async def alerts_of(settings: Settings, codec: Codec, user_id: str) -> list[RiskAlert]:
    """The alerts of a user that are retained, each once: it may be on the topic twice."""
    found = _decoded(await _existing(settings, topics.ALERTS, user_id), codec, RiskAlert)
    return list({alert.alert_id: alert for alert in found}.values())


async def outcomes_of(settings: Settings, codec: Codec, user_id: str, outcomes: Outcomes) -> AsyncGenerator[None, None]:
    """Adds outcomes of a user's memos as they come, those that exist first; control returns after each poll."""
    async with aclosing(of_key(settings, (topics.SCORED, topics.DEAD), user_id.encode())) as polls:
        async for records in polls:
            for score in _decoded((r for r in records if r.topic == topics.SCORED.name), codec, RiskScored):
                outcomes.add((score.user_id, score.memo_id), score)
            for letter in _decoded((r for r in records if r.topic == topics.DEAD.name), codec, DeadLetter):
                outcomes.add(memo_of(letter, codec), letter)
            yield


async def _existing(settings: Settings, topic: topics.Topic, user_id: str) -> list[ConsumerRecord]:
    async with aclosing(of_key(settings, (topic,), user_id.encode())) as polls:
        return await anext(polls)


def _decoded(records: Iterable[ConsumerRecord], codec: Codec, kind: type[R]) -> list[R]:
    """The records that can be decoded; consumers make the others dead letters."""
    found = []
    for record in records:
        try:
            found.append(codec.decode(record.value, kind))
        except DecodeError:
            continue
    return found
