"""500 memos of 20 people go through the whole system, sealed, and one of the 20 is erased in mid-flow.

The memos are at every hop, and the erasure is killed before and after each of its steps is recorded. Afterwards nobody
with every disk finds anything of that person; everybody else has the outcomes, and the history, of a run in clear.
"""

import asyncio
import logging
import os
import shutil
import signal
import struct
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.kafka.server import KafkaServer
from schemas import topics
from schemas.event_enums import ConsentState
from schemas.events import DeadLetter, MemoFeatures, MemoUploaded, RiskScored
from schemas.pipeline import HISTORY_GROUP, HISTORY_TOPICS
from schemas.sealed_frame import is_sealed
from schemas.settings import Settings
from schemas.stored_files import AUDIO
from streams.api.publish import Publisher
from streams.context.consent import consent_of
from streams.history.agent import HistoryAgent
from streams.history.database import Database
from streams.history.episode import episodes
from streams.history.person import scores
from streams.local.inbox import Inbox
from streams.local.journal import Journal
from streams.local.privacy.home_place import HomePlace
from streams.local.submit import Submitter
from streams.privacy.certificate import NotCertified, verified
from streams.privacy.erasing import erase_person, try_certificate
from streams.privacy.journal import Request
from streams.privacy.steps import Step
from tests.disk import contents
from tests.faults.cohort import BROKEN, Cohort
from tests.killed_erasure import killed
from tests.postgres import PostgresServer, programs
from tests.sealed_pipeline import CODEC, EVER, Place, content, outcomes, place, raw, running, settled, traces
from tests.servers import Broker, RedisServer
from workers.kafka.admin import create_topics
from workers.kafka.clients import make_producer
from workers.kafka.consumer_lag import Observer
from workers.kafka.topic_reader import written
from workers.privacy.files.audio_copies import AudioCopies
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.sealing import close_all, sealing_of
from workers.service.health import HEALTH
from workers.service.logs import JsonLines

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.kafka,
    pytest.mark.skipif(
        not os.environ.get("UNDERTONE_LONG_TESTS"), reason="four minutes: UNDERTONE_LONG_TESTS=1 runs it"
    ),
]

USERS, DAYS = 20, 25
GONE = "user-003"
SAID = "said so to the nurse at the second visit"
"""Why the person consents, which is about nobody else."""
REQUEST = Request("asked in writing", "T-7")
PARTS = (
    ".log", f"/{topics.CONSENTS.name}-", "appendonly", "pg_wal", "base/", "home/audio/", "journal.db", "log.json"
)  # fmt: skip
"""Of paths that are searched."""
YEARS = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
Outcomes = Mapping[tuple[str, str], list[bytes]]
Pages = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Clear:
    """What the memos lead to without sealing. canaries: what would betray the person, all of which was there."""

    outcomes: Outcomes
    pages: Pages
    canaries: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole system. folders: of its servers, its home, its logs and its temporary files."""

    place: Place
    settings: Settings
    folders: Sequence[Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the platform's audio, and the home, which is the same in clear and sealed: URIs are then the same too."""
    for name in ("platform", "home", "logs", "tmp"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def memos(folder: Path) -> list[MemoUploaded]:
    """500 memos of 20 people, day by day, with 20 that cannot be read."""
    cohort = Cohort(USERS, changing=0, calm_days=DAYS, changed_days=0, poison_every=25)
    made = list(cohort.write(folder / "platform"))
    assert len(made) == 500
    return made


@pytest.fixture
def logs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything that this process logs is in a file, as in production, and its temporary files are in a folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))
    handler = logging.FileHandler(folder / "logs" / "log.json")
    handler.setFormatter(JsonLines("proof"))
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield
    root.setLevel(before)
    root.removeHandler(handler)
    handler.close()


@pytest.fixture
def whole(kafka: KafkaServer, folder: Path) -> Iterator[Whole]:
    """Apache Kafka, PostgreSQL for the history and the keys, and a Redis that writes everything to its file."""
    found = programs()
    assert found is not None, "PostgreSQL is not installed: `make servers` installs it"
    Broker(kafka.bootstrap, real=True).empty()
    with ExitStack() as exits:
        redis = exits.enter_context(RedisServer())
        postgres = exits.enter_context(PostgresServer(found))
        home = folder / "home"
        at = Place(kafka.bootstrap, redis.url, home, home / "audio")
        databases = {"database_url": postgres.make("history"), "key_directory_url": postgres.make("keys")}
        settings = at.settings(seal="on", key_cache_s=5.0, **databases)
        asyncio.run(create_topics(settings))
        Database.migrate(settings)
        folders = (kafka.data_folder, redis.data_folder, postgres.data_folder, home, folder / "logs", folder / "tmp")
        yield Whole(at, settings, folders)
        close_all()
    for name in ("keys", "broker", "redis", "partitions", "model", "database"):
        HEALTH.has(name)


