"""Processes that may die: whose memo ended them is found out, and nobody else pays for it but with time.

The pool runs on threads here that die as processes do; `test_stage.py` kills real ones.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np
import pytest

from schemas.errors import Poison
from schemas.events import FloatArray
from workers.acoustic import process_pool
from workers.acoustic.extraction import AcousticFeatures
from workers.acoustic.process_pool import SOLO_ATTEMPTS, ExtractionPool, _SharedLock

DEADLY, DEADLY_ONCE, SHORT = 13, 7, 5
"""Signals of so many samples: one that always ends its process, one that does so once, one that is poison."""


def signal(samples: int) -> FloatArray:
    return np.zeros(samples, np.float32)


class Processes(Executor):
    """One set of processes that works on its tasks in their order and, once dead, takes all that remain along."""

    made: list["Processes"]
    tasks: Counter[int]

    def __init__(self, *_: object) -> None:
        self.dying = self.dead = self.ended = False
        Processes.made.append(self)

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **_: Any) -> Future[Any]:
        if self.dead:
            raise BrokenProcessPool("dead")
        future: Future[Any] = Future()
        if not arguments:  # What the pool sends to let go of the last signal.
            return future
        samples = len(arguments[0])
        Processes.tasks[samples] += 1
        self.dying |= samples == DEADLY or (samples == DEADLY_ONCE and Processes.tasks[samples] == 1)
        if self.dying:
            future.set_exception(BrokenProcessPool("dead"))
        elif samples == SHORT:
            future.set_exception(Poison("acoustic:too_short", "too short"))
        else:
            future.set_result(samples)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.ended = True


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExtractionPool]:
    """A pool whose features are the number of samples."""
    Processes.made, Processes.tasks = [], Counter()
    monkeypatch.setattr(process_pool, "ProcessPoolExecutor", Processes)
    pool = ExtractionPool(2, 15.0)
    yield pool
    pool.close()


def results(pool: ExtractionPool, *samples: int) -> list[object]:
    """Features, and the reason where there are none."""
    found: list[AcousticFeatures | Poison] = pool.extract([signal(each) for each in samples])
    return [each.reason if isinstance(each, Poison) else each for each in found]


def test_results_come_in_order_and_processes_live_on(pool: ExtractionPool) -> None:
    assert results(pool, 3, 1, 2) == [3, 1, 2]
    assert results(pool, 4) == [4]
    assert len(Processes.made) == 1


def test_nothing_is_started_before_there_is_work(pool: ExtractionPool) -> None:
    assert Processes.made == []
    pool.close()


def test_poison_is_a_result_of_its_own_signal(pool: ExtractionPool) -> None:
    assert results(pool, 3, SHORT, 2) == [3, "acoustic:too_short", 2]
    assert Processes.tasks[3] == 1


def test_a_process_that_dies_once_costs_nobody_their_features(pool: ExtractionPool) -> None:
    assert results(pool, 3, DEADLY_ONCE, 2) == [3, DEADLY_ONCE, 2]
    assert Processes.made[0].ended


def test_a_signal_that_always_ends_its_process_is_poison_alone(pool: ExtractionPool) -> None:
    assert results(pool, 3, DEADLY, 2, 4) == [3, "acoustic:crash", 2, 4]
    # Once in its batch, once in what was left of it, then by itself.
    assert Processes.tasks[DEADLY] == 2 + SOLO_ATTEMPTS
    assert Processes.tasks[3] == 1, "what was done before the death is not done again"
    assert all(made.ended for made in Processes.made if made.dying)


def test_after_a_death_the_next_batch_has_new_processes(pool: ExtractionPool) -> None:
    results(pool, DEADLY)
    assert results(pool, 2) == [2]
    assert Processes.tasks[2] == 1


def test_a_batch_that_finds_the_processes_dead_begins_again(pool: ExtractionPool) -> None:
    results(pool, 1)
    Processes.made[0].dead = True
    assert results(pool, 1, 2) == [1, 2]


def test_a_defect_is_no_death_and_passes(pool: ExtractionPool, monkeypatch: pytest.MonkeyPatch) -> None:
    def submit(self: Processes, *_: object) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_exception(ZeroDivisionError())
        return future

    monkeypatch.setattr(Processes, "submit", submit)
    with pytest.raises(ZeroDivisionError):
        results(pool, 1)


def test_closing_ends_the_processes_once(pool: ExtractionPool) -> None:
    results(pool, 1)
    pool.close()
    assert Processes.made[0].ended
    Processes.made[0].ended = False
    pool.close()
    assert not Processes.made[0].ended


class Holders:
    """Threads that hold a lock, shared or exclusive, until they are told to release it."""

    def __init__(self) -> None:
        self.lock, self.holding, self._changed = _SharedLock(), Counter[str](), threading.Condition()
        self._release = {"shared": threading.Event(), "exclusive": threading.Event()}

    def hold(self, how: str) -> None:
        with getattr(self.lock, how)():
            self._count(how, 1)
            assert self._release[how].wait(30)
            self._count(how, -1)

    def release(self, how: str) -> None:
        self._release[how].set()

    def wait_for(self, **holding: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: +self.holding == Counter(holding), 30), self.holding

    def _count(self, how: str, change: int) -> None:
        with self._changed:
            self.holding[how] += change
            assert not (self.holding["exclusive"] and self.holding["shared"])
            self._changed.notify_all()


def test_an_exclusive_holder_waits_for_shared_ones_and_blocks_new_ones() -> None:
    holders = Holders()
    with ThreadPoolExecutor(4) as threads:
        held = [threads.submit(holders.hold, "shared") for _ in range(2)]
        holders.wait_for(shared=2)
        held.append(threads.submit(holders.hold, "exclusive"))
        with holders.lock._changed:
            assert holders.lock._changed.wait_for(lambda: holders.lock._exclusive == 1, 30)
        held.append(threads.submit(holders.hold, "shared"))
        assert holders.holding == {"shared": 2}
        holders.release("shared")
        holders.wait_for(exclusive=1)
        holders.release("exclusive")
        for each in held:
            each.result(30)
    assert +holders.holding == {}


def test_a_lock_is_released_on_an_error() -> None:
    lock = _SharedLock()
    for block in (lock.shared, lock.exclusive):
        with pytest.raises(ZeroDivisionError), block():
            raise ZeroDivisionError
    with lock.exclusive():
        assert lock._shared == 0
