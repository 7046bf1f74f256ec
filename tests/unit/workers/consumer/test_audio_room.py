"""Room for audio: bounded, in order, and never a deadlock."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from workers.consumer.audio_room import Abandoned, AudioRoom


class Waiters:
    """Threads that reserve, with the order in which they were granted."""

    def __init__(self, room: AudioRoom, threads: ThreadPoolExecutor) -> None:
        self.room, self.granted = room, list[str]()
        self._threads = threads

    def reserve(self, name: str, seconds: float) -> tuple[Future[None], Callable[[], None]]:
        """Start to reserve, and return once the thread waits in the queue or has its share."""
        share = self.room.share()

        def work() -> None:
            share.reserve(seconds)
            self.granted.append(name)

        before = len(self.room._waiting)
        future = self._threads.submit(work)
        while not future.done() and len(self.room._waiting) == before:
            threading.Event().wait(0.001)
        return future, share.close


@pytest.fixture
def observed() -> list[float]:
    return []


@pytest.fixture
def room(observed: list[float]) -> AudioRoom:
    return AudioRoom(10.0, observed.append)


def test_shares_add_up_and_are_observed(room: AudioRoom, observed: list[float]) -> None:
    one, other = room.share(), room.share()
    one.reserve(4.0)
    other.reserve(6.0)
    assert room.is_full
    one.settle(1.0)
    other.close()
    other.close()
    one.close()
    assert not room.is_full
    assert max(observed) == 10.0
    assert observed[-1] == 0.0


def test_one_memo_larger_than_the_room_is_granted_when_nothing_is_held(room: AudioRoom) -> None:
    share = room.share()
    share.reserve(1000.0)
    assert room.is_full


def test_what_turns_out_longer_gives_back_before_it_waits(room: AudioRoom) -> None:
    with ThreadPoolExecutor(2) as threads:
        shares = [room.share(), room.share()]
        for share in shares:
            share.reserve(4.0)
        barrier = threading.Barrier(2)

        def grow(number: int) -> None:
            barrier.wait(30)
            shares[number].reserve(8.0)
            shares[number].close()

        for each in [threads.submit(grow, number) for number in (0, 1)]:
            each.result(30)


def test_shares_are_granted_in_order_so_that_a_large_one_is_not_starved(room: AudioRoom) -> None:
    with ThreadPoolExecutor(3) as threads:
        held = room.share()
        held.reserve(5.0)
        waiters = Waiters(room, threads)
        large, close_large = waiters.reserve("large", 1000.0)
        small, close_small = waiters.reserve("small", 1.0)
        assert not large.done()
        assert not small.done(), "it would fit, but the large one asked before"
        held.close()
        large.result(30)
        close_large()
        small.result(30)
        close_small()
        assert waiters.granted == ["large", "small"]


def test_closing_ends_a_wait_and_lets_the_next_one_in(room: AudioRoom) -> None:
    with ThreadPoolExecutor(2) as threads:
        held = room.share()
        held.reserve(9.0)
        waiters = Waiters(room, threads)
        first, close_first = waiters.reserve("first", 5.0)
        second, close_second = waiters.reserve("second", 1.0)
        close_first()
        with pytest.raises(Abandoned):
            first.result(30)
        second.result(30)
        close_second()


def test_a_closed_share_holds_nothing_any_more(room: AudioRoom, observed: list[float]) -> None:
    share = room.share()
    share.close()
    share.settle(5.0)
    with pytest.raises(Abandoned):
        share.reserve(1.0)
    assert not any(observed)


def test_many_threads_never_hold_more_than_the_limit_and_all_end(room: AudioRoom, observed: list[float]) -> None:
    def work(number: int) -> None:
        share = room.share()
        for seconds in (1.0 + number % 7, 0.1 * number % 10):
            share.reserve(seconds)
        share.close()

    with ThreadPoolExecutor(8) as threads:
        for each in [threads.submit(work, number) for number in range(200)]:
            each.result(60)
    assert max(observed) <= 10.0
    assert observed[-1] == 0.0
