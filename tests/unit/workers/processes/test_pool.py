"""Which child takes a task, and which children are ended."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from workers.processes.child import Child
from workers.processes.pool import ChildPool


class Fake(Child):
    """A child without a process."""

    def __init__(self) -> None:
        self.living = True

    @property
    def alive(self) -> bool:
        return self.living

    def end(self) -> int:
        self.living = False
        return 0

    def kill(self) -> None:
        self.living = False


@pytest.fixture
def pool() -> Iterator[ChildPool[Fake]]:
    pool = ChildPool(Fake, 2)
    yield pool
    pool.close()


def test_a_child_is_kept_for_the_next_task(pool: ChildPool[Fake]) -> None:
    with pool.borrowed() as first:
        pass
    with pool.borrowed() as second:
        assert second is first


def test_a_dead_child_is_replaced(pool: ChildPool[Fake]) -> None:
    with pool.borrowed() as first:
        pass
    first.living = False
    with pool.borrowed() as second:
        assert second is not first
        second.living = False
    assert pool.idle == []


def test_a_task_that_fails_ends_its_child(pool: ChildPool[Fake]) -> None:
    with pytest.raises(ZeroDivisionError), pool.borrowed() as child:
        raise ZeroDivisionError
    assert not child.alive
    assert pool.idle == []


def test_no_more_children_than_allowed_work_at_once(pool: ChildPool[Fake]) -> None:
    together = Barrier(2)

    def work(_: int) -> Fake:
        with pool.borrowed() as child:
            together.wait(30)  # two at a time get here, and never three
            return child

    with ThreadPoolExecutor(6) as threads:
        used = list(threads.map(work, range(6)))
    assert len(set(map(id, used))) == 2


def test_closing_ends_those_at_work_too_and_a_later_task_starts_a_new_one(pool: ChildPool[Fake]) -> None:
    with pool.borrowed() as busy:
        pool.close()
        assert not busy.alive
    with pool.borrowed() as later:
        assert later is not busy


def test_after_a_fork_the_children_are_the_parents(pool: ChildPool[Fake], monkeypatch: pytest.MonkeyPatch) -> None:
    with pool.borrowed() as before:
        pass
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pool.borrowed() as after:
        assert after is not before
    pool.close()
    assert before.alive, "it still works for the parent"
