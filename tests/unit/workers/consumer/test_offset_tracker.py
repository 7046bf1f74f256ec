import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.consumer.offset_tracker import OffsetTracker


def test_nothing_is_committable_before_the_first_record_is_finished() -> None:
    tracker = OffsetTracker()
    tracker.started([3, 4])
    tracker.finished(4)
    assert tracker.committable() is None


def test_a_gap_between_offsets_is_no_gap_in_the_work() -> None:
    tracker = OffsetTracker()
    tracker.started([3, 9])
    tracker.finished(3)
    assert tracker.committable() == 4
    tracker.finished(9)
    assert tracker.committable() == 10


def test_what_was_committed_is_not_committed_again() -> None:
    tracker = OffsetTracker()
    tracker.started([0])
    tracker.finished(0)
    tracker.committed(1)
    assert tracker.committable() is None


@pytest.mark.parametrize("offset", [5, 6])
def test_finishing_what_is_not_under_way_is_refused(offset: int) -> None:
    tracker = OffsetTracker()
    tracker.started([5])
    tracker.finished(5)
    with pytest.raises(ValueError, match="not in flight"):
        tracker.finished(offset)


def test_a_rewound_partition_is_refused() -> None:
    tracker = OffsetTracker()
    tracker.started([5, 6])
    with pytest.raises(ValueError, match="rewound"):
        tracker.started([6])


@given(st.sets(st.integers(0, 200), min_size=1), st.randoms(use_true_random=False), st.floats(0, 1))
def test_the_position_never_passes_an_unfinished_record(offsets: set[int], random: object, share: float) -> None:
    """Whatever is finished in whatever order, the position is the first unfinished record, or past the last."""
    ordered = sorted(offsets)
    tracker = OffsetTracker()
    tracker.started(ordered)
    finished = [offset for offset in ordered if random.random() < share]  # type: ignore[attr-defined]
    random.shuffle(finished)  # type: ignore[attr-defined]
    for offset in finished:
        tracker.finished(offset)
    unfinished = [offset for offset in ordered if offset not in finished]
    before = [offset for offset in ordered if not unfinished or offset < unfinished[0]]
    assert tracker.committable() == (before[-1] + 1 if before else None)
    assert len(tracker) == len(ordered) - len(before)
