"""Retries: after transient errors only, without end, and never far apart."""

import asyncio
import logging
import re

import pytest

from schemas.errors import Poison, Transient
from tests.samples import sample
from workers.service.retry import LONGEST_WAIT_S, retry_transient


class Flaky:
    """Fails `failures` times, then gives 42."""

    def __init__(self, failures: int) -> None:
        self.failures, self.calls = failures, 0

    async def __call__(self) -> int:
        self.calls += 1
        if self.calls <= self.failures:
            raise Transient("storage is away")
        return 42


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were to be waited, none of which is."""
    asked: list[float] = []

    async def sleep(seconds: float) -> None:
        asked.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return asked


def retries(target: str) -> float:
    return sample("retries_total", stage="test", target=target)


async def test_work_that_succeeds_is_not_repeated(waits: list[float]) -> None:
    work = Flaky(0)
    assert await retry_transient(work, stage="test", target="redis") == 42
    assert (work.calls, waits) == (1, [])


async def test_each_transient_error_is_counted_and_the_work_repeated(waits: list[float]) -> None:
    before, work = retries("storage"), Flaky(3)
    assert await retry_transient(work, stage="test", target="storage") == 42
    assert work.calls == 4
    assert retries("storage") - before == 3


async def test_waits_grow_from_a_fifth_of_a_second_to_a_bound(waits: list[float]) -> None:
    await retry_transient(Flaky(60), stage="test", target="redis")
    assert all(wait <= min(0.2 * 2**number, LONGEST_WAIT_S) for number, wait in enumerate(waits))
    assert max(waits[20:]) > LONGEST_WAIT_S / 2
    assert len(set(waits)) == 60, "without jitter all processes would return at once"


@pytest.mark.parametrize("error", [Poison("r", "d"), ValueError("a defect"), ConnectionError()])
async def test_other_errors_pass_at_once(waits: list[float], error: Exception) -> None:
    async def work() -> None:
        raise error

    with pytest.raises(type(error)):
        await retry_transient(work, stage="test", target="redis")
    assert waits == []


async def test_cancelling_ends_the_retries() -> None:
    tried = asyncio.Event()

    async def work() -> None:
        tried.set()
        raise Transient("away")

    task = asyncio.create_task(retry_transient(work, stage="test", target="redis"))
    await tried.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_log_tells_of_the_first_the_tenth_and_every_hundredth_attempt(
    waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "workers.service.retry"):
        await retry_transient(Flaky(250), stage="test", target="redis")
    messages = [record.getMessage() for record in caplog.records]
    assert [re.findall(r"\d+", message) for message in messages] == [["1"], ["10"], ["100"], ["200"]]
    assert all("storage is away" in message for message in messages)
