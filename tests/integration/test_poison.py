"""Half of what comes is rotten: a worker ends with a message and a code, and after the fix nothing good is lost."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from redis import Redis
from typer.testing import CliRunner

from schemas import topics
from schemas.errors import DeadLetterCapReached
from schemas.events import DeadLetter, MemoFeatures, MemoUploaded
from schemas.settings import Settings
from streams.cli.dead_letters import letters_app
from tests.integration.test_worker import CODEC, MOMENT, caught_up, everything, upload
from tests.servers import Broker, RedisServer
from workers.audio.memo import SAMPLING_RATE
from workers.simulation.cohort import random_voice
from workers.simulation.source_filter import speak

MEMOS, WINDOW, SECONDS = 48, 16, 2.0
PATIENCE_S = 90.0
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def settings(one_broker: Broker, redis_server: RedisServer, tmp_path: Path) -> Settings:
    one_broker.create(*(topic.name for topic in topics.TOPICS))
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
    return Settings.load(
        kafka_bootstrap=one_broker.bootstrap,
        redis_url=redis_server.url,
        session_timeout_s=6.0,
        audio_prefixes=(tmp_path.as_uri(),),
        acoustic_processes=1,
        dead_letter_window=WINDOW,
        dead_letter_back_off_s=0.5,
    )


def started(settings: Settings) -> "subprocess.Popen[str]":
    """`undertone worker acoustic` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "streams.cli", "worker", "acoustic"],
        env={**settings.child_environment(), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def working(settings: Settings) -> Iterator[None]:
    """A worker that begins now, and is asked to end afterwards."""
    worker = started(settings)
    try:
        yield
    finally:
        worker.send_signal(signal.SIGTERM)
        told, _ = worker.communicate(timeout=PATIENCE_S)
    assert worker.returncode == 0, told


def nothing_waits(settings: Settings) -> None:
    """Return when the workers have committed every upload."""
    asyncio.run(asyncio.wait_for(caught_up(settings), PATIENCE_S))


def voice(path: Path) -> bytes:
    """The sound of one memo, as it lies in the audio store."""
    rng = np.random.default_rng(3)
    soundfile.write(path, speak(random_voice(rng), SECONDS, rng)[0], SAMPLING_RATE)
    return path.read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_half_of_all_rotten_ends_the_worker_and_after_the_fix_all_have_features(
    settings: Settings, tmp_path: Path
) -> None:
    good, rotten = tmp_path / "good.wav", tmp_path / "rotten.wav"
    sound = voice(good)
    rotten.write_bytes(sound[:30])
    way = [
        MemoUploaded(f"memo-{n}", f"user-{n % 5}", MOMENT, MOMENT, (good, rotten)[n % 2].as_uri()) for n in range(MEMOS)
    ]
    asyncio.run(upload(settings, *way))

    worker = started(settings)
    told, _ = worker.communicate(timeout=PATIENCE_S)
    assert worker.returncode == DeadLetterCapReached.exit_code == 70
    assert "UNDERTONE_DEAD_LETTER_MAX_SHARE is 0.25" in told
    assert "undertone dead-letters redrive" in told
    letters: list[DeadLetter] = asyncio.run(everything(settings, topics.DEAD))
    assert len(letters) < WINDOW
    assert all(letter.value in {CODEC.encode(memo) for memo in way[1::2]} for letter in letters)

    rotten.write_bytes(sound)
    with working(settings):
        nothing_waits(settings)
        back = CliRunner().invoke(letters_app, ["redrive"], env=settings.child_environment())
        assert f"{len(letters)} records sent back" in back.output
        nothing_waits(settings)
    features: list[MemoFeatures] = asyncio.run(everything(settings, topics.FEATURES))
    assert {each.memo_id for each in features} == {memo.memo_id for memo in way}
    assert len({each.summary.tobytes() for each in features}) == 1
    assert len(asyncio.run(everything(settings, topics.DEAD))) == len(letters)
