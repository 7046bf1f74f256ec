"""One subscriber of live events: what it takes, and when it is cut off."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest

from streams.api.live import WAITING, Batch, Subscriber
from streams.history.live import LiveEvent, Position

AT = datetime(2026, 3, 1, tzinfo=UTC)


def event(seq: int, cohort: str = "north", topic: str = "risk.scored") -> LiveEvent:
    return LiveEvent(topic, 0, seq, "anna", cohort, AT, "low", f"score-{seq}")


def position(seq: int, rebuild: int = 0) -> Position:
    return Position({("risk.scored", 0): seq}, rebuild)


def show(each: LiveEvent) -> Mapping[str, object]:
    return {"id": each.record_id}


def subscriber(seq: int = 0) -> Subscriber:
    return Subscriber({"risk.scored"}, lambda each: each.cohort == "north", show, position(seq))


def ids(frames: Sequence[bytes]) -> list[tuple[str, str]]:
    """Id and data of each frame."""
    lines = [dict(line.split(": ", 1) for line in each.decode().strip().split("\n")) for each in frames]
    return [(each["id"], each.get("data", "")) for each in lines]


@pytest.mark.parametrize("begins", [0, 1], ids=["before the batch", "within the batch"])
def test_it_takes_each_event_once_and_only_what_it_may_see_and_wants(begins: int) -> None:
    mine = subscriber(begins)
    events = (event(1, "south"), event(2), event(3, "south"), event(4), event(1, topic="risk.alerts"))
    batch = Batch(events, Position({("risk.scored", 0): 0}), position(5))
    first, second, end = ids(mine.take(batch))
    assert (first, second) == (("0.s0-2", '{"id": "score-2"}'), ("0.s0-4", '{"id": "score-4"}'))
    assert end == ("0.s0-5", "")
    assert ids(mine.take(batch)) == [end]
    assert mine.position.numbers["risk.scored", 0] == 5


def test_an_event_becomes_text_once_for_all_who_are_shown_the_same() -> None:
    made = list[int]()

    def counted(each: LiveEvent) -> Mapping[str, object]:
        made.append(each.seq)
        return show(each)

    batch = Batch((event(1), event(2)), position(0), position(2))
    behind = Subscriber({"risk.scored"}, lambda _: True, counted, Position({("risk.scored", 0): 1}))
    beside = [Subscriber({"risk.scored"}, lambda _: True, counted, position(0)) for _ in range(3)]
    taken = [each.take(batch) for each in (*beside, behind)]
    assert made == [1, 2]
    assert taken[0] == taken[1] == taken[2] == [taken[0][0], *taken[3]]
    assert subscriber().take(batch) == taken[0]


def test_a_position_never_goes_back_but_to_another_rebuild() -> None:
    mine = subscriber(9)
    mine.take(Batch((), position(3), position(4)))
    assert mine.position == position(9)
    mine.take(Batch((), position(9), position(1, rebuild=1)))
    assert mine.position == position(1, rebuild=1)


def test_one_that_does_not_read_is_cut_off_once_and_costs_no_more_memory() -> None:
    mine = subscriber()
    for seq in range(WAITING + 5):
        mine.offer(Batch((event(seq),), position(seq - 1), position(seq)))
    assert mine.cut
    waiting = [mine.queue.get_nowait() for _ in range(mine.queue.qsize())]
    assert (len(waiting), waiting[-1]) == (WAITING + 1, None)
