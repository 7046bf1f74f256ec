"""Who needs a look, and since when: a pure function of a person's latest memos, open episode and the time.

It depends on what was recorded, never on the order or the moment in which it was stored: a history that is rebuilt has
the same rows. Memos of a clock that lies ahead count as recorded when they were scored.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import IntEnum, StrEnum
from functools import reduce
from hashlib import blake2b
from itertools import pairwise
from math import inf
from statistics import median
from typing import NamedTuple

import msgspec

from schemas.events import AlertKind, Band, Evidence, Modality, RiskScored, Severity
from streams.history.tables import unix_ms
from streams.silence.habit import SHORTEST_DAYS, TIMES_USUAL, usual_days, with_pause

DAY_MS = 86_400_000
RECENT = 24
"""Latest memos that are kept in a person's row: a spark line, and what habit and share are computed from."""
UNKNOWN_DAYS = 7.0
"""A person with too few pauses for a habit is silent after so many days, at least."""
HABIT_MEMOS = 4
"""Fewer memos than these have no usual distance."""
JUDGED_OF, JUDGED_LEAST, UNJUDGED_SHARE = 10, 5, 0.5
"""Unjudged is whose latest memos, so many and at least so many, cannot be judged to this share or more."""
UNDECIDED = "undecided"
"""Reason of an indeterminate score that was computed: its memo was judged, and is neither high nor low."""


class Attention(StrEnum):
    """Why a person is to be looked at, in the order of the caseload."""

    CRITICAL = "critical"
    """An episode is open and was escalated."""
    WARNING = "warning"
    """An episode is open."""
    SILENT = "silent"
    """No memo for longer than this person's own habit."""
    UNJUDGED = "unjudged"
    """Memos come, and at least half of the latest cannot be judged."""
    NONE = "none"
    """Nothing asks for a look."""


class Rank(IntEnum):
    """Place in the caseload, as it is stored: an episode that somebody acknowledged comes after the others."""

    CRITICAL = 0
    """Critical, not acknowledged."""
    CRITICAL_SEEN = 1
    """Critical and acknowledged."""
    WARNING = 2
    """Open, not acknowledged."""
    WARNING_SEEN = 3
    """Open and acknowledged."""
    SILENT = 4
    """Silent."""
    UNJUDGED = 5
    """Unjudged."""
    NONE = 6
    """Nothing asks for a look."""

    @property
    def attention(self) -> Attention:
        """What the page says of this rank."""
        return Attention[self.name.removesuffix("_SEEN")]


RANKS = {attention: tuple(rank for rank in Rank if rank.attention is attention) for attention in Attention}
"""The ranks of each reason to look."""


class RecentMemo(msgspec.Struct, frozen=True, array_like=True):
    """One memo in a person's row. key: digest of its id; reason: first one of an indeterminate score, else empty."""

    recorded_ms: int
    key: bytes
    probability: float | None
    band: str
    reason: str

    @property
    def unusable(self) -> bool:
        """Whether the memo could not be judged."""
        return self.band == Band.INDETERMINATE and self.reason != UNDECIDED


Recent = tuple[RecentMemo, ...]
"""The latest memos of a person, oldest first, at most RECENT of them."""


class Details(msgspec.Struct, frozen=True, array_like=True):
    """What a stored score says besides its number."""

    reasons: tuple[str, ...]
    modalities: tuple[str, ...]
    evidence: tuple[tuple[str, float, float, bool, float | None, float | None], ...]

    @property
    def typed_evidence(self) -> tuple[Evidence, ...]:
        """The evidence as the score had it."""
        return tuple(Evidence(*each) for each in self.evidence)

    @property
    def typed_modalities(self) -> tuple[Modality, ...]:
        """The modalities as the score had them; a modality of another version is `unknown`."""
        known = set(Modality)
        return tuple(Modality(each) if each in known else Modality.UNKNOWN for each in self.modalities)


_encoder = msgspec.msgpack.Encoder()
_recent, _details = msgspec.msgpack.Decoder(Recent), msgspec.msgpack.Decoder(Details)


def recent_to_bytes(recent: Recent) -> bytes:
    """As stored."""
    return _encoder.encode(recent)


def recent_from_bytes(data: bytes) -> Recent:
    """What is stored; nothing in empty bytes."""
    return _recent.decode(data) if data else ()


def details_of(score: RiskScored) -> bytes:
    """Reasons, modalities and evidence of a score, as stored."""
    evidence = tuple((e.name, e.value, e.deviation_sd, e.fragile, e.contribution, e.usual) for e in score.evidence)
    return _encoder.encode(Details(score.reasons, tuple(map(str, score.modalities)), evidence))


def details_from_bytes(data: bytes) -> Details:
    """What is stored."""
    return _details.decode(data)


def heard_ms(score: RiskScored) -> int:
    """When the memo was recorded; when it was uploaded or scored, if its own clock lies ahead of that."""
    return unix_ms(min(score.recorded_at, score.uploaded_at, score.scored_at))


