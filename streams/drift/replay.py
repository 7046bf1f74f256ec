"""Back-tests: run the agent's own code on scores from lines of JSON, without a broker or a store. Pure."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from heapq import heappop, heappush
from math import inf
from typing import Annotated, NamedTuple, TypeAlias

import msgspec

from schemas.errors import Poison
from schemas.events import Band, Evidence, RiskAlert, RiskScored
from streams.drift.detector import DAY_S, Observation, Outcome, Verdict, logit, observe
from streams.drift.rules import Rules
from streams.drift.user_state import User, advance

BUNDLE = "replay"
"""Default bundle of a line."""


class Line(NamedTuple):
    """One score, as it arrived."""

    recorded_s: float
    memo_id: str
    user_id: str
    observation: Observation


Pending: TypeAlias = tuple[float, str, float, Line]
_Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]
_Moment: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
_Probability: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1)]


class ArrivalReplay:
    """Detects drift of any number of users, from scores in the order in which the agent got them.

    now_s: the agent's clock, Unix seconds; default: this process's.
    """

    def __init__(self, rules: Rules, now_s: float | None = None) -> None:
        self._rules = rules
        self._now_s = time.time() if now_s is None else now_s
        self.left_out: Counter[Outcome] = Counter()
        """Scores that were skipped, by outcome; duplicates are not counted."""
        self._users: dict[str, User] = {}

    def add(self, line: Line) -> list[RiskAlert]:
        """Add one score; returns the alerts that it causes."""
        user = self._users.get(line.user_id, _NEW)
        observation = arriving(line.observation, self._now_s)
        self._users[line.user_id], verdict, alerts = advance(user, line.user_id, observation, self._rules)
        if verdict.outcome in _LEFT_OUT:
            self.left_out[verdict.outcome] += 1
        return alerts

    def finish(self) -> Iterable[RiskAlert]:
        """None: every score was judged when it was added."""
        return ()


class Replay(ArrivalReplay):
    """The same for scores whose order of arrival is unknown: they count as having arrived by recording time.

    A score is buffered until its user's reorder window has passed it, so that input out of order within the window
    gives byte for byte the alerts of sorted input. What the window has passed is late, as for the agent.
    """

    def __init__(self, rules: Rules, now_s: float | None = None) -> None:
        super().__init__(rules, now_s)
        self._pending: dict[str, list[Pending]] = {}
        self._latest: dict[str, float] = {}

    def add(self, line: Line) -> list[RiskAlert]:
        """Add one score; returns the alerts of scores that leave the reorder window."""
        recorded_s, memo_id, user_id, observation = line
        if recorded_s > arriving(observation, self._now_s).latest_s:
            self.left_out[Outcome.FUTURE] += 1
            return []
        latest_s = self._latest[user_id] = max(recorded_s, self._latest.get(user_id, recorded_s))
        if recorded_s < (latest_s - self._rules.reorder_s) // DAY_S * DAY_S:
            self.left_out[Outcome.LATE] += 1
            return []
        pending = self._pending.setdefault(user_id, [])
        # Two scores of one memo: the order of their values decides which is the duplicate, not that of the lines.
        tie = -inf if observation.logit is None else observation.logit
        heappush(pending, (recorded_s, memo_id, tie, line))
        return self._follow(pending, latest_s - self._rules.reorder_s)

    def finish(self) -> Iterator[RiskAlert]:
        """The alerts of every buffered score."""
        for pending in self._pending.values():
            yield from self._follow(pending, inf)

    def _follow(self, pending: list[Pending], until_s: float) -> list[RiskAlert]:
        found: list[RiskAlert] = []
        while pending and pending[0][0] <= until_s:
            found += super().add(heappop(pending)[3])
        return found


def arriving(observation: Observation, now_s: float) -> Observation:
    """The observation as of `now_s`: it arrived then, unless it says that it did before."""
    return observation._replace(arrived_s=min(observation.arrived_s, now_s))


_NEW = User()
_LEFT_OUT = frozenset({Outcome.LATE, Outcome.CROWDED, Outcome.FUTURE, Outcome.RETIRED})


def replay(lines: Iterable[Line], rules: Rules, now_s: float | None = None) -> list[RiskAlert]:
    """Every alert of these scores, in the order in which they arrived; alerts by time and user."""
    return followed(lines, ArrivalReplay(rules, now_s))


def followed(lines: Iterable[Line], detector: ArrivalReplay) -> list[RiskAlert]:
    """As `replay`, with the given detector, whose `left_out` then counts the skipped scores."""
    alerts = [alert for line in lines for alert in detector.add(line)]
    alerts += detector.finish()
    return sorted(alerts, key=lambda alert: (alert.at, alert.user_id, alert.kind, alert.alert_id))


class Moment(NamedTuple):
    """One memo of a history: its observation, the chart after it, and the alerts it caused."""

    observation: Observation
    verdict: Verdict
    alerts: tuple[RiskAlert, ...]


def history(lines: Iterable[Line], rules: Rules, now_s: float | None = None) -> list[Moment]:
    """Every memo of one user that changed the state, by recording time; skipped memos are absent.

    The order of the lines is that of arrival; now_s: as for `Replay`.
    """
    now_s = time.time() if now_s is None else now_s
    user, moments = User(), []
    for line in lines:
        user, verdict, alerts = advance(user, line.user_id, arriving(line.observation, now_s), rules)
        if verdict.outcome in (Outcome.CHARTED, Outcome.RESTARTED, Outcome.INDETERMINATE):
            moments.append(Moment(line.observation, verdict, tuple(alerts)))
    return sorted(moments, key=lambda moment: (moment.observation.recorded_s, moment.observation.memo_id))


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
    arrived_at: _Moment | None = None
    evidence: tuple[Evidence, ...] = ()


def parse(text: str | bytes) -> Line:
    """The score in one line of JSON: user_id, memo_id, recorded_at (RFC 3339), probability (null: indeterminate).

    `band`, `bundle_id`, `uploaded_at`, `arrived_at` (Kafka's timestamp of the score) are optional: without a band no
    level alerts are raised, without the other two a clock that was ahead is only noticed when it is ahead of now.
    `evidence`, as `undertone scores --json` prints it, is what alerts explain themselves with.
    Raises Poison when the line is not a score.
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
    uploaded_at, arrived_at = score.uploaded_at, score.arrived_at
    observation = Observation(
        score.memo_id,
        recorded_at,
        recorded_s,
        recorded_s if uploaded_at is None else _utc(uploaded_at, "uploaded_at").timestamp(),
        None if probability is None or band is Band.INDETERMINATE else logit(probability),
        band,
        score.bundle_id,
        inf if arrived_at is None else _utc(arrived_at, "arrived_at").timestamp(),
        probability,
        score.evidence,
    )
    return Line(recorded_s, score.memo_id, score.user_id, observation)


def _refused(what: str) -> Poison:
    """The error for a line that is JSON but not a score. what: the decoder's reason, which may contain its values."""
    for field in _NEEDS:
        if what == f"Object missing required field `{field}`":
            return Poison("score:incomplete", f"missing {field}; {_EXPECTED}")
    field = what.rpartition(" - at `$.")[2].rstrip("`").partition("[")[0]
    return _wrong(field) if field in _NEEDS else Poison("score:unreadable", f"not a JSON object; {_EXPECTED}")


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
    "arrived_at": _MOMENT,
    "probability": ("score:probability", "a number from 0 to 1, or null"),
    "band": ("score:band", f"one of {', '.join(Band)}"),
    "evidence": ("score:evidence", "a list of markers with name, value and deviation_sd"),
}
"""Reason code and requirement, by field."""
