from dataclasses import replace
from datetime import timedelta

from schemas.events import AlertKind, Band, Modality, Severity
from streams.history import attention
from streams.history.attention import DAY_MS, Attention, OpenEpisode, Rank, Recent
from tests.history import NOW, NOW_MS, score


def memos(*days_ago: float, probability: float | None = 0.3) -> Recent:
    return attention.with_memos((), [attention.recent_memo(score("anna", day, probability)) for day in days_ago])


def standing(recent: Recent, episode: OpenEpisode | None = None, days_later: float = 0.0) -> tuple[Rank, float]:
    """The rank, and for how many days it holds."""
    now_ms = NOW_MS + int(days_later * DAY_MS)
    first_ms = recent[0].recorded_ms if recent else None
    found = attention.standing(recent, episode, attention.silent_from_ms(recent), first_ms, None, now_ms)
    return found.rank, round((now_ms - found.since_ms) / DAY_MS, 3)


DAILY = tuple(float(day) for day in range(10, -1, -1))


def test_each_rank_says_one_reason_in_the_order_of_the_caseload() -> None:
    assert [rank.attention for rank in sorted(Rank)] == sorted(
        (rank.attention for rank in Rank), key=list(Attention).index
    )
    assert attention.RANKS[Attention.WARNING] == (Rank.WARNING, Rank.WARNING_SEEN)


def test_silence_is_measured_by_the_persons_own_habit() -> None:
    assert standing(memos(*DAILY), days_later=2.9) == (Rank.NONE, 12.9)
    assert standing(memos(*DAILY), days_later=3.5) == (Rank.SILENT, 0.5)
    weekly = memos(28.0, 21.0, 14.0, 7.0, 0.0)
    assert standing(weekly, days_later=13.0)[0] is Rank.NONE
    assert standing(weekly, days_later=15.0) == (Rank.SILENT, 1.0)
    in_bursts = memos(*(7.0 * week + hour / 24 for week in range(8) for hour in range(3)))
    assert standing(in_bursts, days_later=13.0)[0] is Rank.NONE
    assert standing(memos(1.0), days_later=5.9)[0] is Rank.NONE
    assert standing(memos(1.0), days_later=7.0) == (Rank.SILENT, 1.0)


def test_a_person_without_a_memo_is_not_silent() -> None:
    assert attention.standing((), None, None, None, None, NOW_MS) == (Rank.NONE, 0)


def test_unjudged_is_whose_memos_mostly_cannot_be_judged() -> None:
    good, bad = memos(*DAILY[::2]), memos(*DAILY[1::2], probability=None)
    assert standing(attention.with_memos(good, bad)) == (Rank.UNJUDGED, 9.0)
    assert standing(attention.with_memos(memos(*DAILY[:8]), memos(*DAILY[8:], probability=None)))[0] is Rank.NONE
    assert standing(memos(0.3, 0.2, 0.1, 0.0, probability=None))[0] is Rank.NONE


def test_an_undecided_memo_was_judged() -> None:
    undecided = [replace(score("anna", day, 0.5), band=Band.INDETERMINATE, reasons=("undecided",)) for day in DAILY]
    recent = attention.with_memos((), map(attention.recent_memo, undecided))
    assert standing(recent)[0] is Rank.NONE
    assert attention.unusable_share(recent) == 0


def test_share_and_reason_are_of_the_latest_memos() -> None:
    recent = attention.with_memos(memos(*DAILY), memos(0.5, 0.6, probability=None))
    assert attention.unusable_share(recent) == 2 / 13
    assert attention.unusable_reason(recent) == "quality:noisy"
    assert attention.unusable_reason(memos(*DAILY)) is None


def test_the_gravest_open_episode_stands_for_a_person_then_the_newest() -> None:
    old, new = OpenEpisode("old", Rank.WARNING, NOW_MS - 9 * DAY_MS), OpenEpisode("new", Rank.WARNING, NOW_MS - DAY_MS)
    seen = OpenEpisode("seen", Rank.CRITICAL_SEEN, NOW_MS - 20 * DAY_MS)
    assert attention.foremost([old, new]) is new
    assert attention.foremost([old, new, seen]) is seen
    assert attention.foremost([]) is None
    assert standing(memos(1.0), old, days_later=30.0) == (Rank.WARNING, 39.0)


def test_an_episode_of_silence_makes_a_person_silent() -> None:
    assert attention.rank_of_episode(AlertKind.SILENCE, Severity.WARNING, acknowledged=False) is Rank.SILENT
    assert attention.rank_of_episode(AlertKind.LEVEL, Severity.CRITICAL, acknowledged=True) is Rank.CRITICAL_SEEN


def test_memos_are_kept_in_their_order_whatever_order_they_came_in() -> None:
    days = [float(day) for day in range(40)]
    at_once = memos(*days)
    one_by_one: Recent = ()
    for day in (*days[::3], *days[1::3], *days[2::3]):
        one_by_one = attention.with_memos(one_by_one, memos(day))
    assert at_once == one_by_one
    assert len(at_once) == attention.RECENT
    assert attention.recent_from_bytes(attention.recent_to_bytes(at_once)) == at_once


def test_a_memo_of_a_clock_that_lies_ahead_was_recorded_when_it_was_uploaded() -> None:
    ahead = replace(score("anna", 1.0), recorded_at=NOW + timedelta(days=4000))
    assert attention.recent_memo(ahead).recorded_ms == attention.recent_memo(score("anna", 1.0)).recorded_ms + 5000


def test_details_come_back_as_the_score_had_them() -> None:
    one = score("anna", 1.0)
    found = attention.details_from_bytes(attention.details_of(one))
    assert (found.typed_evidence, found.typed_modalities, found.reasons) == (one.evidence, one.modalities, one.reasons)
    newer = attention.Details((), ("breath",), ())
    assert newer.typed_modalities == (Modality.UNKNOWN,)


def test_how_often_a_person_speaks_needs_some_memos() -> None:
    assert attention.memos_per_week(memos(*DAILY)) == 7.0
    assert attention.memos_per_week(memos(1.0)) is None
