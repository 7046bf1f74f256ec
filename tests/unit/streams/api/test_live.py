"""One subscriber of live events: what it takes, and when it is cut off."""

from datetime import UTC, datetime

from streams.api.live import WAITING, Batch, Subscriber
from streams.history.live import LiveEvent, Position

AT = datetime(2026, 3, 1, tzinfo=UTC)


def event(seq: int, cohort: str = "north", topic: str = "risk.scored") -> LiveEvent:
    return LiveEvent(topic, 0, seq, "anna", cohort, AT, "low", f"score-{seq}")


def position(seq: int, rebuild: int = 0) -> Position:
    return Position({("risk.scored", 0): seq}, rebuild)


def subscriber(seq: int = 0) -> Subscriber:
    return Subscriber({"risk.scored"}, lambda each: each.cohort == "north", position(seq))


def test_it_takes_each_event_once_and_only_what_it_may_see_and_wants() -> None:
    mine = subscriber(1)
    batch = Batch((event(1), event(2), event(3, "south"), event(4), event(1, topic="risk.alerts")), position(5))
    assert [(each.seq, at.encode()) for each, at in mine.take(batch)] == [(2, "0.s0-2"), (4, "0.s0-4")]
    assert mine.take(batch) == []
    assert mine.position.numbers["risk.scored", 0] == 5


def test_a_position_never_goes_back_but_to_another_rebuild() -> None:
    mine = subscriber(9)
    mine.take(Batch((), position(4)))
    assert mine.position == position(9)
    mine.take(Batch((), position(1, rebuild=1)))
    assert mine.position == position(1, rebuild=1)


def test_one_that_does_not_read_is_cut_off_once_and_costs_no_more_memory() -> None:
    mine = subscriber()
    for seq in range(WAITING + 5):
        mine.offer(Batch((event(seq),), position(seq)))
    assert mine.cut
    waiting = [mine.queue.get_nowait() for _ in range(mine.queue.qsize())]
    assert (len(waiting), waiting[-1]) == (WAITING + 1, None)
