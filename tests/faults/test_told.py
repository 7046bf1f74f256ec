"""Receivers outside are told of an erasure under load, by a process that is killed at every moment of the telling.

Until they know, and for as long as one of them does not answer, the person's keys are there; nobody else notices.
"""

import asyncio
import json
import signal
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import pytest

from deploy.kafka.server import KafkaServer
from schemas import topics
from schemas.errors import Transient
from schemas.event_enums import AlertState
from schemas.events import MemoUploaded
from schemas.settings import Settings
from streams.local.privacy.home_place import HomePlace
from streams.notify.person_erased import PLATFORM, TYPE, tell_receivers
from streams.privacy.certificate import verified
from streams.privacy.erasing import erase_person
from streams.privacy.journal import Request as Asked
from streams.privacy.steps import Step
from tests.faults.cohort import Cohort, again
from tests.killed_erasure import begun, killed
from tests.receivers import Answer, Receiver, Request, receiving
from tests.sealed_pipeline import CODEC, Place, outcomes, running, settled
from tests.servers import Broker, RedisServer
from tests.unit.streams.alerts import alert
from workers.kafka.admin import create_topics
from workers.kafka.clients import make_producer
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.person_keys import PersonState
from workers.privacy.sealing import close_all, sealing_of
from workers.service.health import HEALTH

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.kafka, pytest.mark.timeout(300)]

COHORT = Cohort(users=4, changing=0, calm_days=30, changed_days=0)
BEFORE = COHORT.users * 10
WAVE = 12
GONE, OTHER = "user-003", "user-001"
ASKED = Asked("asked in writing", "T-7")
WITHIN_S = 60.0
ENDED, ERASED = "end of an episode", "erasure"


def message_of(request: Request) -> str:
    """Which message it is: for the platform, of the end of an episode, or of the erasure."""
    if request.path == f"/{PLATFORM}":
        return PLATFORM
    return ERASED if request.json.get("type") == TYPE else ENDED


@dataclass
class Outside:
    """How the receivers answer. held: the message whose sender waits for the answer; away: nothing is accepted."""

    held: str = ""
    away: bool = False
    came: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)

    def answer(self, request: Request, _: int) -> Answer:
        if self.away:
            return 503
        if message_of(request) != self.held:
            return 200
        self.came.set()
        assert self.gone.wait(WITHIN_S)
        return None

    async def kill_while(self, held: str, settings: Settings) -> None:
        """Kill a process that erases while a receiver has this message and has not answered."""
        self.held = held
        self.came.clear()
        self.gone.clear()
        process = begun(settings, GONE, ASKED)
        try:
            assert await asyncio.to_thread(self.came.wait, WITHIN_S), held
        finally:
            process.kill()
            process.join()
            self.held = ""
            self.gone.set()


@pytest.fixture
def outside() -> Outside:
    return Outside()


@pytest.fixture
def receiver(outside: Outside) -> Iterator[Receiver]:
    with receiving(outside.answer) as opened:
        yield opened


@pytest.fixture
def at(kafka: KafkaServer, tmp_path: Path) -> Iterator[Place]:
    Broker(kafka.bootstrap, real=True).empty()
    (tmp_path / "audio").mkdir()
    with RedisServer(durable=False) as redis:
        yield Place(kafka.bootstrap, redis.url, tmp_path / "home", tmp_path / "audio")
        close_all()
    for name in ("keys", "broker", "redis", "partitions", "model"):
        HEALTH.has(name)


@pytest.fixture
def settings(at: Place, receiver: Receiver) -> Settings:
    urls = {"webhook_url": f"{receiver.url}/webhook", "platform_url": f"{receiver.url}/{PLATFORM}"}
    given = at.settings(seal="on", key_cache_s=5.0, webhook_secret="a sentence of enough bytes", **urls)
    asyncio.run(create_topics(given))
    return given


async def raise_alerts(settings: Settings) -> None:
    """Two episodes of the person, of which one is open, and one of somebody else."""
    raised, resolved = AlertState.RAISED, AlertState.RESOLVED
    steps = [
        alert(raised, GONE),
        alert(raised, GONE, episode=1),
        alert(resolved, GONE, episode=1),
        alert(raised, OTHER),
    ]
    producer = make_producer(settings)
    async with producer:
        for step in steps:
            value = CODEC.encode(step, f"{topics.ALERTS.name}-value")
            await producer.send_and_wait(topics.ALERTS.name, value, step.user_id.encode())


