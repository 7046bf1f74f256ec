"""Requests for keys; and what the key directory does not know is waited for, and for a time only."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import Erased, Poison, Transient, Unknown
from schemas.sealed_frame import build
from streams.cli.load_settings import load_settings
from workers.privacy import key_requests
from workers.privacy.clear_records import Opened, Outcome
from workers.privacy.key_requests import KEYS, KeyRequests, UnknownKeys
from workers.service.health import HEALTH

WAIT_S, MONTH = 3600.0, 300
UNKNOWN = Unknown("no key")


@dataclass
class Record:
    """A record as a client gives it."""

    value: bytes | None
    topic: str = "memos.uploaded"
    key: bytes | None = None
    headers: Any = ()
    timestamp: Any = None


def sealed(subject: int) -> Record:
    return Record(build(subject.to_bytes(16, "big"), MONTH, bytes(12), bytes(32)))


class Clock:
    """Seconds that the test moves."""

    now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(clock: Clock) -> UnknownKeys:
    return UnknownKeys(WAIT_S, clock)


async def test_a_request_that_takes_too_long_is_left_to_end_and_no_other_is_made_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(key_requests._Process, "is_command", False)
    monkeypatch.setattr(key_requests, "ANSWER_WITHIN_S", 0.02)
    requests, answer, made = KeyRequests(), asyncio.Event(), 0

    async def ask() -> None:
        nonlocal made
        made += 1
        await answer.wait()

    for _ in range(3):
        with pytest.raises(Transient, match="longer than"):
            await requests.answered(ask)
    assert made == 1
    assert "longer than" in HEALTH.lacking()[KEYS]
    answer.set()
    monkeypatch.setattr(key_requests, "ANSWER_WITHIN_S", 10.0)
    await requests.answered(ask)
    assert made == 2
    HEALTH.has(KEYS)


async def test_a_command_waits_longer_and_says_what_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(key_requests._Process, "is_command", False)
    monkeypatch.setattr(key_requests, "ANSWER_WITHIN_S", 0.01)
    monkeypatch.setenv("UNDERTONE_SEAL", "on")
    monkeypatch.setenv("UNDERTONE_HOME", str(tmp_path))
    load_settings()
    requests, answer = KeyRequests(), asyncio.Event()

    async def ask() -> None:
        await answer.wait()

    waiting = asyncio.create_task(requests.answered(ask))
    while "still waiting: the key directory (UNDERTONE_KEY_DIRECTORY_URL)" not in caplog.text:
        assert not waiting.done()
        await asyncio.sleep(0.005)
    answer.set()
    await waiting
    assert KEYS not in HEALTH.lacking()

    answer.clear()
    monkeypatch.setattr(key_requests, "COMMAND_WITHIN_S", 0.05)
    with pytest.raises(Transient, match=r"key service \(UNDERTONE_KMS\) takes longer than 0\.05 s"):
        await requests.answered(ask)
    answer.set()
    HEALTH.has(KEYS)


async def test_why_there_is_no_answer_is_what_health_says_until_there_is_one() -> None:
    async def ask() -> None:
        raise Transient("the key directory does not answer")

    async def answer() -> None:
        """Nothing is asked."""

    requests = KeyRequests()
    with pytest.raises(Transient):
        await requests.answered(ask)
    assert HEALTH.lacking()[KEYS] == "the key directory does not answer"
    await requests.answered(answer)
    assert KEYS not in HEALTH.lacking()
    HEALTH.lacks(KEYS, "a key is unknown")
    await requests.answered(answer)
    assert HEALTH.lacking()[KEYS] == "a key is unknown"
    HEALTH.has(KEYS)


def test_a_value_of_nobody_is_given_up_after_the_time_and_no_sooner(keys: UnknownKeys, clock: Clock) -> None:
    assert keys.settled(sealed(1), UNKNOWN) is UNKNOWN
    clock.now += WAIT_S - 1
    assert keys.settled(sealed(1), UNKNOWN) is UNKNOWN
    HEALTH.lacks("keys", "unknown")
    clock.now += 1
    given_up = keys.settled(sealed(1), UNKNOWN)
    assert isinstance(given_up, Poison)
    assert given_up.reason == "record:forged"
    assert "restore the newest one and redrive this" in given_up.detail
    assert "keys" not in HEALTH.lacking()


def test_many_of_them_hold_a_partition_no_longer_than_one(keys: UnknownKeys, clock: Clock) -> None:
    keys.settled(sealed(1), UNKNOWN)
    clock.now += WAIT_S
    assert all(isinstance(keys.settled(sealed(subject), UNKNOWN), Poison) for subject in range(1, 100))
    clock.now += 10 * WAIT_S
    assert isinstance(keys.settled(sealed(100), UNKNOWN), Poison)


@pytest.mark.parametrize("known", [Opened(b"ann", b"1", ()), Erased("erased")], ids=["opened", "erased"])
def test_the_time_begins_again_when_one_of_them_is_known_after_all(
    keys: UnknownKeys, clock: Clock, known: Outcome
) -> None:
    """An operator restores the newest backup."""
    keys.settled(sealed(1), UNKNOWN)
    clock.now += WAIT_S
    assert keys.settled(sealed(1), known) is known
    assert keys.settled(sealed(2), UNKNOWN) is UNKNOWN
    clock.now += WAIT_S
    assert isinstance(keys.settled(sealed(2), UNKNOWN), Poison)


def test_what_opens_beside_them_changes_nothing(keys: UnknownKeys, clock: Clock) -> None:
    keys.settled(sealed(1), UNKNOWN)
    clock.now += WAIT_S
    keys.settled(sealed(2), Opened(b"ben", b"1", ()))
    assert isinstance(keys.settled(sealed(1), UNKNOWN), Poison)


@pytest.mark.parametrize("outcome", [UNKNOWN, Transient("away")])
def test_a_directory_that_is_away_and_records_in_clear_are_waited_for(clock: Clock, outcome: Outcome) -> None:
    keys = UnknownKeys(0.0, clock)
    for record in (Record(b"clear"), Record(None)):
        assert keys.settled(record, outcome) is outcome
    away = Transient("away")
    assert keys.settled(sealed(1), away) is away
