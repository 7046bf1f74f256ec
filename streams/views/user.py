"""One user as an operator sees them: what is stored, what was delivered, and what is still awaited. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import exp, isfinite

from schemas.codec import Codec
from schemas.errors import UnreadableState
from schemas.events import AlertKind, DeadLetter, MemoUploaded, Modality, RiskScored
from schemas.state_keys import BASELINE, DRIFT, EXCLUSIONS, JOIN, MUTES
from streams.drift.cusum import limit
from streams.drift.detector import DAY_S
from streams.drift.detector_state import windows
from streams.drift.mutes import Mute, load
from streams.drift.rules import Rules
from streams.drift.user_state import User, unpack
from streams.fusion import join as joins
from streams.fusion.baseline import BaselineState
from streams.recovery.rescore import is_provisional
from streams.views.outcomes import memo_of
from streams.views.scores import latest_of_memos
from streams.views.speaking import LeftOut, Speaking, left_out_of, speaking_of


@dataclass(frozen=True, slots=True)
class Known:
    """What was read of a user. Scores, uploads and dead letters are in the order of their topics.

    state: bytes by key, of the user and of all mutes, None for a key without a value; joins: those that are open.
    """

    scores: Sequence[RiskScored] = ()
    uploads: Sequence[MemoUploaded] = ()
    letters: Sequence[DeadLetter] = ()
    state: Mapping[str, bytes | None] = field(default_factory=dict)
    joins: Mapping[str, bytes | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Baseline:
    """The user's own normal of features. memos: at most 90 count; bundle_id: of the model that they were scored by."""

    memos: int
    bundle_id: str


@dataclass(frozen=True, slots=True)
class OpenEpisode:
    """An episode that is raised and not resolved. opened_at: when the memo that raised it was recorded, or the last."""

    kind: AlertKind
    opened_at: datetime
    changed_since: datetime | None
    escalated: bool
    dedup_key: str


@dataclass(frozen=True, slots=True)
class Drift:
    """The detector's state. days: of its baseline; statistic, threshold: SDs of whitened days.

    threshold: None while the baseline is too young to alert; mean, sd: of the baseline, logits; last_7_days,
    last_30_days: mean probability, None without a judged memo.
    """

    days: int
    mean: float
    sd: float
    statistic: float
    threshold: float | None
    last_7_days: float | None
    last_30_days: float | None
    latest_memo_at: datetime | None
    episodes: tuple[OpenEpisode, ...]


@dataclass(frozen=True, slots=True)
class Awaited:
    """A memo without its full score. missing: modalities that have not come; provisional: it was scored without."""

    memo_id: str
    recorded_at: datetime
    uploaded_at: datetime
    missing: tuple[Modality, ...]
    provisional: bool = False


@dataclass(frozen=True, slots=True)
class FailedMemo:
    """A dead letter of the user. scored: whether the memo has a score all the same, as after a redrive."""

    dead_letter_id: str
    at: datetime
    stage: str
    reason: str
    detail: str
    memo_id: str | None
    scored: bool


@dataclass(frozen=True, slots=True)
class UserView:
    """What `undertone user` shows.

    scores: the last of each memo, newest first; notes: what cannot be read; left_out: times whose memos are left out.
    """

    user_id: str
    last_memo_at: datetime | None
    scores: tuple[RiskScored, ...]
    baseline: Baseline | None
    drift: Drift | None
    mutes: tuple[Mute, ...]
    awaited: tuple[Awaited, ...]
    dead_letters: tuple[FailedMemo, ...]
    notes: tuple[str, ...] = ()
    speaking: Speaking | None = None
    left_out: tuple[LeftOut, ...] = ()

    @property
    def known(self) -> bool:
        """Whether there is any trace of this user; a mute alone is none."""
        return any((self.last_memo_at, self.scores, self.baseline, self.drift, self.awaited, self.dead_letters))


def view_of(
    user_id: str, known: Known, modalities: Collection[Modality], rules: Rules, codec: Codec, now: datetime
) -> UserView:
    """The user, from what was read. modalities: those that a memo needs; rules: of the agents; now: aware."""
    notes: list[str] = []
    scores = latest_of_memos(known.scores)
    letters = list(_failed(known.letters, scores, codec))
    awaited = list(_awaited(known, scores, letters, modalities, notes))
    recorded = [
        *(s.recorded_at for s in scores),
        *(u.recorded_at for u in known.uploads),
        *(a.recorded_at for a in awaited),
    ]
    return UserView(
        user_id=user_id,
        last_memo_at=max(recorded, default=None),
        scores=tuple(scores),
        baseline=_baseline(known.state.get(BASELINE.key(user_id)), notes),
        drift=drift_of(known.state.get(DRIFT.key(user_id)), rules, notes),
        mutes=tuple(m for m in _mutes(known.state.get(MUTES.key()), notes) if m.applies_to(user_id, now)),
        awaited=tuple(sorted(awaited, key=lambda memo: (memo.uploaded_at, memo.memo_id))),
        dead_letters=tuple(sorted(letters, key=lambda letter: letter.at, reverse=True)),
        left_out=left_out_of(known.state.get(EXCLUSIONS.key(user_id)), notes),
        speaking=speaking_of(known.state.get(DRIFT.key(user_id)), rules.silences_per_year),
        notes=tuple(notes),
    )