@asynccontextmanager
async def history(settings: Settings) -> AsyncIterator[Database]:
    """The role `history`, and its database."""
    database = await asyncio.to_thread(Database.open, settings)
    stop = asyncio.Event()
    async with HistoryAgent(settings, CODEC, database) as agent:
        reading = asyncio.create_task(agent.run(stop))
        try:
            yield database
        finally:
            stop.set()
            await reading
    database.close()


async def consent(settings: Settings, memos: Sequence[MemoUploaded]) -> None:
    """As `undertone consent` does: everybody agrees to be listened to, before the first memo."""
    producer = make_producer(settings)
    async with producer:
        publisher = Publisher(producer, CODEC)
        for user in sorted({memo.user_id for memo in memos}):
            await sealing_of(settings).keys_of(user, enrol=True)
            reason = SAID if user == GONE else "asked"
            said = consent_of(user, ConsentState.GIVEN, "a nurse", reason, datetime.now(UTC))
            await publisher.publish(topics.CONSENTS, user, said)


async def submit(settings: Settings, folder: Path, memos: Sequence[MemoUploaded]) -> None:
    """As `undertone submit` does: copies of the audio in the inbox, events in the journal, and then to Kafka."""
    inbox = Inbox(settings.home / "audio", AudioCopies(settings))
    with Journal(settings.home / "journal.db", sealing=sealing_of(settings)) as journal:
        async with Submitter.open_durable(settings, CODEC, journal) as submitter:
            await submitter.send_all([replace(memo, audio_uri=copied(inbox, folder, memo)) for memo in memos])


def copied(inbox: Inbox, folder: Path, memo: MemoUploaded) -> str:
    """The address of a copy of this memo's audio."""
    source = folder / "platform" / f"{memo.user_id}-{_day(memo):03d}.f32"
    return inbox.put_memo(memo.user_id, source.read_bytes(), str(memo.sha256), source.suffix)


def _day(memo: MemoUploaded) -> int:
    return (memo.recorded_at - datetime(2026, 1, 1, 8, tzinfo=UTC)).days


async def stored(settings: Settings) -> None:
    """Return when the history has everything."""
    async with asyncio.timeout(120), Observer(settings) as observer:
        while any([await observer.backlog(HISTORY_GROUP, topic.name) for topic in HISTORY_TOPICS]):
            await asyncio.sleep(0.2)


async def each_once(settings: Settings) -> Outcomes:
    """All outcomes, in order; one that is written again unchanged, as at-least-once delivery allows, counts once."""
    found = await outcomes(settings)
    for (topic, _), values in found.items():
        if topic == topics.DEAD.name:
            values[:] = map(_without_address, values)
    return {key: list(dict.fromkeys(values)) for key, values in found.items()}


def _without_address(value: bytes) -> bytes:
    """A dead letter without the address of the copy of its audio, whose name is another one if it is sealed."""
    letter = CODEC.decode(value, DeadLetter)
    memo = replace(CODEC.decode(letter.value or b"", MemoUploaded), audio_uri="file:///a")
    return CODEC.encode(replace(letter, value=CODEC.encode(memo)))


async def pages(database: Database, memos: Sequence[MemoUploaded]) -> Pages:
    """What the dashboard shows of each person."""
    users = sorted({memo.user_id for memo in memos})
    return {user: (await database.read(scores, user, *YEARS), await database.read(episodes, user)) for user in users}


