import numpy as np
import pytest

from schemas.state_keys import BASELINE
from streams.fusion.baseline import OUTBOX, SEEN, BaselineState, delivered, has_seen, load, scored, stored_score

FEATURES = 117


def vector(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=FEATURES).astype(np.float32)


def state_after(memos: int) -> BaselineState:
    state = load(None, "b-1", FEATURES)
    for number in range(memos):
        state = scored(state, f"memo-{number}", f"score-{number}".encode(), vector(number))
    return state


def test_a_state_survives_encoding() -> None:
    state = state_after(20)
    again = BaselineState.from_bytes(state.to_bytes())
    assert (again.bundle_id, again.seen, again.outbox) == (state.bundle_id, state.seen, state.outbox)
    for name in ("count", "mean", "variance"):
        np.testing.assert_array_equal(getattr(again.normal, name), getattr(state.normal, name))
    assert again.to_bytes() == state.to_bytes()


def test_a_redelivered_memo_changes_nothing_and_gets_the_first_score() -> None:
    state = state_after(3)
    again = scored(state, "memo-1", b"another score", vector(99))
    assert again.to_bytes() == state.to_bytes()
    assert stored_score(again, "memo-1") == b"score-1"


def test_a_memo_under_an_open_alert_or_not_to_be_trusted_is_remembered_but_not_learnt_from() -> None:
    state = state_after(3)
    for after in (scored(state, "new", b"s", vector(7), frozen=True), scored(state, "new", b"s", None)):
        assert has_seen(after, "new")
        np.testing.assert_array_equal(after.normal.mean, state.normal.mean)
        assert after.normal.memos == 3


def test_delivered_scores_are_dropped_but_their_memos_stay_known() -> None:
    state = delivered(state_after(3), ["memo-0", "memo-2"])
    assert stored_score(state, "memo-0") is None
    assert stored_score(state, "memo-1") == b"score-1"
    assert all(has_seen(state, f"memo-{n}") for n in range(3))


def test_its_size_is_bounded() -> None:
    state = load(None, "b-1", FEATURES)
    rng = np.random.default_rng(0)
    for number in range(300):
        score = b"pause_share pause_mean pitch_range undecided b-1 " * 4 + rng.bytes(150)
        state = scored(state, f"memo-{number}", score, vector(number))
    assert len(state.seen) == SEEN
    assert len(state.outbox) == OUTBOX
    assert stored_score(state, "memo-299") is not None
    assert len(state.to_bytes()) < 6000
    assert len(delivered(state, [*state.outbox]).to_bytes()) < 2000


def test_another_bundle_restarts_the_baseline_without_an_error() -> None:
    data = state_after(5).to_bytes()
    assert load(data, "b-1", FEATURES).normal.memos == 5
    fresh = load(data, "b-2", FEATURES)
    assert fresh.normal.memos == 0
    assert not has_seen(fresh, "memo-1")


@pytest.mark.parametrize("data", [b"", b"\x07rest", b"\x01not compressed"])
def test_foreign_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="baseline"):
        BaselineState.from_bytes(data)


def test_all_keys_of_a_user_are_in_one_slot() -> None:
    assert "{anna}" in BASELINE.key("anna")
