"""Whose memos may be read: the last word of everybody, in clear and sealed, on a broker that keeps it."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from schemas import topics
from schemas.codec import Codec
from schemas.errors import Erased, Transient
from schemas.event_enums import ConsentState
from schemas.events import Consent
from schemas.settings import Settings
from streams.local.embedded import EmbeddedKafka
from tests.unit.schemas.records import CONSENT, UPLOADED
from workers.consumer.consents import Consents, Standing, Words, open_consents, refused_by
from workers.kafka.clients import make_producer
from workers.privacy.clear_records import Opened
from workers.privacy.sealing import close_all, sealing_of

CODEC = Codec()
GIVEN, PAUSED, WITHDRAWN = ConsentState.GIVEN, ConsentState.PAUSED, ConsentState.WITHDRAWN


def said(user: str, state: ConsentState) -> Consent:
    return replace(CONSENT, user_id=user, state=state)


@pytest.mark.parametrize(
    ("state", "assumed", "required"),
    [
        (None, None, "consent:missing"),
        (GIVEN, None, None),
        (PAUSED, "consent:paused", "consent:paused"),
        (WITHDRAWN, "consent:withdrawn", "consent:withdrawn"),
        (ConsentState.UNKNOWN, "consent:missing", "consent:missing"),
    ],
)
def test_what_was_said_decides(state: ConsentState | None, assumed: str | None, required: str | None) -> None:
    standing = None if state is None else Standing(state, 0)
    assert refused_by(standing, required=False) == assumed
    assert refused_by(standing, required=True) == required


def record(key: bytes, value: bytes | None, at_ms: int = 0) -> SimpleNamespace:
    return SimpleNamespace(key=key, value=value, timestamp=at_ms)


def opened(consent: Consent, key: bytes | None = None) -> Opened:
    return Opened(key or consent.user_id.encode(), CODEC.encode(consent), ())


def test_the_last_word_holds_under_either_key_and_goes_with_the_person() -> None:
    words = Words(CODEC)
    words.take(record(b"ann", b"1", 100), opened(said("ann", GIVEN)))
    words.take(record(b"00ff", b"2", 200), opened(said("ann", WITHDRAWN)))
    assert words.of({b"ann", b"00ff"}) == Standing(WITHDRAWN, 200)
    assert words.of({b"ann"}) == Standing(GIVEN, 100)
    words.take(record(b"00ff", b"2", 200), Erased("erased"))
    assert words.of({b"00ff"}) is None
    words.take(record(b"ann", None, 300), Opened(b"ann", None, ()))
    assert words.of({b"ann"}) is None


def test_what_cannot_be_read_or_is_of_somebody_else_changes_nothing() -> None:
    words = Words(CODEC)
    words.take(record(b"ann", b"1"), opened(said("ann", PAUSED)))
    words.take(record(b"ann", b"2"), Opened(b"ann", b"nonsense", ()))
    words.take(record(b"ann", b"3"), opened(said("bob", GIVEN), b"ann"))
    words.take(record(b"ann", b"4"), Transient("not yet"))
    assert words.of({b"ann"}) == Standing(PAUSED, 0)


@pytest.fixture
def bootstrap() -> Iterator[str]:
    with EmbeddedKafka([topics.CONSENTS.name]) as kafka:
        yield kafka.bootstrap
    close_all()


def settings_of(bootstrap: str, home: Path, **changes: Any) -> Settings:
    return Settings.load(kafka_bootstrap=bootstrap, home=home, **changes)


async def say(settings: Settings, *words: Consent) -> None:
    """Written as every writer of Undertone does; returns when Kafka has them."""
    producer = make_producer(settings)
    await producer.start()
    try:
        for word in words:
            await producer.send_and_wait(topics.CONSENTS.name, CODEC.encode(word), word.user_id.encode())
    finally:
        await producer.stop()


async def refusal(consents: Consents, user: str) -> str | None:
    await consents.refresh()
    return await asyncio.to_thread(consents.refusal, user)


async def test_an_acknowledged_word_holds_for_the_next_look(bootstrap: str, tmp_path: Path) -> None:
    settings = settings_of(bootstrap, tmp_path)
    async with open_consents(settings, CODEC) as consents:
        assert await refusal(consents, "ann") is None
        for state, expected in ((PAUSED, "consent:paused"), (GIVEN, None), (WITHDRAWN, "consent:withdrawn")):
            await say(settings, said("ann", state), said("bob", GIVEN))
            looks = await asyncio.gather(*(refusal(consents, "ann") for _ in range(20)))
            assert looks == [expected] * 20
        assert await refusal(consents, "bob") is None
        standing = await consents.standing("ann")
        assert standing is not None
        assert standing.since.year >= 2026


async def test_sealed_words_hold_and_name_nobody_and_whoever_returns_is_new(bootstrap: str, tmp_path: Path) -> None:
    clear, settings = settings_of(bootstrap, tmp_path), settings_of(bootstrap, tmp_path, seal="on")
    await say(clear, said("old", WITHDRAWN))
    await say(settings, said("ann", WITHDRAWN), said("old", GIVEN))
    async with open_consents(settings, CODEC) as consents:
        assert await refusal(consents, "ann") == "consent:withdrawn"
        assert await refusal(consents, "old") is None, "the newer word is sealed, the older one in clear"
        keyring = sealing_of(settings).keyring
        subject = keyring.subject("ann")
        assert subject.hex().encode() in consents._words._known
        assert b"ann" not in consents._words._known
        keyring.directory.mark_erasing("ann")
        keyring.directory.destroy_keys(subject)
        keyring.forget(subject)
        keyring.directory.enrol(["ann"])
        assert await refusal(consents, "ann") is None
    async with open_consents(settings, CODEC) as again:
        assert await refusal(again, "ann") is None


async def test_a_required_consent_waits_for_its_topic_and_an_assumed_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bootstrap: str
) -> None:
    from aiokafka.errors import UnknownTopicOrPartitionError

    async def missing(*_: object) -> None:
        raise UnknownTopicOrPartitionError

    monkeypatch.setattr("workers.consumer.consents.started_once", missing)
    async with open_consents(settings_of(bootstrap, tmp_path), CODEC) as consents:
        assert await refusal(consents, UPLOADED.user_id) is None
    async with open_consents(settings_of(bootstrap, tmp_path, consent="required"), CODEC) as consents:
        with pytest.raises(Transient, match="undertone topics create"):
            await consents.refresh()


async def test_a_broker_that_is_gone_makes_memos_wait(tmp_path: Path) -> None:
    with EmbeddedKafka([topics.CONSENTS.name]) as kafka:
        gone = kafka.bootstrap
    async with open_consents(settings_of(gone, tmp_path), CODEC) as consents:
        with pytest.raises(Transient):
            await consents.refresh()