async def in_clear(folder: Path, memos: list[MemoUploaded], monkeypatch: pytest.MonkeyPatch) -> Clear:
    """Play the memos without sealing, and collect the person's ids, addresses, audio, features and probabilities."""
    with place(folder) as clear:
        clear.audio = folder / "home" / "audio"
        settings = clear.settings(seal="off")
        await consent(settings, memos)
        async with running(settings, monkeypatch), history(settings) as database:
            await submit(settings, folder, memos)
            await settled(clear, settings)
            await stored(settings)
            shown = await pages(database, memos)
        mine = [memo for memo in memos if memo.user_id == GONE]
        canaries = {SAID.encode(), *audio_of(folder, mine)}
        async for record in written(settings, topics.UPLOADED, EVER):
            memo = CODEC.decode(record.value, MemoUploaded)
            canaries.update(traces([memo]) if memo.user_id == GONE else ())
        async for record in written(settings, topics.FEATURES, EVER):
            features = CODEC.decode(record.value, MemoFeatures)
            if features.user_id == GONE:
                canaries.add(features.summary.astype("<f4").tobytes()[:16])
        async for record in written(settings, topics.SCORED, EVER):
            scored = CODEC.decode(record.value, RiskScored)
            if scored.user_id == GONE and scored.probability is not None:
                canaries.add(struct.pack("<d", scored.probability))
        everything = content(await raw(settings)) + b"".join(data for _, data in contents(folder / "home"))
        assert [canary for canary in canaries if canary not in everything] == [], "what is not there cannot be missed"
        found = Clear(await each_once(settings), shown, frozenset(canaries))
    shutil.rmtree(folder / "home")
    (folder / "home").mkdir()
    return found


def audio_of(folder: Path, memos: Sequence[MemoUploaded]) -> set[bytes]:
    """The beginning of each recording, but of those that many people have."""
    files = ((folder / "platform" / f"{memo.user_id}-{_day(memo):03d}.f32").read_bytes() for memo in memos)
    return {data[:16] for data in files if data != BROKEN}


async def test_one_of_twenty_is_erased_in_mid_flow_and_killed_at_every_step(
    whole: Whole, logs: None, folder: Path, memos: list[MemoUploaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    clear = await in_clear(folder, memos, monkeypatch)
    settings, homes = whole.settings, [HomePlace(whole.settings.home)]
    KeyDirectory.init(settings)
    await consent(settings, memos)
    later = [memo for memo in memos[250:] if memo.user_id != GONE]
    share = -(-len(later) // (2 * len(Step)))
    async with running(settings, monkeypatch), history(settings) as database:
        await submit(settings, folder, memos[:250])
        await settled(whole.place, settings, 60)  # memos are at every hop
        subject = sealing_of(settings).keyring.directory.subjects_of([GONE])[GONE].id
        for number, (step, before) in enumerate((step, before) for step in Step for before in (True, False)):
            await submit(settings, folder, later[number * share : (number + 1) * share])
            ended = await asyncio.to_thread(killed, settings, GONE, REQUEST, step, before=before)
            assert ended == -signal.SIGKILL, (step, before)
        certificate = await erase_person(settings, GONE, REQUEST, homes)
        await settled(whole.place, settings)
        await stored(settings)
        assert sealing_of(settings).keyring.directory.subjects_of([GONE]) == {}, "no process made new keys"
        shown = await pages(database, memos)

    assert verified(certificate)["subject"] == subject.hex()
    check_every_byte(certificate)
    found = await try_certificate(settings, certificate, GONE, homes)
    assert sum(trial.sealed for trial in found["Kafka"].values()) > 0, "ciphertexts stay"
    assert found["Kafka"][topics.CONSENTS.name].sealed > 0
    copies = [data for _, data in contents(settings.home / "audio")]
    assert found["home"][AUDIO.name].tried == len(copies) > 0, "the audio of the others stays, for a day"
    assert all(map(is_sealed, copies))
    assert await each_once(settings) == {key: values for key, values in clear.outcomes.items() if key[1] != GONE}
    nothing: tuple[list[object], list[object]] = ([], [])
    assert shown == {user: nothing if user == GONE else page for user, page in clear.pages.items()}
    assert in_files(whole.folders, {*clear.canaries, GONE.encode()}) == []


def check_every_byte(certificate: bytes) -> None:
    """Whatever byte is changed, it is no certificate any more."""
    for position in range(len(certificate)):
        changed = bytearray(certificate)
        changed[position] ^= 1
        with pytest.raises(NotCertified):
            verified(bytes(changed))


def in_files(folders: Sequence[Path], wanted: set[bytes]) -> list[tuple[str, bytes]]:
    """Which of these are in which file, or its path; what a server has filled with zeros ahead is left out."""
    held = {str(path): str(path).encode() + data.rstrip(b"\0") + bytes(16) for path, data in contents(*folders)}
    for part in PARTS:
        assert any(part in path for path in held), f"{part} is not among the files"
    return [(path, each) for path, data in held.items() for each in wanted if each in data]
