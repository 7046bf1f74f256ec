"""Who looks after memos when the store has lost its data, and when that is done."""

from streams.recovery.resubmit import LEASE_S, Mark, charge, done


def test_whoever_finds_no_mark_is_in_charge_and_others_wait() -> None:
    mark = charge(None, "one", 100.0)
    assert mark == Mark(100.0, "one", 100.0 + LEASE_S)
    assert charge(mark.to_bytes(), "another", 101.0) is None


def test_a_charge_is_renewed_and_taken_over_from_the_dead_with_the_moment_of_the_loss() -> None:
    mark = charge(None, "one", 100.0)
    assert mark is not None
    assert charge(mark.to_bytes(), "one", 130.0) == Mark(100.0, "one", 130.0 + LEASE_S)
    assert charge(mark.to_bytes(), "another", 100.0 + LEASE_S) == Mark(100.0, "another", 100.0 + 2 * LEASE_S)


def test_what_is_done_is_done_for_all() -> None:
    mark = charge(None, "one", 100.0)
    assert mark is not None
    finished = done(mark.to_bytes(), mark)
    assert finished is not None
    assert charge(finished.to_bytes(), "one", 200.0) is charge(finished.to_bytes(), "another", 900.0) is None


def test_a_second_loss_begins_anew_and_the_first_cannot_be_called_done() -> None:
    first = charge(None, "one", 100.0)
    second = charge(None, "one", 150.0)
    assert first is not None
    assert second is not None
    assert done(None, first) is None
    assert done(second.to_bytes(), first) is None
    assert done(second.to_bytes(), Mark(150.0, "another", 0.0)) is None


def test_a_mark_of_another_version_says_nothing() -> None:
    assert Mark.of(b"\x91\x63") is None
    assert charge(b"\x91\x63", "one", 100.0) == Mark(100.0, "one", 100.0 + LEASE_S)
