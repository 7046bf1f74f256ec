from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgpack
import numpy as np
import pytest

from schemas.codec import Codec
from schemas.errors import UnreadableState
from schemas.events import Band, Extractor, MemoFeatures, Modality, Quality
from schemas.ids import score_id
from schemas.state_keys import JOIN
from streams.fusion import join as fusion
from streams.fusion.join import Join

NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)
BOTH = (Modality.ACOUSTIC, Modality.EMBEDDING)


def part(modality: Modality, memo_id: str = "memo") -> tuple[MemoFeatures, bytes]:
    one = np.ones((1, 2), np.float32)
    features = MemoFeatures(
        memo_id, "user", NOW, NOW, modality, Extractor("x", "1", "0"), 3.0, 15.0, one, one[0], (),
        Quality(2.0, 30.0, 0.0, 8000.0),
    )  # fmt: skip
    return features, Codec().encode(features)


def test_parts_meet_in_any_order() -> None:
    one_way = fusion.add_parts(fusion.add_parts(None, [part(BOTH[0])]), [part(BOTH[1])])
    other_way = fusion.add_parts(fusion.add_parts(None, [part(BOTH[1])]), [part(BOTH[0])])
    assert one_way == other_way
    assert one_way.missing(BOTH) == ()


def test_a_part_that_comes_again_changes_nothing() -> None:
    once = fusion.add_parts(None, [part(Modality.ACOUSTIC)])
    assert fusion.add_parts(once, [part(Modality.ACOUSTIC)]) == once


def test_a_join_survives_its_bytes() -> None:
    join = fusion.add_parts(None, [part(m) for m in BOTH])
    assert Join.from_bytes(join.to_bytes()) == join


def test_a_join_of_the_first_version_has_no_trace() -> None:
    join = fusion.add_parts(None, [part(Modality.ACOUSTIC)], trace=b"a trace")
    old = msgpack.packb([1, *msgpack.unpackb(join.to_bytes()[1:])[:7]])
    assert Join.from_bytes(old) == replace(join, trace=b"")


@pytest.mark.parametrize(("state", "version"), [(msgpack.packb([99]), "99"), (b"\x63", "63"), (b"", "none")])
def test_a_join_of_another_version_is_refused(state: bytes, version: str) -> None:
    with pytest.raises(ValueError, match=f"version {version}"):
        Join.from_bytes(state)


def test_a_join_is_read_under_its_own_key_only() -> None:
    join = fusion.add_parts(None, [part(Modality.ACOUSTIC)])
    assert fusion.stored(JOIN.key("user", "memo"), join.to_bytes()) == join
    assert fusion.stored(JOIN.key("user", "memo"), None) is None
    for key in (JOIN.key("other", "memo"), JOIN.key("user", "other")):
        with pytest.raises(UnreadableState, match="of another memo"):
            fusion.stored(key, join.to_bytes())


@pytest.mark.parametrize("delivered", [False, True])
def test_a_part_that_comes_after_a_join_was_given_up_opens_it_again(delivered: bool) -> None:
    opened = fusion.add_parts(None, [part(Modality.ACOUSTIC)])
    closed = fusion.close(opened, BOTH, NOW)
    assert closed is not None
    assert fusion.add_parts(closed, [part(Modality.EMBEDDING)]).missing(BOTH) == (Modality.EMBEDDING,)
    stored = Join.from_bytes(replace(closed, settled=delivered).to_bytes())
    again = fusion.add_late_parts(stored, [part(Modality.ACOUSTIC)], BOTH)
    assert again == stored
    late = fusion.add_late_parts(stored, [part(Modality.EMBEDDING)], BOTH)
    assert (late.decided, late.missing(BOTH), late.revision) == (False, (), 1)
    assert Join.from_bytes(late.to_bytes()) == late


def test_late_parts_of_two_modalities_are_kept_until_the_join_is_complete() -> None:
    three = (*BOTH, Modality.UNKNOWN)
    closed = fusion.close(fusion.add_parts(None, [part(Modality.ACOUSTIC)]), three, NOW)
    assert closed is not None
    half = Join.from_bytes(fusion.add_late_parts(closed, [part(Modality.EMBEDDING)], three).to_bytes())
    assert (half.decided, half.missing(three)) == (True, (Modality.UNKNOWN,))
    assert not fusion.add_late_parts(half, [part(Modality.UNKNOWN)], three).decided


