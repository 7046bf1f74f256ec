"""SIGTERM with work in flight: real processes on a real broker end in time, and nothing is lost or done twice."""

import asyncio
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas import topics
from schemas.errors import ConfigurationError, Poison
from schemas.events import DeadLetter, MemoFeatures, MemoUploaded
from schemas.pipeline import ACOUSTIC, AGENTS_GROUP
from schemas.settings import Settings
from tests.integration.test_worker import CODEC, CheapStage, event, load, upload
from tests.servers import Broker
from workers.consumer.attempts import DEADLY
from workers.kafka.clients import make_producer
from workers.kafka.consumer_lag import Observer
from workers.kafka.topic_reader import follow

MEMOS = [event(f"memo-{number:02d}") for number in range(12)]
WAYS = {
    "worker": (ACOUSTIC.group, topics.UPLOADED, topics.FEATURES),
    "agents": (AGENTS_GROUP, topics.FEATURES, topics.SCORED),
}
PATIENCE_S = 60.0
ROOT = Path(__file__).parent.parent.parent


class Role:
    """One of the roles of `stoppable.py`, whose every batch takes `seconds`."""

    def __init__(self, settings: Settings, kind: str, seconds: float) -> None:
        changes = {"batch_audio_s": 3.0, "agent_batch": 3}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.stoppable", kind, str(seconds)],
            env={**settings.model_copy(update=changes).child_environment(), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_for_work(self) -> None:
        """Return when a batch was begun."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "begun\n"

    def stop(self) -> tuple[int, float]:
        """Ask it to end: its exit code, and the seconds that it took."""
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(PATIENCE_S)
        return code, time.monotonic() - began

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._process.kill()
        self._process.wait(PATIENCE_S)

    def lives_until(self, state: Callable[[], bool]) -> bool:
        """Whether it lives until this state is reached."""
        until = time.monotonic() + PATIENCE_S
        while self._process.poll() is None:
            if state():
                return True
            assert time.monotonic() < until
            time.sleep(0.2)
        return False

    def wait(self) -> int:
        """Its exit code, when it ends by itself."""
        return self._process.wait(PATIENCE_S)

    def __enter__(self) -> "Role":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.stop()
        self._process.communicate()


@pytest.fixture
def settings(one_broker: Broker) -> Settings:
    one_broker.create(*(topic.name for topic in topics.TOPICS))
    return Settings.load(kafka_bootstrap=one_broker.bootstrap, session_timeout_s=6.0)


async def send(settings: Settings, kind: str) -> None:
    """Twelve memos that wait for this role."""
    if kind == "worker":
        return await upload(settings, *MEMOS)
    async with make_producer(settings) as producer:
        for outcome in CheapStage().process([load(memo) for memo in MEMOS]):
            assert not isinstance(outcome, Poison)
            await producer.send_and_wait(topics.FEATURES.name, CODEC.encode(outcome[0]), b"user")
    return None


@pytest.fixture(params=list(WAYS))
def kind(request: pytest.FixtureRequest, settings: Settings) -> str:
    """A role for which memos wait."""
    kind: str = request.param
    asyncio.run(send(settings, kind))
    return kind


def delivered(settings: Settings, kind: str) -> Counter[str]:
    async def read() -> Counter[str]:
        topic = WAYS[kind][2]
        return Counter(
            [r.memo_id async for r in follow(settings, CODEC, topic, MemoFeatures, from_start=True, once=True)]
        )

    return asyncio.run(read())


def committed(settings: Settings, kind: str) -> int:
    async def read() -> int:
        group, topic, _ = WAYS[kind]
        async with Observer(settings) as observer:
            return sum((await observer.positions(group, topic.name)).values())

    return asyncio.run(read())


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_asked_to_stop_it_finishes_what_it_works_on_and_no_more(settings: Settings, kind: str) -> None:
    with Role(settings, kind, seconds=1.0) as role:
        role.wait_for_work()
        code, took_s = role.stop()
    assert code == 0
    assert took_s < 10
    done = delivered(settings, kind)
    assert 0 < len(done) < len(MEMOS)
    # Of different users, a later memo may be finished before an earlier one: it lies ahead of what can be committed.
    ahead = done.total() - committed(settings, kind)
    assert ahead == 0 or (kind == "worker" and ahead > 0)
    with Role(settings, kind, seconds=0.0):
        wait_until(lambda: committed(settings, kind) == len(MEMOS))
    everything = delivered(settings, kind)
    assert set(everything) == {memo.memo_id for memo in MEMOS}
    assert everything.total() == len(MEMOS) + ahead


def test_a_batch_that_does_not_end_is_left_in_time_and_comes_again(settings: Settings, kind: str) -> None:
    with Role(settings.model_copy(update={"stop_deadline_s": 2.0}), kind, seconds=60.0) as role:
        role.wait_for_work()
        _, took_s = role.stop()
    assert took_s < 10
    assert delivered(settings, kind) == Counter()
    assert committed(settings, kind) == 0


@pytest.mark.parametrize("kind", ["hanging worker", "hanging agents"])
def test_after_a_fatal_error_a_process_whose_shutdown_hangs_is_gone_at_its_deadline(
    settings: Settings, kind: str
) -> None:
    asyncio.run(send(settings, kind.removeprefix("hanging ")))
    with Role(settings.model_copy(update={"stop_deadline_s": 1.0}), kind, 0.0) as role:
        role.wait_for_work()
        assert role.wait() == ConfigurationError.exit_code


def test_a_blocked_event_loop_does_not_outlive_the_deadline(settings: Settings) -> None:
    with Role(settings.model_copy(update={"stop_deadline_s": 1.0}), "blocked", 0.0) as role:
        role.wait_for_work()
        assert role.stop()[0] == 1


def dead(settings: Settings) -> list[DeadLetter]:
    async def read() -> list[DeadLetter]:
        return [r async for r in follow(settings, CODEC, topics.DEAD, DeadLetter, from_start=True, once=True)]

    return asyncio.run(read())


def test_a_memo_that_kills_its_process_becomes_a_dead_letter_and_the_others_are_processed(
    settings: Settings, kind: str
) -> None:
    deaths = 0
    while deaths <= DEADLY + 1:
        with Role(settings, f"deadly {kind}", 0.0) as role:
            if role.lives_until(lambda: committed(settings, kind) == len(MEMOS)):
                break
        deaths += 1
    # The mark of a busy partition may not have reached the batch of the first death.
    assert deaths in (DEADLY, DEADLY + 1)
    (letter,) = dead(settings)
    record: Any = CODEC.decode(letter.value, MemoUploaded if kind == "worker" else MemoFeatures)
    assert (letter.reason, record.memo_id) == ("defect:ProcessDied", "memo-05")
    assert set(delivered(settings, kind)) == {memo.memo_id for memo in MEMOS} - {"memo-05"}


def test_a_process_that_was_killed_with_memos_in_work_costs_no_memo(settings: Settings, kind: str) -> None:
    for _ in range(DEADLY - 1):
        with Role(settings, kind, 0.5) as role:
            role.wait_for_work()
            role.kill()
    with Role(settings, kind, 0.0) as role:
        assert role.lives_until(lambda: committed(settings, kind) == len(MEMOS))
    assert set(delivered(settings, kind)) == {memo.memo_id for memo in MEMOS}
    assert dead(settings) == []