def recent_memo(score: RiskScored) -> RecentMemo:
    """The score in a person's row."""
    key = blake2b(score.memo_id.encode(), digest_size=8).digest()
    reason = next(iter(score.reasons), "") if score.band is Band.INDETERMINATE else ""
    return RecentMemo(heard_ms(score), key, score.probability, str(score.band), reason)


def with_memos(recent: Recent, memos: Iterable[RecentMemo]) -> Recent:
    """With these as well; one that is there already is replaced."""
    known = {memo.key: memo for memo in (*recent, *memos)}
    return tuple(sorted(known.values(), key=lambda memo: (memo.recorded_ms, memo.key))[-RECENT:])


def usual_gap_ms(recent: Recent) -> float | None:
    """The person's usual time between two memos; None when too few are known.

    >>> usual_gap_ms(tuple(RecentMemo(day * DAY_MS, b"", 0.5, "low", "") for day in (1, 2, 3, 9))) == DAY_MS
    True
    """
    if len(recent) < HABIT_MEMOS:
        return None
    return float(median(after.recorded_ms - before.recorded_ms for before, after in pairwise(recent)))


def silent_from_ms(recent: Recent) -> int | None:
    """From when on no further memo means that this person is silent; None without a memo.

    After twice the pause that nine of ten of the person's own stay below. An alert of silence comes later: it keeps to
    the false-alarm budget (`streams/silence/habit.py`).
    """
    if not recent:
        return None
    gaps = [(after.recorded_ms - before.recorded_ms) / DAY_MS for before, after in pairwise(recent)]
    pauses = reduce(with_pause, gaps, b"")
    usual = usual_days(pauses)
    if usual == inf:
        days = max(UNKNOWN_DAYS, TIMES_USUAL * max(gaps, default=0.0))
    else:
        days = max(SHORTEST_DAYS, TIMES_USUAL * usual)
    return recent[-1].recorded_ms + int(days * DAY_MS)


def unjudged_since_ms(recent: Recent) -> int | None:
    """Since when the person's memos cannot be judged; None when enough of them can."""
    latest = recent[-JUDGED_OF:]
    unusable = [memo for memo in latest if memo.unusable]
    if len(latest) < JUDGED_LEAST or len(unusable) < UNJUDGED_SHARE * len(latest):
        return None
    return unusable[0].recorded_ms


def unusable_share(recent: Recent) -> float:
    """Share of the latest memos that could not be judged; 0 without memos."""
    return sum(memo.unusable for memo in recent) / len(recent) if recent else 0.0


def unusable_reason(recent: Recent) -> str | None:
    """The most frequent reason for which a memo could not be judged; None when all could be."""
    reasons = Counter(memo.reason for memo in recent if memo.unusable)
    return min(reasons, key=lambda reason: (-reasons[reason], reason)) if reasons else None


def memos_per_week(recent: Recent) -> float | None:
    """How often the person speaks; None when too few memos are known."""
    if len(recent) < HABIT_MEMOS or recent[-1].recorded_ms == recent[0].recorded_ms:
        return None
    return (len(recent) - 1) * 7 * DAY_MS / (recent[-1].recorded_ms - recent[0].recorded_ms)


class OpenEpisode(NamedTuple):
    """An episode that is open, as the order of the caseload sees it."""

    dedup_key: str
    rank: Rank
    opened_ms: int


def rank_of_episode(kind: str, severity: str, acknowledged: bool) -> Rank:
    """The rank of an open episode."""
    if kind == AlertKind.SILENCE:
        return Rank.SILENT
    if severity == Severity.CRITICAL:
        return Rank.CRITICAL_SEEN if acknowledged else Rank.CRITICAL
    return Rank.WARNING_SEEN if acknowledged else Rank.WARNING


def foremost(episodes: Sequence[OpenEpisode]) -> OpenEpisode | None:
    """The open episode that stands for all of a person: the gravest, then the newest; None without one."""
    return min(episodes, key=lambda each: (each.rank, -each.opened_ms, each.dedup_key), default=None)


class Standing(NamedTuple):
    """Place of a person in the caseload: why, and since when (Unix milliseconds)."""

    rank: Rank
    since_ms: int


def standing(
    recent: Recent,
    episode: OpenEpisode | None,
    silent_ms: int | None,
    first_ms: int | None,
    calm_ms: int | None,
    now_ms: int,
) -> Standing:
    """The place of a person now.

    silent_ms: `silent_from_ms` as of the last memo; first_ms: the first memo; calm_ms: the end of the last episode.
    """
    if episode is not None:
        return Standing(episode.rank, episode.opened_ms)
    if silent_ms is not None and silent_ms <= now_ms:
        return Standing(Rank.SILENT, silent_ms)
    unjudged_ms = unjudged_since_ms(recent)
    if unjudged_ms is not None:
        return Standing(Rank.UNJUDGED, unjudged_ms)
    return Standing(Rank.NONE, max(calm_ms or 0, first_ms or 0))