def test_what_was_not_given_up_takes_no_late_parts() -> None:
    opened = fusion.add_parts(None, [part(Modality.ACOUSTIC)])
    dead = replace(opened, dead=True)
    of_0_1 = replace(opened, closed_at=NOW, settled=True, parts={})
    scored = replace(opened, settled=True, revision=1)
    for join in (opened, dead, of_0_1, scored):
        assert fusion.add_late_parts(join, [part(Modality.EMBEDDING)], BOTH) is join


def test_a_join_that_0_1_gave_up_opens_again_when_it_is_redriven() -> None:
    given_up = replace(fusion.add_parts(None, [part(Modality.ACOUSTIC)]), closed_at=NOW, settled=True, parts={})
    again = fusion.add_parts(Join.from_bytes(given_up.to_bytes()), [part(m) for m in BOTH], attempt=1)
    assert (again.decided, again.missing(BOTH), again.revision) == (False, (), 1)


def test_only_a_join_that_was_given_up_is_stored_in_the_new_version() -> None:
    opened = fusion.add_parts(None, [part(Modality.ACOUSTIC)])
    closed = fusion.close(opened, BOTH, NOW)
    assert closed is not None
    assert (opened.to_bytes()[0], closed.to_bytes()[0]) == (3, 4)


def test_every_score_of_a_memo_has_an_id_of_its_own() -> None:
    opened = fusion.add_parts(None, [part(Modality.ACOUSTIC)])
    first = fusion.close(opened, BOTH, NOW)
    assert first is not None
    redriven = fusion.add_parts(
        Join.from_bytes(replace(first, settled=True).to_bytes()), [part(Modality.ACOUSTIC)], attempt=1
    )
    second = fusion.close(redriven, BOTH, NOW)
    assert second is not None
    ids = [fusion.incomplete(join, BOTH, "demo-1").score_id for join in (first, second)]
    assert ids == [score_id("user", "memo", "demo-1"), score_id("user", "memo", "demo-1", 1)]
    assert len({*ids, score_id("user", "memo", "demo-1", 2), score_id("user", "memo", "demo-2")}) == 4


def test_closing_twice_keeps_the_first_time() -> None:
    closed = fusion.close(fusion.add_parts(None, [part(Modality.ACOUSTIC)]), BOTH, NOW)
    assert closed is not None
    assert fusion.close(closed, BOTH, NOW + timedelta(hours=1)) == closed


def test_what_needs_no_closing_is_left_alone() -> None:
    opened = fusion.add_parts(None, [part(Modality.ACOUSTIC)])
    complete, settled = fusion.add_parts(None, [part(m) for m in BOTH]), replace(opened, settled=True)
    assert [fusion.close(join, BOTH, NOW) for join in (None, complete, settled)] == [None, None, None]


def test_a_settled_join_keeps_no_parts() -> None:
    settled = replace(fusion.add_parts(None, [part(m) for m in BOTH]), settled=True)
    assert len(settled.to_bytes()) < 120


def test_an_incomplete_memo_names_what_is_missing() -> None:
    closed = fusion.close(fusion.add_parts(None, [part(Modality.ACOUSTIC)]), BOTH, NOW)
    assert closed is not None
    score = fusion.incomplete(closed, BOTH, "demo-1")
    assert (score.band, score.probability, score.reasons) == (Band.INDETERMINATE, None, ("missing:embedding",))
    assert (score.modalities, score.scored_at) == ((Modality.ACOUSTIC,), NOW)


def test_an_open_join_has_no_incomplete_score() -> None:
    with pytest.raises(ValueError, match="still open"):
        fusion.incomplete(fusion.add_parts(None, [part(Modality.ACOUSTIC)]), BOTH, "demo-1")


def test_a_memo_that_redis_has_forgotten_is_revised_as_its_sender_says() -> None:
    forgotten = fusion.add_parts(None, [part(m) for m in BOTH], attempt=1, revision=1)
    assert (forgotten.revision, Join.from_bytes(forgotten.to_bytes()).revision) == (1, 1)
    scored = replace(fusion.add_parts(None, [part(m) for m in BOTH]), settled=True)
    assert (
        fusion.add_parts(Join.from_bytes(scored.to_bytes()), [part(m) for m in BOTH], attempt=1, revision=1).revision
        == 0
    )