@asynccontextmanager
async def load(at: Place, settings: Settings, memos: Sequence[MemoUploaded]) -> AsyncIterator[None]:
    """Memos come in as fast as they are scored, for as long as the block takes."""
    ends = asyncio.Event()

    async def come() -> None:
        waiting = again(memos)
        while not ends.is_set():
            await at.submit(settings, list(islice(waiting, WAVE)))
            await settled(at, settings, len(at.uploaded) - WAVE)

    coming = asyncio.create_task(come())
    yield
    ends.set()
    await coming


async def test_receivers_are_told_under_load_and_before_a_key_is_destroyed(
    at: Place, settings: Settings, outside: Outside, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    memos = list(COHORT.write(at.audio))
    mine = [memo for memo in memos[:BEFORE] if memo.user_id == GONE]
    tell, homes = partial(tell_receivers, settings), [HomePlace(settings.home)]
    async with running(settings, monkeypatch):
        await at.submit(settings, memos[:BEFORE])
        await settled(at, settings)
        directory = sealing_of(settings).keyring.directory
        subject = directory.subjects_of([GONE])[GONE].id
        await raise_alerts(settings)
        async with load(at, settings, [memo for memo in memos[BEFORE:] if memo.user_id != GONE]):
            for message in (ENDED, ERASED, PLATFORM):
                await outside.kill_while(message, settings)
                check_keys(directory, subject)
            outside.away = True
            with pytest.raises(Transient, match="no key is destroyed before"):
                await erase_person(settings, GONE, ASKED, homes, tell)
            check_keys(directory, subject)
            outside.away = False
            for before in (True, False):
                ended = await asyncio.to_thread(killed, settings, GONE, ASKED, Step.TELL, before=before)
                assert ended == -signal.SIGKILL
                check_keys(directory, subject)
            sent = len(receiver.requests)
            certificate = await erase_person(settings, GONE, ASKED, homes, tell)
        await settled(at, settings)
    assert len(receiver.requests) == sent, "nobody is told again what the journal says they know"
    check_told(receiver.requests, {memo.audio_uri for memo in mine})
    verified(certificate)
    told = json.loads(certificate)["certificate"]["steps"]["tell"]
    assert told["receivers"] == {"webhook": "delivered", PLATFORM: "delivered"}
    assert (told["episodes"], told["recordings"]) == (1, len(mine))
    scored = {
        user: len(ends) for (topic, user), ends in (await outcomes(settings)).items() if topic == topics.SCORED.name
    }
    assert scored == Counter(memo.user_id for memo in at.uploaded if memo.user_id != GONE)


def check_keys(directory: KeyDirectory, subject: bytes) -> None:
    """The person is refused, and can still be read by whoever tells the receivers."""
    assert directory.people([subject])[subject].state is PersonState.ERASING
    assert directory.epochs_of(subject)


def check_told(requests: Sequence[Request], recordings: set[str]) -> None:
    """Every attempt said the same, and nothing of anybody else."""
    by_message = {
        message: [each for each in requests if message_of(each) == message] for message in (ENDED, ERASED, PLATFORM)
    }
    assert all(len(each) >= 3 for each in by_message.values()), "each was sent again after each kill"
    assert {each.headers["webhook-id"] for each in by_message[ENDED]} == {by_message[ENDED][0].headers["webhook-id"]}
    ids = {each.headers["webhook-id"] for message in (ERASED, PLATFORM) for each in by_message[message]}
    assert len(ids) == 1
    assert {each.json["user_id"] for each in by_message[ENDED]} == {GONE}
    assert {(each.json["state"], each.json["dedup_key"]) for each in by_message[ENDED]} == {
        ("resolved", alert(AlertState.RAISED, GONE).dedup_key)
    }
    assert {each.json["data"]["user_id"] for message in (ERASED, PLATFORM) for each in by_message[message]} == {GONE}
    for each in by_message[PLATFORM]:
        assert set(each.json["data"]["audio_uris"]) == recordings
