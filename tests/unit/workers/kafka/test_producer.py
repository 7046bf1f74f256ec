"""Delivery: all records acknowledged or an error, and dead letters that name nobody."""

import asyncio
import logging
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError, RequestTimedOutError

from schemas import topics
from schemas.codec import Codec
from schemas.errors import Poison, Transient
from schemas.events import DeadLetter, MemoFeatures
from schemas.headers import Headers, span_of
from schemas.redrive_headers import REDRIVES, REVISION
from tests.samples import counted
from tests.unit.schemas.records import FEATURES, SCORED, UPLOADED
from workers.kafka.producer import REFUSED, UNDECODABLE, Delivery, Outgoing
from workers.kafka.record import Source
from workers.kafka.sealed_clients import NOT_SENT
from workers.service import logs, tracing

CODEC = Codec()
TRACE = {"traceparent": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
CAUSE = Source(topics.UPLOADED.name, 1, 7, b"user-1", CODEC.encode(UPLOADED), TRACE)
FEATURES_OUT = Outgoing(topics.FEATURES, b"user-1", FEATURES, CAUSE)


@dataclass
class Broker:
    """A producer whose broker takes and acknowledges records as it is told to, by their number."""

    refused: dict[int, KafkaError] = field(default_factory=dict)
    unacknowledged: dict[int, BaseException] = field(default_factory=dict)
    taken: list[tuple[str, bytes, bytes | None, Headers]] = field(default_factory=list)
    acknowledged: int = 0

    async def send(self, topic: str, *, value: bytes, key: bytes | None, headers: Headers) -> asyncio.Future[None]:
        number = len(self.taken)
        if number in self.refused:
            raise self.refused[number]
        self.taken.append((topic, value, key, headers))
        return asyncio.create_task(self._acknowledgement(number))

    async def _acknowledgement(self, number: int) -> None:
        await asyncio.sleep(0)
        if number in self.unacknowledged:
            raise self.unacknowledged[number]
        self.acknowledged += 1


def delivery(broker: Broker) -> Delivery:
    return Delivery(broker, CODEC, "acoustic")


async def test_a_record_is_encoded_and_keyed_and_continues_its_trace() -> None:
    broker = Broker()
    await delivery(broker).send([FEATURES_OUT])
    ((topic, value, key, headers),) = broker.taken
    assert (topic, key, CODEC.decode(value, MemoFeatures)) == ("memos.features", b"user-1", FEATURES)
    span, parent = span_of(dict(headers)), span_of(TRACE)
    assert span is not None
    assert parent is not None
    assert span.trace_id == parent.trace_id
    assert span.span_id != parent.span_id


async def test_a_value_that_was_encoded_before_is_sent_as_it_is() -> None:
    broker = Broker()
    await delivery(broker).send([Outgoing(topics.FEATURES, None, FEATURES, CAUSE, value=b"encoded")])
    assert broker.taken[0][1:3] == (b"encoded", None)


async def test_a_result_outside_of_the_limits_becomes_the_dead_letter_of_its_cause() -> None:
    broker = Broker()
    huge = replace(FEATURES, windows=np.zeros((1_000_001, 1), np.float32))
    with counted("dead_letters_total", stage="acoustic", reason=REFUSED) as grown:
        await delivery(broker).send([replace(FEATURES_OUT, record=huge), FEATURES_OUT])
    assert [topic for topic, *_ in broker.taken] == ["memos.dead", "memos.features"]
    letter = CODEC.decode(broker.taken[0][1], DeadLetter)
    assert (letter.value, letter.offset, letter.reason) == (CAUSE.value, CAUSE.offset, REFUSED)
    assert "MemoFeatures.windows must be" in letter.detail
    assert grown == [1]


async def test_send_returns_when_every_record_is_acknowledged() -> None:
    broker = Broker()
    await delivery(broker).send([FEATURES_OUT] * 5)
    assert broker.acknowledged == 5


@pytest.mark.parametrize("error", [RequestTimedOutError(), KafkaConnectionError("away")])
async def test_a_broker_that_is_away_is_transient_at_either_moment(error: KafkaError) -> None:
    for broker in (Broker(refused={1: error}), Broker(unacknowledged={1: error})):
        with pytest.raises(Transient, match=type(error).__name__) as transient:
            await delivery(broker).send([FEATURES_OUT] * 3)
        assert transient.value.__cause__ is error


@pytest.mark.parametrize("error", [MessageSizeTooLargeError(), ZeroDivisionError()])
async def test_what_does_not_pass_by_itself_is_raised_as_it_is(error: Exception) -> None:
    brokers = [Broker(unacknowledged={0: error})]
    if isinstance(error, KafkaError):
        brokers.append(Broker(refused={0: error}))
    for broker in brokers:
        with pytest.raises(type(error)):
            await delivery(broker).send([FEATURES_OUT])


async def test_a_failure_leaves_no_acknowledgement_unawaited() -> None:
    broker = Broker(refused={2: KafkaConnectionError("away")}, unacknowledged={0: RequestTimedOutError()})
    with pytest.raises(Transient):
        await delivery(broker).send([FEATURES_OUT] * 3)
    assert broker.acknowledged == 1


async def test_every_acknowledged_record_has_its_span_and_no_other_has(monkeypatch: pytest.MonkeyPatch) -> None:
    spans: list[tuple[object, ...]] = []
    monkeypatch.setattr(tracing, "delivered", lambda *given: spans.append(given))
    with pytest.raises(Transient):
        await delivery(Broker(unacknowledged={1: RequestTimedOutError()})).send([FEATURES_OUT] * 3)
    await asyncio.sleep(0)
    assert [(stage, topic, parent) for stage, topic, _, parent, _ in spans] == [
        ("acoustic", "memos.features", TRACE)
    ] * 2
    assert {given[-1] for given in spans} == {CAUSE.taken_at}


async def test_features_say_how_often_their_memo_was_redriven_and_nothing_else_does() -> None:
    broker = Broker()
    redriven = Source(topics.UPLOADED.name, 1, 7, b"user-1", CAUSE.value, {**TRACE, REDRIVES: b"2", REVISION: b"1"})
    await delivery(broker).send(
        [
            Outgoing(topics.FEATURES, b"user-1", FEATURES, redriven),
            Outgoing(topics.SCORED, b"user-1", SCORED, redriven),
            FEATURES_OUT,
        ]
    )
    assert [dict(headers).get(REDRIVES) for *_, headers in broker.taken] == [b"2", None, None]
    assert [dict(headers).get(REVISION) for *_, headers in broker.taken] == [b"1", None, None]


def test_a_dead_letter_goes_to_the_key_of_its_record_and_is_counted() -> None:
    with counted("dead_letters_total", stage="acoustic", reason="audio:test") as letters:
        (outgoing,) = delivery(Broker()).dead_letters([(CAUSE, Poison("audio:test", "no frame could be read"))])
    assert (outgoing.topic, outgoing.key, outgoing.cause) == (topics.DEAD, b"user-1", CAUSE)
    assert isinstance(outgoing.record, DeadLetter)
    assert (outgoing.record.stage, outgoing.record.value) == ("acoustic", CAUSE.value)
    assert letters == [1]


@pytest.mark.parametrize(
    ("value", "reason", "named"),
    [(CAUSE.value, "audio:test", True), (b"garbage", "audio:test", False), (CAUSE.value, UNDECODABLE, False)],
)
def test_the_log_names_a_memo_by_its_hash_where_the_record_can_be_read(
    value: bytes, reason: str, named: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_key", b"key")
    source = Source(topics.UPLOADED.name, 1, 7, b"user-1", value)
    with caplog.at_level(logging.WARNING, "workers.kafka.producer"):
        delivery(Broker()).dead_letters([(source, Poison(reason, "detail"))])
    (line,) = caplog.records
    assert getattr(line, "memo", None) == (logs.reference("memo", "memo-1") if named else None)
    assert not [secret for secret in ("memo-1", "user-1") if secret in f"{line.getMessage()} {vars(line)}"]


async def test_a_record_of_a_person_who_was_erased_is_counted_and_its_batch_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = Broker()
    acknowledged = broker.send

    async def send(topic: str, *, value: bytes, key: bytes | None, headers: Headers) -> "asyncio.Future[Any]":
        if key != b"erased":
            return await acknowledged(topic, value=value, key=key, headers=headers)
        not_sent: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        not_sent.set_result(NOT_SENT)
        return not_sent

    monkeypatch.setattr(broker, "send", send)
    with counted("records_erased_total", stage="acoustic") as grown:
        await delivery(broker).send([replace(FEATURES_OUT, key=b"erased"), FEATURES_OUT])
    assert grown == [1]
    assert [key for _, _, key, _ in broker.taken] == [b"user-1"]
