"""Back-tests: scores from lines of JSON, followed by the agent's own code, without a broker or a store. Pure."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from heapq import heappop, heappush
from math import inf
from typing import NamedTuple, TypeAlias

from schemas.errors import Poison
from schemas.events import Band, RiskAlert, RiskScored
from streams.drift import Observation, Outcome, Verdict, logit, observe, update
from streams.follow import User, advance
from streams.rules import Rules

BUNDLE = "replay"
"""Bundle of lines that name none."""


class Line(NamedTuple):
    """One score. Ordered by when it was recorded."""

    recorded_s: float
    memo_id: str
    user_id: str
    observation: Observation


Held: TypeAlias = tuple[float, str, float, Observation]


class Replay:
    """Follows any number of users through scores in nearly any order.

    A score is held back until its user's reorder window has passed it, so that input that is out of order within the
    window gives what sorted input gives, to the byte.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._users: dict[str, User] = {}
        self._held: dict[str, list[Held]] = {}
        self._latest: dict[str, float] = {}

    def add(self, line: Line) -> list[RiskAlert]:
        """Take one score; the alerts of those whose turn has come."""
        recorded_s, memo_id, user_id, observation = line
        held = self._held.setdefault(user_id, [])
        # Two scores of one memo: the order of their values decides which is the duplicate, not that of the lines.
        tie = -inf if observation.logit is None else observation.logit
        heappush(held, (recorded_s, memo_id, tie, observation))
        latest_s = self._latest[user_id] = max(recorded_s, self._latest.get(user_id, recorded_s))
        return self._follow(user_id, held, latest_s - self._rules.reorder_s)

    def finish(self) -> Iterator[RiskAlert]:
        """The alerts of every score still held back."""
        for user_id, held in self._held.items():
            yield from self._follow(user_id, held, inf)

    def _follow(self, user_id: str, held: list[Held], until_s: float) -> list[RiskAlert]:
        found: list[RiskAlert] = []
        if held[0][0] > until_s:
            return found
        user = self._users.get(user_id, _NEW)
        while held and held[0][0] <= until_s:
            user, _, alerts = advance(user, user_id, heappop(held)[3], self._rules)
            found += alerts
        self._users[user_id] = user
        return found


_NEW = User()


def replay(lines: Iterable[Line], rules: Rules) -> list[RiskAlert]:
    """Every alert of these scores, by time and user, however the lines are ordered within the reorder window."""
    course = Replay(rules)
    alerts = [alert for line in lines for alert in course.add(line)]
    alerts += course.finish()
    return sorted(alerts, key=lambda alert: (alert.at, alert.user_id, alert.kind, alert.alert_id))


class Moment(NamedTuple):
    """One memo of a history: what it said, where the chart stood after it, and the alerts it caused."""

    observation: Observation
    verdict: Verdict
    alerts: tuple[RiskAlert, ...]


def history(lines: Iterable[Line], rules: Rules) -> list[Moment]:
    """Every memo of one user that was followed, in order; those left out are not told."""
    user, told = User(), []
    for line in sorted(lines, key=lambda line: (line.recorded_s, line.memo_id)):
        _, verdict = update(user.drift, line.observation, rules.chart, rules.reorder_s)
        user, _, alerts = advance(user, line.user_id, line.observation, rules)
        if verdict.outcome in (Outcome.CHARTED, Outcome.RESTARTED, Outcome.INDETERMINATE):
            told.append(Moment(line.observation, verdict, tuple(alerts)))
    return told


def line_of(score: RiskScored) -> Line:
    """A scored memo as a line of a replay."""
    return Line(score.recorded_at.timestamp(), score.memo_id, score.user_id, observe(score))


def parse(text: str | bytes) -> Line:
    """The score in one line of JSON: user_id, memo_id, recorded_at (RFC 3339), probability (null: indeterminate).

    `band` and `bundle_id` may be given too; without a band no level alerts are raised. Raises Poison when it is none.
    """
    try:
        value = json.loads(text)
        recorded_at, probability = _moment(value["recorded_at"]), value["probability"]
        user_id, memo_id = value["user_id"], value["memo_id"]
        band = Band(value["band"]) if "band" in value else Band.LOW
    except KeyError as error:
        raise Poison("score:incomplete", f"no {error.args[0]}; {_EXPECTED}") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise Poison("score:unreadable", f"{type(error).__name__}, so no score; {_EXPECTED}") from None
    if probability is not None and not (type(probability) in (int, float) and 0 <= probability <= 1):
        raise Poison("score:probability", f"probability must lie between 0 and 1 or be null; {_EXPECTED}")
    if not (isinstance(user_id, str) and isinstance(memo_id, str)):
        raise Poison("score:id", f"user_id and memo_id must be text; {_EXPECTED}")
    known = probability is not None and band is not Band.INDETERMINATE
    recorded_s = recorded_at.timestamp()
    observation = Observation(
        memo_id,
        recorded_at,
        recorded_s,
        recorded_s,
        logit(probability) if known else None,
        band,
        str(value.get("bundle_id", BUNDLE)),
    )
    return Line(recorded_s, memo_id, user_id, observation)


_EXPECTED = 'expected {"user_id": …, "memo_id": …, "recorded_at": "2026-05-01T08:30:00Z", "probability": 0.31}'


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text.upper())  # RFC 3339 allows "t" and "z"
    if moment.tzinfo is None:
        raise ValueError("recorded_at has no zone")
    return moment.astimezone(UTC)
