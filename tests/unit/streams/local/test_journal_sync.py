"""The journal follows the topics: what was uploaded is kept until its score was followed or it became a dead letter."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition

from schemas import topics
from schemas.codec import Codec
from schemas.event_enums import ConsentState
from schemas.events import Consent, DeadLetter, MemoUploaded, Record, RiskScored
from schemas.settings import Settings
from streams.local import journal_sync
from streams.local.embedded import EmbeddedKafka
from streams.local.journal import Journal, Upload
from streams.local.journal_sync import JournalSync
from tests.unit.schemas.records import CONSENT, DEAD, SCORED, UPLOADED
from workers.consumer.consents import open_consents
from workers.kafka.clients import make_producer

CODEC = Codec()
SAID = (("ann", ConsentState.PAUSED), ("bob", ConsentState.WITHDRAWN), ("ann", ConsentState.GIVEN))
TOPICS = {MemoUploaded: topics.UPLOADED, RiskScored: topics.SCORED, DeadLetter: topics.DEAD}


def fetched(record: Record, offset: int = 0, partition: int = 0, value: bytes | None = None) -> SimpleNamespace:
    """A record as a consumer gives it."""
    topic = TOPICS[type(record)].name
    value = CODEC.encode(record) if value is None else value
    return SimpleNamespace(topic=topic, partition=partition, offset=offset, key=b"user-1", value=value)


def uploaded(name: str) -> MemoUploaded:
    return replace(UPLOADED, memo_id=name)


def scored(name: str) -> RiskScored:
    return replace(SCORED, memo_id=name)


class World:
    """A journal, and what follows the topics for it."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.sync = JournalSync(Settings.load(), CODEC, journal)

    def note(self, *records: SimpleNamespace) -> None:
        self.sync._note(list(records))

    def agents_at(self, *offsets: int) -> None:
        """The agents have committed these offsets, by partition of the scores."""
        self.sync._finish({TopicPartition(topics.SCORED.name, p): offset for p, offset in enumerate(offsets)})

    @property
    def unfinished(self) -> list[str | None]:
        return [upload.memo_id for upload in self.journal.unfinished()]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Journal(tmp_path / "journal.db") as journal:
        yield World(journal)


def test_an_upload_of_anybody_is_kept_as_it_was_sent(world: World) -> None:
    record = fetched(uploaded("a"))
    world.note(record)
    assert world.journal.unfinished() == [Upload(b"user-1", record.value, "a", UPLOADED.user_id)]


def test_a_memo_is_finished_once_the_agents_have_committed_past_its_score(world: World) -> None:
    world.note(fetched(uploaded("a")), fetched(uploaded("b"), 1))
    world.note(fetched(scored("a"), 10), fetched(scored("b"), 11))
    world.agents_at(10)
    assert world.unfinished == ["a", "b"]
    world.agents_at(11)
    assert world.unfinished == ["b"]
    world.agents_at(12)
    assert world.unfinished == []


def test_partitions_are_followed_each_by_itself(world: World) -> None:
    world.note(fetched(uploaded("a")), fetched(uploaded("b"), 1))
    world.note(fetched(scored("a"), 5, partition=0), fetched(scored("b"), 5, partition=1))
    world.agents_at(0, 6)
    assert world.unfinished == ["a"]
    world.agents_at(6)
    assert world.unfinished == []


def test_the_first_score_of_a_partition_waits_for_the_agents_to_commit_there(world: World) -> None:
    world.note(fetched(uploaded("a")), fetched(scored("a"), 0, partition=1))
    world.agents_at(7)
    assert world.unfinished == ["a"]
    world.agents_at(7, 1)
    assert world.unfinished == []


def test_a_dead_letter_of_an_upload_finishes_it_and_that_of_another_record_does_not(world: World) -> None:
    record = fetched(uploaded("a"))
    world.note(record, fetched(uploaded("b"), 1))
    letter = replace(DEAD, topic=topics.UPLOADED.name, key=record.key, value=record.value)
    world.note(fetched(replace(letter, topic=topics.FEATURES.name)))
    assert world.unfinished == ["a", "b"]
    world.note(fetched(letter))
    assert world.unfinished == ["b"]


