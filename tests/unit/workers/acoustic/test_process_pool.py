"""Processes that may die: whose memo ended them is found out, and nobody else pays for it but with time.

The pool's children are objects here that die as processes do; `test_stage.py` kills real ones.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from schemas.errors import Poison, Transient
from schemas.events import FloatArray
from workers.acoustic import process_pool
from workers.acoustic.extraction import AcousticFeatures
from workers.acoustic.process_pool import SOLO_ATTEMPTS, ExtractionPool, _SharedLock
from workers.processes.child import Ended

DEADLY, DEADLY_ONCE, SHORT, DEFECT, INTERRUPT = 13, 7, 5, 11, 17
"""Signals of so many samples: one that always ends its process, one that does so once, one that is poison, one that the
program fails on, and one during which the user interrupts."""


def signal(samples: int) -> FloatArray:
    return np.zeros(samples, np.float32)


class Child:
    """A process that is dead once it was ended, or met a deadly signal. Its features are the number of samples."""

    made: list["Child"]
    tasks: Counter[int]

    def __init__(self) -> None:
        self.alive = True
        Child.made.append(self)

    def extract(self, given: FloatArray, _: float) -> object:
        samples = len(given)
        Child.tasks[samples] += 1
        if not self.alive or samples == DEADLY or (samples == DEADLY_ONCE and Child.tasks[samples] == 1):
            self.alive = False
            raise Ended(139, late=False)
        if samples == INTERRUPT:
            raise KeyboardInterrupt
        return {SHORT: Poison("acoustic:too_short", "too short"), DEFECT: ZeroDivisionError()}.get(samples, samples)

    def end(self) -> None:
        self.alive = False

    kill = end


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExtractionPool]:
    """A pool whose features are the number of samples."""
    Child.made, Child.tasks = [], Counter()
    monkeypatch.setattr(process_pool, "OpenSmileChild", Child)
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
    assert len(Child.made) <= 2


def test_nothing_is_started_before_there_is_work(pool: ExtractionPool) -> None:
    assert results(pool) == []
    assert Child.made == []
    pool.close()


def test_poison_is_a_result_of_its_own_signal(pool: ExtractionPool) -> None:
    assert results(pool, 3, SHORT, 2) == [3, "acoustic:too_short", 2]
    assert Child.tasks[3] == 1
    assert all(child.alive for child in Child.made), "a process that told of poison is as good as before"


def test_a_process_that_dies_once_costs_nobody_their_features(pool: ExtractionPool) -> None:
    assert results(pool, 3, DEADLY_ONCE, 2) == [3, DEADLY_ONCE, 2]
    assert Child.tasks[DEADLY_ONCE] == 2


def test_a_signal_that_always_ends_its_process_is_poison_alone(pool: ExtractionPool) -> None:
    assert results(pool, 3, DEADLY, 2, 4) == [3, "acoustic:crash", 2, 4]
    # Once among the others, then by itself.
    assert Child.tasks[DEADLY] == 1 + SOLO_ATTEMPTS
    assert Child.tasks[3] == Child.tasks[4] == 1, "what was done is not done again"


def test_after_a_death_the_next_batch_has_new_processes(pool: ExtractionPool) -> None:
    results(pool, DEADLY)
    assert results(pool, 2) == [2]
    assert Child.tasks[2] == 1


def test_a_process_that_died_while_idle_is_replaced(pool: ExtractionPool) -> None:
    results(pool, 1)
    Child.made[0].alive = False
    assert results(pool, 1, 2) == [1, 2]


def test_a_defect_is_no_death_and_passes(pool: ExtractionPool) -> None:
    with pytest.raises(ZeroDivisionError):
        results(pool, DEFECT)
    assert Child.made[0].alive


def test_an_interrupt_ends_the_processes_and_the_pool_can_be_used_again(pool: ExtractionPool) -> None:
    with pytest.raises(KeyboardInterrupt):
        results(pool, 1, INTERRUPT)
    assert not any(child.alive for child in Child.made)
    assert results(pool, 1) == [1]


def test_closing_ends_the_processes_for_good(pool: ExtractionPool) -> None:
    results(pool, 1)
    pool.close()
    pool.close()
    assert [child.alive for child in Child.made] == [False]
    with pytest.raises(Transient, match="ended"):
        results(pool, 1)


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
