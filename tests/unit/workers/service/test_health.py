import pytest

from streams.agents.lag_exporter import EVERY_S, Stalls
from workers.service.health import Health


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(clock)


def test_a_part_at_rest_may_rest_for_ever(health: Health, clock: Clock) -> None:
    part = health.part("acoustic")
    part.begin("a batch")
    part.rest()
    clock.now = 1e6
    assert health.faults() == []


def test_progress_within_a_long_batch_keeps_it_alive_and_its_end_does_not(health: Health, clock: Clock) -> None:
    part = health.part("embedding")
    part.begin("a batch")
    for _ in range(100):
        clock.now += 15
        part.progress()
        assert health.faults() == []
    clock.now += 19
    assert health.faults() == []
    clock.now += 2
    assert health.faults() == ["embedding: no progress for 21 s (a batch)"]


def test_a_part_that_waits_for_a_broker_that_is_away_is_alive_and_one_that_does_not_need_it_is_not(
    health: Health, clock: Clock
) -> None:
    health.part("fetching").begin("its next look", needs=("broker",))
    health.part("embedding").begin("a batch")
    health.lacks("broker", "does not answer")
    clock.now = 30
    assert [fault.split(":")[0] for fault in health.faults()] == ["embedding"]
    health.has("broker")
    assert len(health.faults()) == 2


def test_a_delivery_within_a_batch_has_its_own_time_and_the_batch_goes_on_after_it(
    health: Health, clock: Clock
) -> None:
    part = health.part("fusion")
    part.begin("a batch")
    with part.instead("a delivery", within_s=60, needs=("broker",)):
        clock.now = 50
        assert health.faults() == []
    clock.now = 69
    assert health.faults() == []
    clock.now = 71
    assert health.faults() == ["fusion: no progress for 21 s (a batch)"]


def test_a_delivery_outside_any_batch_begins_none(health: Health, clock: Clock) -> None:
    part = health.part("fusion")
    with part.instead("a delivery", within_s=60, needs=()):
        assert not part.at_work
    assert not part.at_work
    part.begin("a batch")
    with part.instead("a delivery", within_s=60, needs=()):
        part.rest()
    assert not part.at_work


def test_one_of_many_that_hangs_is_seen_though_the_others_go_on(health: Health, clock: Clock) -> None:
    with health.during("loading", "a memo", within_s=100):
        for _ in range(20):
            clock.now += 10
            with health.during("loading", "a memo", within_s=100):
                pass
        assert health.faults() == ["loading: no progress for 200 s (a memo)"]
    assert health.faults() == []


def test_what_is_missing_is_named_until_it_is_there(health: Health) -> None:
    health.lacks("model", "is being loaded")
    health.lacks("broker", "was not asked yet")
    health.has("model")
    health.has("redis")
    assert health.lacking() == {"broker": "was not asked yet"}


def test_an_agent_that_takes_no_records_though_some_wait_is_stuck(health: Health, clock: Clock) -> None:
    here, elsewhere = ("memos.features", 0), ("memos.features", 1)
    stalls = Stalls(["fusion"], lambda: {here}, health)
    seconds = range(0, 60, int(EVERY_S))
    for _ in seconds:  # what waits elsewhere is no fault of this process
        clock.now += EVERY_S
        stalls.look({"fusion": {here: (5, 0), elsewhere: (5, 9)}})
    assert health.faults() == []
    red_after = 0.0
    began = clock.now
    health.part("fusion").rest()
    while not health.faults():
        clock.now += EVERY_S
        stalls.look({"fusion": {here: (5, 1)}})
        red_after = clock.now - began
    assert red_after < 30
    health.part("fusion").begin("a batch")
    stalls.look({"fusion": {here: (5, 1)}})
    assert health.faults() == []
