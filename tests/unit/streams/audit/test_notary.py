"""Signing heads over a topic, and verifying it, on a broker."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from schemas.codec import Codec
from schemas.errors import ConfigurationError, Stop
from schemas.settings import Settings
from schemas.topics import AUDIT
from streams.api.publish import Publisher
from streams.audit.anchors import FileAnchor
from streams.audit.heads import SignedHead
from streams.audit.notary import TrailCut, check_notary, keep_signing, sign_heads
from streams.audit.trail import KafkaAuditTrail
from streams.local.embedded import EmbeddedKafka
from tests.unit.streams.audit.trails import event
from workers.kafka.clients import make_producer
from workers.service.prometheus import AUDIT_COVERED_TIMESTAMP as COVERED


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    key = tmp_path / "audit.pem"
    key.touch(0o600)
    key.write_bytes(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return Settings(
        audit_signing_key=key, audit_anchors=(f"file://{tmp_path}/heads.jsonl", f"file://{tmp_path}/copy.jsonl")
    )


@pytest.fixture
async def live(settings: Settings) -> AsyncIterator[Settings]:
    with EmbeddedKafka([AUDIT.name]) as kafka:
        yield settings.model_copy(update={"kafka_bootstrap": kafka.bootstrap})


async def write(settings: Settings, count: int) -> None:
    producer: AIOKafkaProducer
    async with make_producer(settings) as producer:
        trail = KafkaAuditTrail(Publisher(producer, Codec()))
        for number in range(count):
            await trail.record(event(number, f"clinician-{number}"))


async def test_heads_follow_the_topic_and_are_on_every_anchor(live: Settings, tmp_path: Path) -> None:
    await write(live, 20)
    first = await sign_heads(live)
    assert first is not None
    assert (first.head.number, first.head.events) == (1, 20)
    assert await sign_heads(live) is None, "nothing came since"
    await write(live, 5)
    second = await sign_heads(live)
    assert second is not None
    assert (second.head.number, second.head.events, second.head.previous) == (2, 25, first.digest)
    for name in ("heads", "copy"):
        assert list(FileAnchor(tmp_path / f"{name}.jsonl").lines()) == [first.line(), second.line()]


async def test_while_nothing_is_left_unsigned_its_time_moves_on(live: Settings, tmp_path: Path) -> None:
    """Also where there is nothing new to sign; an anchor that refuses holds it."""
    (tmp_path / "copy.jsonl").mkdir()
    signing = asyncio.create_task(keep_signing(live.model_copy(update={"audit_head_s": 0.01})))
    while not (began := COVERED._value.get()):
        await asyncio.sleep(0.01)
    await write(live, 1)
    while not (tmp_path / "heads.jsonl").exists():
        await asyncio.sleep(0.01)
    assert COVERED._value.get() == began
    (tmp_path / "copy.jsonl").rmdir()
    while COVERED._value.get() == began:
        await asyncio.sleep(0.01)
    seen = COVERED._value.get()
    while COVERED._value.get() == seen:
        await asyncio.sleep(0.01)
    signing.cancel()


async def test_an_anchor_that_was_away_gets_the_heads_that_it_missed(live: Settings, tmp_path: Path) -> None:
    await write(live, 2)
    await sign_heads(live.model_copy(update={"audit_anchors": live.audit_anchors[:1]}))
    await write(live, 2)
    await sign_heads(live)
    assert (tmp_path / "copy.jsonl").read_bytes() == (tmp_path / "heads.jsonl").read_bytes()


async def test_a_head_that_cannot_be_read_is_named_to_whoever_signs(live: Settings, tmp_path: Path) -> None:
    await write(live, 2)
    await sign_heads(live.model_copy(update={"audit_anchors": live.audit_anchors[:1]}))
    path = tmp_path / "heads.jsonl"
    path.write_bytes(b"no head\n" + path.read_bytes())
    with pytest.raises(Stop, match="a head cannot be read"):
        await sign_heads(live)


async def test_nothing_is_signed_over_a_topic_that_was_cut(live: Settings, tmp_path: Path) -> None:
    await write(live, 20)
    head = await sign_heads(live)
    assert head is not None
    parts = {number: replace(part, next=part.next + 7) for number, part in head.head.partitions.items()}
    data = replace(head.head, number=2, partitions=parts).signed_bytes()
    FileAnchor(tmp_path / "heads.jsonl").put(2, SignedHead(data, b"").line())
    await write(live, 3)
    with pytest.raises(TrailCut, match=r"audit\.events lacks records"):
        await sign_heads(live)


def test_settings_that_do_not_go_together_are_refused(settings: Settings) -> None:
    assert check_notary(settings)
    assert not check_notary(Settings())
    for changes in ({"audit_signing_key": None}, {"audit_anchors": ()}):
        with pytest.raises(ConfigurationError, match="go together"):
            check_notary(settings.model_copy(update=changes))
