"""What is seen of memos under way, on a broker: theirs alone, and only while they have no outcome."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from schemas import topics
from schemas.codec import Codec
from schemas.events import DeadLetter, MemoFeatures, MemoUploaded, RiskScored
from schemas.settings import Settings
from streams.api.uploads import progress as module
from streams.api.uploads.progress import READ, MemoProgress, Progress
from streams.local.embedded import EmbeddedKafka
from tests.unit.schemas.records import DEAD, FEATURES, SCORED, UPLOADED
from workers.kafka.clients import make_producer
from workers.privacy.sealing import close_all

CODEC = Codec()


@dataclass
class World:
    progress: MemoProgress
    producer: AIOKafkaProducer

    async def write(self, topic: topics.Topic, record: Any, user: str) -> None:
        await self.producer.send_and_wait(topic.name, CODEC.encode(record), user.encode())


@asynccontextmanager
async def world(**sealing: Any) -> AsyncIterator[World]:
    with EmbeddedKafka(topic.name for topic in READ) as kafka:
        settings = Settings(kafka_bootstrap=kafka.bootstrap, **sealing)
        progress = MemoProgress(settings, CODEC)
        running = asyncio.create_task(progress.run())
        async with make_producer(settings) as producer:
            yield World(progress, producer)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def memo(user: str, name: str) -> MemoUploaded:
    return replace(UPLOADED, user_id=user, memo_id=name)


def features(of: MemoUploaded) -> MemoFeatures:
    return replace(FEATURES, user_id=of.user_id, memo_id=of.memo_id)


def score(of: MemoUploaded) -> RiskScored:
    return replace(SCORED, user_id=of.user_id, memo_id=of.memo_id)


def letter(of: MemoUploaded) -> DeadLetter:
    return replace(DEAD, topic=topics.UPLOADED.name, key=of.user_id.encode(), value=CODEC.encode(of))


async def reached(progress: Progress, condition: str) -> None:
    while condition not in progress.after_s:
        await progress.changed.wait()


async def test_every_step_of_a_memo_is_seen_and_nothing_of_another() -> None:
    async with world() as here:
        mine, other = memo("anna", "m1"), memo("anna", "m2")
        await here.write(topics.SCORED, score(mine), "anna")  # before it was sent: of an earlier time
        progress = await here.progress.expect(mine)
        assert here.progress.get("m1") is None
        here.progress.accept(progress)
        await here.write(topics.FEATURES, features(other), "anna")
        await here.write(topics.FEATURES, features(mine), "anna")
        await reached(progress, f"features:{FEATURES.modality}")
        await here.write(topics.SCORED, score(mine), "anna")
        seen = [progress.steps async for _ in here.progress.steps(progress)]
        assert seen[-1] == 3
        assert list(progress.after_s) == ["accepted", f"features:{FEATURES.modality}", "scored"]
        assert progress.score == score(mine)
        assert here.progress.get("m2") is None


async def test_a_dead_letter_is_an_outcome_that_a_score_replaces() -> None:
    async with world() as here:
        mine = memo("bert", "m1")
        progress = await here.progress.expect(mine)
        here.progress.accept(progress)
        await here.write(topics.DEAD, letter(mine), "bert")
        await reached(progress, "dead_letter")
        assert progress.letter == letter(mine)
        await here.write(topics.SCORED, score(mine), "bert")
        await reached(progress, "scored")
        assert progress.letter is None


async def test_features_that_are_read_after_the_score_are_waited_for() -> None:
    async with world() as here:
        mine = memo("ella", "m1")
        progress = await here.progress.expect(mine)
        here.progress.accept(progress)
        assert not here.progress.has_ended(progress)
        await here.write(topics.SCORED, replace(score(mine), modalities=(FEATURES.modality,)), "ella")
        await reached(progress, "scored")
        assert not here.progress.has_ended(progress)
        await here.write(topics.FEATURES, features(mine), "ella")
        await reached(progress, f"features:{FEATURES.modality}")
        assert here.progress.has_ended(progress)


def test_a_score_whose_features_do_not_come_ends_a_memo_a_little_later() -> None:
    now = 100.0
    known = MemoProgress(Settings.load(), CODEC, lambda: now)
    progress = Progress(memo("fred", "m1"), 90.0, score=score(memo("fred", "m1")), scored_s=99.0)
    assert not known.has_ended(progress)
    now = 99.0 + module.LATE_S + 0.1
    assert known.has_ended(progress)
    assert known.has_ended(Progress(memo("fred", "m2"), 90.0, letter=letter(memo("fred", "m2"))))


async def test_undecodable_records_cost_nothing() -> None:
    async with world() as here:
        mine = memo("carl", "m1")
        progress = await here.progress.expect(mine)
        here.progress.accept(progress)
        for topic in READ:
            await here.producer.send_and_wait(topic.name, b"no record", b"carl")
        await here.write(topics.SCORED, score(mine), "carl")
        await reached(progress, "scored")


async def test_a_second_memo_is_followed_after_the_reader_has_rested() -> None:
    async with world() as here:
        for name in ("m1", "m2"):
            mine = memo("dora", name)
            progress = await here.progress.expect(mine)
            here.progress.accept(progress)
            await here.write(topics.SCORED, score(mine), "dora")
            await reached(progress, "scored")
            while here.progress._wanted.is_set():
                await asyncio.sleep(0.01)


async def test_who_is_erased_while_a_memo_is_followed_gets_no_new_subject(tmp_path: Path) -> None:
    try:
        async with world(seal="on", home=tmp_path) as here:
            mine = memo("anna", "m1")
            progress = await here.progress.expect(mine)
            here.progress.accept(progress)
            await here.write(topics.FEATURES, features(mine), "anna")
            await reached(progress, f"features:{FEATURES.modality}")
            keyring = here.progress._sealing.keyring
            subject = keyring.subject("anna")
            keyring.directory.mark_erasing("anna")
            keyring.directory.destroy_keys(subject)
            assert await here.progress.current("m1") is progress
            keyring.forget(subject)
            assert await here.progress.current("m1") is None, "nor is anything of them shown, or a memo called repeated"
            here.progress._known["m1"] = progress  # it is followed all the same
            other = await here.progress.expect(memo("bert", "m2"))  # is read once everybody is looked up again
            assert other.ready.is_set()
            assert keyring.directory.subjects_of(["anna", "bert"]).keys() == {"bert"}
    finally:
        close_all()


async def test_without_kafka_an_upload_does_not_wait_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READY_WITHIN_S", 0.01)
    progress = MemoProgress(Settings(kafka_bootstrap="127.0.0.1:1"), CODEC)
    assert (await progress.expect(memo("emil", "m1"))).accepted_at is None


async def test_only_so_many_memos_are_known_and_one_that_failed_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READY_WITHIN_S", 0.0)
    monkeypatch.setattr(module, "KEPT", 2)
    progress = MemoProgress(Settings(), CODEC)
    for name in ("m1", "m2", "m3"):
        progress.accept(await progress.expect(memo("emil", name)))
    assert [progress.get(name) is not None for name in ("m1", "m2", "m3")] == [False, True, True]
    last = progress.get("m3")
    assert last is not None
    assert last.accepted_at is not None
    assert last.accepted_at <= datetime.now(UTC)
    progress.forget(last)
    assert progress.get("m3") is None
