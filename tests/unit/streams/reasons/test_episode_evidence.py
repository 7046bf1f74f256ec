"""Which markers explain an episode, and in what order."""

from datetime import UTC, datetime

import pytest

from schemas.events import Band, Evidence, ScorePoint
from streams.reasons.episode_evidence import STRONGEST, episode_evidence, score_points
from streams.reasons.recent_memos import Memo


def memo(at_s: float, *evidence: Evidence) -> Memo:
    return Memo(at_s, 0.5, Band.HIGH, evidence)


def marker(name: str, deviation_sd: float, *, fragile: bool = False, value: float = 1.0) -> Evidence:
    return Evidence(name, value, deviation_sd, fragile, contribution=deviation_sd / 10, usual=0.5)


def test_means_are_over_the_memos_of_the_episode() -> None:
    memos = [
        memo(1.0, marker("jitter", 9.0)),
        memo(2.0, marker("pause_share", 2.0, value=0.4)),
        memo(3.0, marker("pause_share", 3.0, value=0.5)),
    ]
    (found,) = episode_evidence(memos, since_s=2.0)
    assert (found.name, found.fragile) == ("pause_share", False)
    assert (found.value, found.usual, found.deviation_sd, found.contribution) == pytest.approx((0.45, 0.5, 2.5, 0.25))


def test_the_strongest_come_first_and_fragile_ones_last() -> None:
    memos = [memo(1.0, marker("hnr", -4.0, fragile=True), marker("jitter", 1.0), marker("pause_share", -2.0))] * 2
    assert [each.name for each in episode_evidence(memos, 0.0)] == ["pause_share", "jitter", "hnr"]


def test_a_marker_of_few_memos_is_no_evidence() -> None:
    steady = marker("pause_share", 1.5)
    memos = [memo(1.0, steady, marker("jitter", 9.0)), memo(2.0, steady), memo(3.0, steady), memo(4.0)]
    assert [each.name for each in episode_evidence(memos, 0.0)] == ["pause_share"]


def test_a_marker_is_fragile_when_most_recordings_may_have_moved_it() -> None:
    doubt, sure = marker("hnr", 2.0, fragile=True), marker("hnr", 2.0)
    assert not episode_evidence([memo(1.0, doubt), memo(2.0, sure)], 0.0)[0].fragile
    assert episode_evidence([memo(1.0, doubt), memo(2.0, doubt), memo(3.0, sure)], 0.0)[0].fragile


def test_what_no_memo_says_stays_unknown() -> None:
    (found,) = episode_evidence([memo(1.0, Evidence("jitter", 0.02, 2.0))], 0.0)
    assert (found.usual, found.contribution) == (None, None)
    assert episode_evidence([memo(1.0)], 0.0) == ()
    assert episode_evidence([], 0.0) == ()


def test_there_are_few() -> None:
    many = memo(1.0, *(marker(f"marker_{number}", 1.0 + number) for number in range(9)))
    assert len(episode_evidence([many], 0.0)) == STRONGEST


def test_scores_are_a_series() -> None:
    points = score_points([memo(1.5), Memo(2.0, None, Band.INDETERMINATE)])
    assert points[0] == ScorePoint(datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC), 0.5, Band.HIGH)
    assert points[1].probability is None
