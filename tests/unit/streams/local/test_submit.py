"""Submitting: the same file is the same memo, workers may read its audio, and nothing overfills the broker."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from schemas import topics
from schemas.codec import Codec
from schemas.errors import Poison
from schemas.events import MemoUploaded
from schemas.headers import span_of
from schemas.ids import memo_id
from schemas.settings import Settings
from streams.local.inbox import Inbox
from streams.local.journal import Journal
from streams.local.submit import ASK_EVERY, BACKLOG_RECORDS, Submitter, event_of, uri_maker
from tests.unit.schemas.records import UPLOADED
from workers.kafka.sealed_clients import NOT_SENT

NOON = datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)
CODEC = Codec()


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere" / "Memo One.WAV"
    path.parent.mkdir()
    path.write_bytes(b"audio")
    return path


def where_it_lies(path: Path, digest: str, user_id: str) -> str:
    return path.as_uri()


def test_the_same_file_user_and_moment_is_the_same_memo(audio: Path) -> None:
    one, again = (event_of(audio, "ann", NOON, where_it_lies) for _ in range(2))
    assert one.memo_id == again.memo_id
    assert event_of(audio, "bob", NOON, where_it_lies).memo_id != one.memo_id
    assert event_of(audio, "ann", NOON + timedelta(seconds=1), where_it_lies).memo_id != one.memo_id
    audio.write_bytes(b"other audio")
    assert event_of(audio, "ann", NOON, where_it_lies).memo_id != one.memo_id


def test_a_moment_is_utc_and_of_whole_milliseconds(audio: Path) -> None:
    event = event_of(audio, "ann", NOON.astimezone(timezone(timedelta(hours=5))), where_it_lies)
    assert event.recorded_at == NOON.replace(microsecond=123_000)
    assert event.recorded_at.tzinfo is UTC
    assert event.sha256 == sha256(b"audio").hexdigest()
    assert event.memo_id == memo_id("ann", event.sha256, event.recorded_at)


def test_without_a_moment_it_is_when_the_file_was_changed(audio: Path) -> None:
    one, again = (event_of(audio, "ann", None, where_it_lies) for _ in range(2))
    assert one.recorded_at == again.recorded_at
    assert one.recorded_at.timestamp() == pytest.approx(audio.stat().st_mtime, abs=0.001)


def test_a_file_that_cannot_be_read_is_poison_without_its_path(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe.wav")
    for path in (tmp_path / "absent.wav", tmp_path, pipe):
        with pytest.raises(Poison) as poison:
            event_of(path, "ann", NOON, where_it_lies)
        assert poison.value.reason == "file:unreadable"
        assert str(tmp_path) not in poison.value.detail


@pytest.mark.parametrize("user", ["", "u" * 129, "two\nlines", " ann", "\x1b[2J", "\udcff"])
def test_a_user_outside_of_the_limits_is_refused_by_name(audio: Path, user: str) -> None:
    with pytest.raises(Poison, match="the user must be 1 to 128 bytes, printable"):
        event_of(audio, user, NOON, where_it_lies)


def test_an_event_outside_of_the_limits_is_refused_by_its_field(audio: Path) -> None:
    with pytest.raises(Poison, match=r"MemoUploaded\.recorded_at must be a time of the years"):
        event_of(audio, "ann", datetime(9999, 1, 1, tzinfo=UTC), where_it_lies)
    with pytest.raises(Poison, match=r"MemoUploaded\.audio_uri must be"):
        event_of(audio, "ann", NOON, lambda *_: "file:///" + "a" * 5000)


def test_audio_that_workers_may_read_stays_where_it_is(audio: Path, tmp_path: Path) -> None:
    settings = Settings.load(audio_prefixes=((tmp_path / "elsewhere").resolve().as_uri(),))
    inbox = Inbox(tmp_path / "inbox")
    assert uri_maker(settings, inbox)(audio, "digest", "ann") == audio.resolve().as_uri()
    assert not inbox.folder.exists()


def test_other_audio_is_copied_to_the_inbox_under_its_digest_or_refused(audio: Path, tmp_path: Path) -> None:
    settings = Settings.load(audio_prefixes=("memory://elsewhere/",))
    uri = uri_maker(settings, Inbox(tmp_path / "inbox"))(audio, "digest", "ann")
    assert uri == (tmp_path / "inbox" / "digest.wav").resolve().as_uri()
    assert (tmp_path / "inbox" / "digest.wav").read_bytes() == b"audio"
    with pytest.raises(Poison, match="UNDERTONE_AUDIO_PREFIXES") as poison:
        uri_maker(settings, None)(audio, "digest", "ann")
    assert poison.value.reason == "audio:uri_refused"


@dataclass
class World:
    """A broker, of which it is known how many memos are under way, and when it was asked."""

    under_way: list[int] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    sent: list[tuple[str, bytes, bytes, dict[str, bytes]]] = field(default_factory=list)
    erased: frozenset[str] = frozenset()

    async def send(
        self, topic: str, value: bytes, key: bytes, headers: list[tuple[str, bytes]]
    ) -> "asyncio.Future[Any]":
        acknowledged: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if key.decode() in self.erased:
            acknowledged.set_result(NOT_SENT)
            return acknowledged
        self.log.append("sent")
        self.sent.append((topic, value, key, dict(headers)))
        acknowledged.set_result(None)
        return acknowledged

    async def memos_under_way(self) -> int:
        self.log.append("asked")
        return self.under_way.pop(0) if self.under_way else 0


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(seconds: float) -> None: ...

    monkeypatch.setattr(asyncio, "sleep", sleep)


def events(count: int) -> list[MemoUploaded]:
    return [replace(UPLOADED, memo_id=f"m{number}", user_id=f"u{number}") for number in range(count)]


def submitter(world: Any, journal: Journal | None = None) -> Submitter:
    return Submitter(CODEC, world, None if journal is None else world, journal)


async def test_events_are_sent_in_order_to_their_users_with_a_trace() -> None:
    world, given = World(), events(2 * ASK_EVERY + 3)
    await submitter(world).send_all(given)
    assert [CODEC.decode(value, MemoUploaded) for _, value, *_ in world.sent] == given
    assert [key for *_, key, _ in world.sent] == [event.user_id.encode() for event in given]
    assert {topic for topic, *_ in world.sent} == {topics.UPLOADED.name}
    assert all(span_of(headers) is not None for *_, headers in world.sent)
    assert "asked" not in world.log, "a platform's user need not have the right to look"


async def test_an_event_is_in_the_journal_before_it_is_sent(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db") as journal:

        class Checking(World):
            async def send(self, *given: Any, **more: Any) -> "asyncio.Future[None]":
                assert [upload.memo_id for upload in journal.unfinished()] == ["m0"]
                return await super().send(*given, **more)

        world = Checking()
        await submitter(world, journal).send(events(1)[0])
        assert len(world.sent) == 1
        assert journal.unfinished()[0].value == world.sent[0][1]


async def test_sending_waits_while_the_broker_is_full(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        world = World(under_way=[BACKLOG_RECORDS, BACKLOG_RECORDS - 1, BACKLOG_RECORDS - 2])
        await submitter(world, journal).send_all(events(2))
    assert world.log == ["asked", "asked", "asked", "sent", "sent"]


async def test_the_broker_is_asked_again_when_what_it_said_is_used_up(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        world, room = World(), 2 * ASK_EVERY
        submitting = submitter(world, journal)
        for event in events(room + 1):
            await submitting.send(event)
    assert [place for place, what in enumerate(world.log) if what == "asked"] == [0, room + 1]


async def test_a_durable_broker_has_its_uploads_noted_and_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()

    @asynccontextmanager
    async def opened(*_: object) -> AsyncIterator[Submitter]:
        yield submitter(world)

    monkeypatch.setattr(Submitter, "open", opened)
    with Journal(tmp_path / "journal.db") as journal:
        async with Submitter.open_durable(Settings.load(), CODEC, journal) as opening:
            await opening.send(events(1)[0])
        assert journal.needed_audio(0.0) == {UPLOADED.audio_uri}
    assert world.log == ["sent"]


async def test_an_erased_speaker_keeps_nobody_else_from_being_sent(tmp_path: Path) -> None:
    given = events(ASK_EVERY + 2)
    world = World(erased=frozenset({"u0"}))
    with Journal(tmp_path / "journal.db") as journal:
        with pytest.raises(Poison, match="erased"):
            await submitter(world, journal).send_all(given)
        assert len(journal.unfinished()) == len(given) - 1, "what was sent is followed until it is scored"
    assert [key.decode() for _, _, key, _ in world.sent] == [event.user_id for event in given[1:]]
