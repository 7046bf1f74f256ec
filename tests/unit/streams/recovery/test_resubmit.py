"""Which agent reconciles after the store has lost its data, and when that is done."""

from dataclasses import replace

import pytest

from schemas.errors import UnreadableState
from streams.recovery.resubmit import LEASE_S, Mark, _memo_hash, acquire_lease, mark_done
from tests.unit.schemas.records import SCORED, UPLOADED


def test_the_first_agent_without_a_mark_acquires_the_lease_and_others_wait() -> None:
    mark = acquire_lease(None, "one", 100.0)
    assert mark == Mark(100.0, "one", 100.0 + LEASE_S)
    assert acquire_lease(mark.to_bytes(), "another", 101.0) is None


def test_a_lease_is_renewed_and_taken_over_from_a_dead_agent_with_the_time_of_the_loss() -> None:
    mark = acquire_lease(None, "one", 100.0)
    assert mark is not None
    assert acquire_lease(mark.to_bytes(), "one", 130.0) == Mark(100.0, "one", 130.0 + LEASE_S)
    assert acquire_lease(mark.to_bytes(), "another", 100.0 + LEASE_S) == Mark(100.0, "another", 100.0 + 2 * LEASE_S)


def test_a_lease_and_a_loss_by_a_clock_that_was_ahead_hold_nobody_up() -> None:
    ahead = Mark(1e9, "one", 1e9 + LEASE_S)
    assert acquire_lease(ahead.to_bytes(), "another", 100.0) == Mark(100.0, "another", 100.0 + LEASE_S)


def test_done_holds_for_all_agents() -> None:
    mark = acquire_lease(None, "one", 100.0)
    assert mark is not None
    finished = mark_done(mark.to_bytes(), mark)
    assert finished is not None
    assert (
        acquire_lease(finished.to_bytes(), "one", 200.0) is acquire_lease(finished.to_bytes(), "another", 900.0) is None
    )


def test_a_second_loss_restarts_and_the_first_cannot_be_marked_done() -> None:
    first = acquire_lease(None, "one", 100.0)
    second = acquire_lease(None, "one", 150.0)
    assert first is not None
    assert second is not None
    assert mark_done(None, first) is None
    assert mark_done(second.to_bytes(), first) is None
    assert mark_done(second.to_bytes(), Mark(150.0, "another", 0.0)) is None


@pytest.mark.parametrize(
    "state", [b"", b"\x63", b"\x63\x94\x01\x02\x03\x04", b"\x02\xc0", b"\x02\x94\xc3\xa1a\x00\xc2\x00"]
)
def test_a_damaged_mark_is_told(state: bytes) -> None:
    with pytest.raises(UnreadableState):
        Mark.of(state)


@pytest.mark.parametrize("state", [b"\x91\x63", b"\x03", b"\x04\x94\x01\x02\x03\x04"])
def test_a_mark_of_a_newer_version_is_ignored(state: bytes) -> None:
    assert Mark.of(state) is None
    assert acquire_lease(state, "one", 100.0) == Mark(100.0, "one", 100.0 + LEASE_S)


def test_a_memo_has_an_outcome_only_by_its_own_user() -> None:
    other = replace(SCORED, user_id="somebody else")
    assert _memo_hash(UPLOADED) == _memo_hash(replace(SCORED, user_id=UPLOADED.user_id, memo_id=UPLOADED.memo_id))
    assert _memo_hash(SCORED) != _memo_hash(other)
