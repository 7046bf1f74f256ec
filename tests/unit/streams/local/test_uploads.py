"""Uploads to a laptop's dashboard survive as submitted memos do, and leave nothing when they fail."""

from pathlib import Path
from typing import Any

import pytest

from schemas import topics
from schemas.codec import Codec
from schemas.errors import Transient
from schemas.settings import Settings
from streams.api.publish import Publisher
from streams.local import uploads
from streams.local.embedded import EmbeddedKafka
from streams.local.journal import Journal
from streams.local.uploads import JOURNAL, journaled, with_inbox
from tests.unit.schemas.records import UPLOADED
from workers.kafka.clients import make_producer

CODEC = Codec()


def unfinished(home: Path) -> list[str | None]:
    with Journal(home / JOURNAL) as journal:
        return [upload.memo_id for upload in journal.unfinished()]


async def test_an_upload_is_in_the_journal_and_on_the_topic(tmp_path: Path) -> None:
    with EmbeddedKafka(topic.name for topic in topics.TOPICS) as kafka:
        settings = Settings(kafka_bootstrap=kafka.bootstrap)
        async with make_producer(settings) as producer:
            publisher = Publisher(producer, CODEC)
            async with journaled(tmp_path, embedded=True)(settings, publisher) as submit:
                await submit(UPLOADED)
    assert unfinished(tmp_path) == [UPLOADED.memo_id]


class Failing:
    """A producer whose broker never acknowledges."""

    async def send_and_wait(self, *_: Any, **__: Any) -> None:
        raise Transient("no answer")


async def test_what_kafka_does_not_take_is_not_resubmitted_at_the_next_start(tmp_path: Path) -> None:
    async with journaled(tmp_path, embedded=False)(Settings(), Publisher(Failing(), CODEC)) as submit:
        with pytest.raises(Transient, match="no answer"):
            await submit(UPLOADED)
    assert unfinished(tmp_path) == []


async def test_a_full_embedded_broker_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "BACKLOG_RECORDS", 0)
    with EmbeddedKafka(topic.name for topic in topics.TOPICS) as kafka:
        settings = Settings(kafka_bootstrap=kafka.bootstrap)
        async with journaled(tmp_path, embedded=True)(settings, Publisher(Failing(), CODEC)) as submit:
            with pytest.raises(Transient, match="embedded broker holds no more"):
                await submit(UPLOADED)
    assert unfinished(tmp_path) == []


def test_the_inbox_is_the_store_of_uploads_unless_another_is_set(tmp_path: Path) -> None:
    inbox = (tmp_path / "audio").as_uri()
    found = with_inbox(Settings(home=tmp_path, audio_prefixes=("s3://memos",)))
    assert (found.upload_store, found.audio_prefixes) == (inbox, (inbox, "s3://memos"))
    other = with_inbox(Settings(home=tmp_path, upload_store="s3://memos/new"))
    assert (other.upload_store, other.audio_prefixes) == ("s3://memos/new", (inbox,))