def test_an_upload_that_is_no_memo_is_kept_until_its_dead_letter_comes(world: World) -> None:
    world.note(fetched(UPLOADED, value=b"garbage"))
    assert world.unfinished == [None]
    world.note(fetched(replace(DEAD, topic=topics.UPLOADED.name, key=b"user-1", value=b"garbage")))
    assert world.unfinished == []


def test_scores_and_dead_letters_that_cannot_be_read_hold_up_nothing(world: World) -> None:
    world.note(fetched(SCORED, value=b"garbage"), fetched(DEAD, value=b"garbage"), fetched(uploaded("a")))
    world.agents_at(100)
    assert world.unfinished == ["a"]


async def test_outcomes_on_a_durable_broker_finish_memos_and_its_uploads_are_not_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a real connection; a broker that cannot be reached at first only delays it."""
    monkeypatch.setattr(journal_sync, "FOLLOW_AGAIN_S", 0.1)
    letter = replace(DEAD, topic=topics.UPLOADED.name, key=b"user-1", value=CODEC.encode(uploaded("dead")))
    others = (scored("scored"), letter, uploaded("of another producer"))
    with EmbeddedKafka(topic.name for topic in topics.TOPICS) as kafka, Journal(tmp_path / "journal.db") as journal:
        settings = Settings.load(kafka_bootstrap=kafka.bootstrap)
        sync = JournalSync(settings, CODEC, journal)
        journal.accept(
            [sync._upload(b"user-1", CODEC.encode(uploaded(name))) for name in ("scored", "dead", "waiting")]
        )
        following = [
            asyncio.create_task(JournalSync(at, CODEC, journal).follow_outcomes())
            for at in (settings, Settings.load(kafka_bootstrap="127.0.0.1:9"))
        ]
        producer = make_producer(settings)
        await producer.start()
        try:
            while len(journal.unfinished()) > 1:
                for record in others:
                    await producer.send_and_wait(TOPICS[type(record)].name, CODEC.encode(record), b"user-1")
            assert [upload.memo_id for upload in journal.unfinished()] == ["waiting"]
            assert not any(task.done() for task in following)
        finally:
            await producer.stop()
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)


async def test_an_embedded_broker_that_starts_again_has_the_last_words_of_people(tmp_path: Path) -> None:
    """It forgets everything when it ends, and who withdrew must not be listened to after that."""
    words = [replace(CONSENT, user_id=user, state=state) for user, state in SAID]
    with Journal(tmp_path / "journal.db") as journal:
        with EmbeddedKafka([topics.CONSENTS.name]) as kafka:
            settings = Settings.load(kafka_bootstrap=kafka.bootstrap, home=tmp_path)
            following = asyncio.create_task(JournalSync(settings, CODEC, journal).follow_consents())
            async with journal_sync._started(make_producer(settings)) as producer:
                for word in words:
                    await producer.send_and_wait(topics.CONSENTS.name, CODEC.encode(word), word.user_id.encode())
            async with asyncio.timeout(30):
                while [CODEC.decode(value, Consent) for _, value in journal.consents()] != [words[1], words[2]]:
                    await asyncio.sleep(0.02)
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        with EmbeddedKafka([topics.CONSENTS.name]) as kafka:
            settings = Settings.load(kafka_bootstrap=kafka.bootstrap, home=tmp_path)
            assert await JournalSync(settings, CODEC, journal).say_again() == 2
            async with open_consents(settings, CODEC) as consents:
                ann, bob = [await consents.standing(user) for user in ("ann", "bob")]
        assert (ann and ann.state, bob and bob.state) == (ConsentState.GIVEN, ConsentState.WITHDRAWN)
        journal.forget_users(["bob"])
        assert [key for key, _ in journal.consents()] == [b"ann"]
