"""`topics describe` while a broker starts: what it cannot report says why, and the rest is there."""

import asyncio
from typing import Any, Self

import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupLoadInProgressError,
    KafkaError,
    KafkaTimeoutError,
    NotCoordinatorForGroupError,
    UnknownError,
)

from schemas import topics
from schemas.errors import BrokerRefused, Transient
from schemas.pipeline import AGENTS_GROUP
from schemas.settings import Settings
from workers.kafka import admin
from workers.kafka.admin import TopicState


class Starting:
    """An observer of a broker that answers with an error for one group, or for everybody."""

    def __init__(self, error: KafkaError | None, group: str = "", at_start: KafkaError | None = None) -> None:
        self._error, self._group, self._at_start = error, group, at_start

    async def __aenter__(self) -> Self:
        if self._at_start is not None:
            raise self._at_start
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def backlog(self, group: str, _: str) -> int:
        if self._error is None:
            await asyncio.Event().wait()
        elif group == self._group:
            raise self._error
        return 3

    async def size(self, _: str) -> tuple[int, int]:
        return 4, 10


def described(observer: Starting, monkeypatch: pytest.MonkeyPatch) -> dict[str, TopicState]:
    async def answered(_: Settings) -> None: ...

    made: Any = lambda _: observer  # noqa: E731
    monkeypatch.setattr(admin, "answered", answered)
    monkeypatch.setattr(admin, "Observer", made)
    return {each.topic.name: each for each in asyncio.run(admin.describe_topics(Settings.load()))}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (GroupLoadInProgressError(), "coordinator is loading"),
        (NotCoordinatorForGroupError(), "coordinator is not available"),
        (KafkaTimeoutError(), "no answer within 15 s"),
        (UnknownError(), "broker answers UnknownError"),
    ],
)
def test_a_group_whose_lag_is_not_reported_says_why_and_hides_nothing(
    error: KafkaError, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = described(Starting(error, AGENTS_GROUP), monkeypatch)
    assert found[topics.FEATURES.name].lag == {AGENTS_GROUP: f"unknown: {words}"}
    assert found[topics.FEATURES.name].unknown
    assert found[topics.UPLOADED.name].lag == {"undertone-acoustic": 3, "undertone-embedding": 3}
    assert not found[topics.UPLOADED.name].unknown
    assert [(each.partitions, each.records) for each in found.values()] == [(4, 10)] * len(topics.TOPICS)


def test_a_coordinator_that_never_answers_is_waited_for_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "ANSWER_S", 0.05)
    found = described(Starting(None), monkeypatch)
    assert found[topics.FEATURES.name].lag == {AGENTS_GROUP: "unknown: no answer within 0.05 s"}


def test_a_missing_permission_ends_the_command_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BrokerRefused, match="grant permission to read its consumer group"):
        described(Starting(GroupAuthorizationFailedError(), AGENTS_GROUP), monkeypatch)


def test_a_broker_that_fails_while_clients_connect_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Transient, match="does not describe its topics yet"):
        described(Starting(None, at_start=KafkaTimeoutError()), monkeypatch)


def test_a_new_topic_gets_the_retention_of_the_settings_and_the_last_words_stay() -> None:
    settings = Settings.load(features_retention_s=7200, audit_retention_s=86400)
    configured = {topic.name: admin._new(topic, settings).topic_configs for topic in topics.TOPICS}
    features, words = configured["memos.features"], configured["care.consents"]
    assert (features["retention.ms"], features["segment.ms"]) == ("7200000", "3600000")
    assert configured["audit.events"]["retention.ms"] == "86400000"
    assert configured["risk.scored"]["retention.ms"] == str(30 * 86400 * 1000)
    assert (features["cleanup.policy"], words["cleanup.policy"]) == ("delete", "compact")