def state_sentence(drift: Drift | None) -> str:
    """The detector's state in a line, with its baseline as probabilities."""
    if drift is None:
        return "nothing stored"
    low, mean, high = (_probability(logit) for logit in (drift.mean - drift.sd, drift.mean, drift.mean + drift.sd))
    threshold = "none yet" if drift.threshold is None else f"{drift.threshold:.2f}"
    kinds = " and ".join(episode.kind for episode in drift.episodes)
    return (
        f"stored now: {drift.days} days of baseline, mean {_or_none(mean)} "
        f"(± 1 SD: {_or_none(low)} to {_or_none(high)}), "
        f"last 7 days {_or_none(drift.last_7_days)}, last 30 days {_or_none(drift.last_30_days)}, "
        f"statistic {drift.statistic:.2f}, threshold {threshold}, "
        + (f"an open episode ({kinds})" if kinds else "no open episode")
    )


def _probability(logit: float) -> float | None:
    """The probability of a mean logit; None without one."""
    return 1 / (1 + exp(-logit)) if isfinite(logit) else None


def _or_none(probability: float | None) -> str:
    return "none" if probability is None else f"{probability:.2f}"


def _baseline(state: bytes | None, notes: list[str]) -> Baseline | None:
    if state is None:
        return None
    try:
        stored = BaselineState.from_bytes(state)
    except UnreadableState as error:
        notes.append(_unreadable("the baseline", error, "the next memo starts a new one"))
        return None
    return Baseline(stored.normal.memos, stored.bundle_id)


def drift_of(state: bytes | None, rules: Rules, notes: list[str]) -> Drift | None:
    """The detector's state, from its bytes; None without one. What cannot be read becomes one of `notes`."""
    if state is None:
        return None
    try:
        user = unpack(state)
    except UnreadableState as error:
        notes.append(_unreadable("the drift state", error, "the next score starts a new one"))
        return None
    chart = user.drift.chart
    threshold, lately = limit(chart, rules.chart._replace(phi=chart.prior)), windows(user.drift)
    return Drift(
        days=int(chart.n),
        mean=chart.mean,
        sd=chart.sd,
        statistic=chart.up,
        threshold=threshold if isfinite(threshold) else None,
        last_7_days=_probability(lately.mean_7),
        last_30_days=_probability(lately.mean_30),
        latest_memo_at=datetime.fromtimestamp(user.drift.latest_s, UTC) if user.drift.latest_s else None,
        episodes=tuple(_episodes(user)),
    )


def _mutes(state: bytes | None, notes: list[str]) -> list[Mute]:
    try:
        return load(state)
    except UnreadableState as error:
        notes.append(_unreadable("the mutes", error, "no alert is suppressed"))
        return []


def _unreadable(what: str, error: UnreadableState, then: str) -> str:
    """A note. then: what follows where the value is damaged; that of a newer version is left as it is."""
    return f"{what} cannot be read ({error}); " + ("use the version that wrote it" if error.newer else then)


def _episodes(user: User) -> Iterator[OpenEpisode]:
    chart, alerting = user.drift.chart, user.alerting
    for kind, episode in ((AlertKind.DRIFT, alerting.drift), (AlertKind.LEVEL, alerting.level)):
        if episode.key:
            since_s = chart.since * DAY_S if kind is AlertKind.DRIFT and chart.recovery else None
            since_s = alerting.high_since_s if kind is AlertKind.LEVEL else since_s
            yield OpenEpisode(
                kind,
                datetime.fromtimestamp(episode.opened_s, UTC),
                None if since_s is None else datetime.fromtimestamp(since_s, UTC),
                episode.escalated,
                episode.key,
            )
    if (silence := user.alerting.silence).key:
        heard_at = datetime.fromtimestamp(silence.heard_s, UTC)
        yield OpenEpisode(AlertKind.SILENCE, heard_at, heard_at, escalated=False, dedup_key=silence.key)


def _failed(letters: Iterable[DeadLetter], scores: Iterable[RiskScored], codec: Codec) -> Iterator[FailedMemo]:
    """The dead letters, each once: it may be on the topic twice."""
    scored = {score.memo_id for score in scores}
    for letter in {letter.dead_letter_id: letter for letter in letters}.values():
        memo = memo_of(letter, codec)
        memo_id = None if memo is None else memo[1]
        yield FailedMemo(
            letter.dead_letter_id, letter.at, letter.stage, letter.reason, letter.detail, memo_id, memo_id in scored
        )


def _awaited(
    known: Known,
    scores: Iterable[RiskScored],
    letters: Iterable[FailedMemo],
    modalities: Collection[Modality],
    notes: list[str],
) -> Iterator[Awaited]:
    """Memos that were uploaded, or are in an open join, and have neither a full score nor a dead letter."""
    provisional = {score.memo_id: score for score in scores if is_provisional(score)}
    done = {score.memo_id for score in scores} - provisional.keys()
    done |= {letter.memo_id for letter in letters if letter.memo_id is not None}
    open_joins = {join.memo_id: join for join in _opened(known.joins, notes)}
    uploads = {upload.memo_id: upload for upload in known.uploads}
    memos: dict[str, RiskScored | MemoUploaded | joins.Join] = {**provisional, **uploads, **open_joins}
    for memo_id, memo in memos.items():
        if memo_id in done:
            continue
        if memo_id in open_joins:
            missing = open_joins[memo_id].missing(modalities)
        elif memo_id in provisional:
            missing = tuple(m for m in modalities if m not in provisional[memo_id].modalities)
        else:
            missing = tuple(modalities)
        yield Awaited(memo_id, memo.recorded_at, memo.uploaded_at, missing, memo_id in provisional)


def _opened(stored: Mapping[str, bytes | None], notes: list[str]) -> Iterator[joins.Join]:
    for key, state in stored.items():
        try:
            join = joins.stored(key, state)
        except UnreadableState as error:
            notes.append(_unreadable(f"a {JOIN.name}", error, "its next part starts a new one"))
            continue
        if join is not None and not join.scored and not join.dead:
            yield join
