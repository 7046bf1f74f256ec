"""Back-tests: run the agent's own code on scores from lines of JSON, without a broker or a store. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from heapq import heappop, heappush
from math import inf
from typing import Annotated, NamedTuple, TypeAlias

import msgspec

from schemas.errors import Poison
from schemas.events import Band, RiskAlert, RiskScored
from streams.drift.detector import Observation, Outcome, Verdict, logit, observe
from streams.drift.rules import Rules
from streams.drift.user_state import User, advance

BUNDLE = "replay"
"""Default bundle of a line."""


class Line(NamedTuple):
    """One score, ordered by recording time."""

    recorded_s: float
    memo_id: str
    user_id: str
    observation: Observation


_Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]
_Moment: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
_Probability: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1)]
Pending: TypeAlias = tuple[float, str, float, Observation]


class Replay:
    """Detects drift of any number of users, from scores out of order within the reorder window.

    A score is buffered until its user's reorder window has passed it, so that such input gives byte for byte the
    alerts of sorted input.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.left_out: Counter[Outcome] = Counter()
        """Scores that were skipped, by outcome; duplicates are not counted."""
        self._users: dict[str, User] = {}
        self._pending: dict[str, list[Pending]] = {}
        self._latest: dict[str, float] = {}

    def add(self, line: Line) -> list[RiskAlert]:
        """Add one score; returns the alerts of scores that leave the reorder window."""
        recorded_s, memo_id, user_id, observation = line
        pending = self._pending.setdefault(user_id, [])
        # Two scores of one memo: the order of their values decides which is the duplicate, not that of the lines.
        tie = -inf if observation.logit is None else observation.logit
        heappush(pending, (recorded_s, memo_id, tie, observation))
        latest_s = self._latest[user_id] = max(recorded_s, self._latest.get(user_id, recorded_s))
        return self._follow(user_id, pending, latest_s - self._rules.reorder_s)

    def finish(self) -> Iterator[RiskAlert]:
        """The alerts of every buffered score."""
        for user_id, pending in self._pending.items():
            yield from self._follow(user_id, pending, inf)

    def _follow(self, user_id: str, pending: list[Pending], until_s: float) -> list[RiskAlert]:
        found: list[RiskAlert] = []
        if pending[0][0] > until_s:
            return found
        user = self._users.get(user_id, _NEW)
        while pending and pending[0][0] <= until_s:
            user, verdict, alerts = advance(user, user_id, heappop(pending)[3], self._rules)
            found += alerts
            if verdict.outcome in _LEFT_OUT:
                self.left_out[verdict.outcome] += 1
        self._users[user_id] = user
        return found


_NEW = User()
_LEFT_OUT = frozenset({Outcome.LATE, Outcome.CROWDED, Outcome.FUTURE, Outcome.RETIRED})


def replay(lines: Iterable[Line], rules: Rules) -> list[RiskAlert]:
    """Every alert of these scores, by time and user, independent of the lines' order within the reorder window."""
    return followed(lines, Replay(rules))


def followed(lines: Iterable[Line], detector: Replay) -> list[RiskAlert]:
    """As `replay`, with the given detector, whose `left_out` then counts the skipped scores."""
    alerts = [alert for line in lines for alert in detector.add(line)]
    alerts += detector.finish()
    return sorted(alerts, key=lambda alert: (alert.at, alert.user_id, alert.kind, alert.alert_id))


class Moment(NamedTuple):
    """One memo of a history: its observation, the chart after it, and the alerts it caused."""

    observation: Observation
    verdict: Verdict
    alerts: tuple[RiskAlert, ...]


def history(lines: Iterable[Line], rules: Rules) -> list[Moment]:
    """Every memo of one user that changed the state, in order; skipped memos are absent."""
    user, moments = User(), []
    for line in sorted(lines, key=lambda line: (line.recorded_s, line.memo_id)):
        user, verdict, alerts = advance(user, line.user_id, line.observation, rules)
        if verdict.outcome in (Outcome.CHARTED, Outcome.RESTARTED, Outcome.INDETERMINATE):
            moments.append(Moment(line.observation, verdict, tuple(alerts)))
    return moments


def line_of(score: RiskScored) -> Line:
    """A scored memo as a line of a replay."""
    return Line(score.recorded_at.timestamp(), score.memo_id, score.user_id, observe(score))


class _Score(msgspec.Struct, gc=False):
    """One line of JSON."""

    user_id: _Name
    memo_id: _Name
    recorded_at: _Moment
    probability: _Probability | None
    band: Band = Band.LOW
    bundle_id: _Name = BUNDLE
    uploaded_at: _Moment | None = None


def parse(text: str | bytes) -> Line:
    """The score in one line of JSON: user_id, memo_id, recorded_at (RFC 3339), probability (null: indeterminate).

    `band`, `bundle_id` and `uploaded_at` are optional: without a band no level alerts are raised, without the upload
    time a clock that was ahead cannot be detected. Raises Poison when the line is not a score.
    """
    try:
        score = _DECODE(text)
    except msgspec.ValidationError as error:
        raise _refused(str(error)) from None
    except (ValueError, RecursionError):
        raise Poison("score:unreadable", f"not JSON; {_EXPECTED}") from None
    probability, band = score.probability, score.band
    recorded_at = _utc(score.recorded_at, "recorded_at")
    recorded_s = recorded_at.timestamp()
    uploaded_at = score.uploaded_at
    observation = Observation(
        score.memo_id,
        recorded_at,
        recorded_s,
        recorded_s if uploaded_at is None else _utc(uploaded_at, "uploaded_at").timestamp(),
        None if probability is None or band is Band.INDETERMINATE else logit(probability),
        band,
        score.bundle_id,
    )
    return Line(recorded_s, score.memo_id, score.user_id, observation)


def _refused(what: str) -> Poison:
    """The error for a line that is JSON but not a score. what: the decoder's reason, which may contain its values."""
    for field in _NEEDS:
        if what == f"Object missing required field `{field}`":
            return Poison("score:incomplete", f"missing {field}; {_EXPECTED}")
        if what.endswith(f" - at `$.{field}`"):
            return _wrong(field)
    return Poison("score:unreadable", f"not a JSON object; {_EXPECTED}")


def _wrong(field: str) -> Poison:
    reason, needed = _NEEDS[field]
    return Poison(reason, f"{field} must be {needed}; {_EXPECTED}")


def _utc(moment: datetime, field: str) -> datetime:
    try:
        if (utc := moment.astimezone(UTC)) > _EARLIEST:
            return utc
    except OverflowError:
        pass
    raise _wrong(field)


_DECODE = msgspec.json.Decoder(_Score).decode
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_EXPECTED = (
    'expected a line like {"user_id": "u", "memo_id": "m", "recorded_at": "2026-05-01T08:30:00Z", "probability": 0.31}'
)
_TEXT = ("score:id", "a non-empty string")
_MOMENT = ("score:moment", "an RFC 3339 timestamp with a time zone, since 1970")
_NEEDS = {
    "user_id": _TEXT,
    "memo_id": _TEXT,
    "bundle_id": _TEXT,
    "recorded_at": _MOMENT,
    "uploaded_at": _MOMENT,
    "probability": ("score:probability", "a number from 0 to 1, or null"),
    "band": ("score:band", f"one of {', '.join(Band)}"),
}
"""Reason code and requirement, by field."""
