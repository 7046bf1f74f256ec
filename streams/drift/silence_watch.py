"""Raises the silence of users whose pause has become longer than their own habit.

Silence has no record that causes it, so it needs a clock: every user who was heard has a due time, and is then looked
at. What decides is the user's state, never the due time: that may be early, late or lost. The clock is the time up to
which the pipeline has surely read what was uploaded, so a stage that is behind makes no one silent; and a survey of
users shows whether most have fallen silent together. Replay and `DriftMonitor` have no clock and know no silence.

Alerts are written to the user's state, delivered and marked delivered, as for scores. A crash in between leaves the
user due, and the next look, by any process, delivers what the state holds.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from math import floor, isfinite
from typing import NamedTuple

from schemas.events import AlertState, Band, RiskAlert
from schemas.pipeline import DRIFT as STAGE
from schemas.state_keys import DRIFT, OUTAGES
from streams.drift import stored_state
from streams.drift.detector import DAY_S, Observation
from streams.drift.episodes import LONGEST_S
from streams.drift.rules import Rules
from streams.drift.user_state import User, hear, pack, silence_alert, unpack, with_silence
from streams.silence.habit import limit_days
from streams.silence.platform import Outages, Survey, surveyed
from streams.silence.quiet import Quiet, due_s, opened
from workers.consumer.isolation import isolated
from workers.service import prometheus
from workers.state.deadlines import Deadlines
from workers.state.store import Store

log = logging.getLogger(__name__)

AT_ONCE = 500
"""Users that are looked at together."""
SAMPLED = 400
"""Users in the survey: enough to distinguish a half from most."""
CLAIM = timedelta(minutes=5)
"""While one process looks at users, others leave them alone for this long; after that, it is presumed dead."""
FARTHEST = timedelta(days=100)
"""A due time farther ahead is of a clock that was wrong, and is brought back."""
AGAIN = timedelta(days=1)
"""When a user is looked at again after the program has failed on their state."""

Resting = Callable[[Collection[str]], Awaitable[Collection[str]]]
"""Which of these users do not consent to being listened to. Raises Transient."""
Publish = Callable[[Sequence[tuple[str, RiskAlert]]], Awaitable[None]]
"""Delivers alerts, each with the Redis key of its user's state, and marks them delivered: `DriftAgent.publish`."""


class Heard(NamedTuple):
    """A memo that is known to have been uploaded, although it may never be scored. Times in Unix seconds."""

    user_id: str
    memo_id: str
    uploaded_s: float
    arrived_s: float


class Look(NamedTuple):
    """What looks depend on. seen_s: everything that was uploaded before is read, Unix seconds.

    resting: users whose silence is what they asked for: they paused or withdrew their consent.
    """

    rules: Rules
    bundle_id: str
    seen_s: float
    survey: Survey
    outages: Outages
    resting: Collection[str] = ()


class Looked(NamedTuple):
    """A user after a look. alerts: undelivered ones; again_s: when to look again, None for never."""

    alerts: Sequence[RiskAlert]
    again_s: float | None


async def _none(_: Collection[str]) -> Collection[str]:
    """Every user is listened to."""
    return ()


class SilenceWatch:
    """Looks at users who are due. bundle_id: of the model in use.

    behind_s: all memos uploaded at least so many seconds ago are read by the drift agent; None while that is unknown;
    resting: whose silence is not raised.
    """

    def __init__(
        self,
        rules: Rules,
        state_ttl_s: float,
        store: Store,
        silences: Deadlines,
        publish: Publish,
        bundle_id: str,
        behind_s: Callable[[], float | None],
        resting: Resting = _none,
    ) -> None:
        self._resting = resting
        self._rules, self._state_ttl_s, self._store, self._silences = rules, state_ttl_s, store, silences
        self._publish, self._bundle_id, self._behind_s = publish, bundle_id, behind_s
        self._held = False

    async def look(self) -> int:
        """Look at users who are due, at most AT_ONCE; returns how many. Raises Transient."""
        behind_s, now = self._behind_s(), await self._silences.now()
        prometheus.SILENCE_WATCHED.set(await self._silences.count())
        prometheus.SILENCE_HELD.labels(reason="behind").set(behind_s is None or behind_s > DAY_S)
        if behind_s is None or not self._rules.silences_per_year:
            return 0
        seen = now - timedelta(seconds=behind_s)
        survey, outages = await self._surveyed(seen.timestamp())
        await self._silences.bring_back(now + FARTHEST, AT_ONCE)
        users = await self._silences.due(seen, AT_ONCE)
        await self._silences.move(dict.fromkeys(users, now + CLAIM))
        look = Look(
            self._rules, self._bundle_id, seen.timestamp(), survey, outages, await self._resting(users) if users else ()
        )
        failed = await isolated(lambda part: self._look_at(part, look), users, STAGE.name) if users else []
        await self._silences.move({user: now + AGAIN for user, _ in failed})
        return len(users)

    async def hear(self, memos: Sequence[Heard]) -> None:
        """Take memos into account that may never be scored, such as dead letters: no silence. Raises Transient."""
        by_key = {DRIFT.key(memo.user_id): memo for memo in memos}

        def speak(key: str, state: bytes | None) -> tuple[bytes | None, bool]:
            if state is None:
                return None, False
            user, memo = unpack(state), by_key[key]
            changed, ended = hear(user, memo.user_id, _observation(memo, self._bundle_id), memo.arrived_s, self._rules)
            outbox = (*user.outbox, *ended)
            return (None if changed is user else pack(changed._replace(outbox=outbox))), bool(outbox)

        waiting = await self._store.update(list(by_key), speak, ttl_s=self._state_ttl_s)
        now = await self._silences.now()
        # Whatever waits, not what is new: a process may have died here, and the records came again.
        await self._silences.move({by_key[key].user_id: now for key, waits in waiting.items() if waits})

    async def _surveyed(self, seen_s: float) -> tuple[Survey, Outages]:
        """Who was heard of a sample of users; and when most were last found silent together, this time included."""
        asked = await self._silences.sample(SAMPLED)
        states = await self._store.update(
            [DRIFT.key(user) for user in asked], lambda _, state: (None, _silence_of(state)), ttl_s=self._state_ttl_s
        )
        survey = surveyed(states.values(), seen_s)

        def seen(_: str, data: bytes | None) -> tuple[bytes | None, Outages]:
            before = _outages(data)
            after = before.seen(survey, seen_s)
            return (None if after == before else OUTAGES.framed(after.to_bytes())), after

        outages = (await self._store.update([OUTAGES.key()], seen, ttl_s=self._state_ttl_s))[OUTAGES.key()]
        self._tell(survey)
        return survey, outages

    def _tell(self, survey: Survey) -> None:
        silent = [scale for scale in range(len(survey.heard)) if survey.fell_silent(scale)]
        prometheus.SILENCE_HELD.labels(reason="everybody").set(bool(silent))
        if silent and not self._held:
            heard, asked = survey.heard[silent[0]], survey.comparable[silent[0]]
            log.warning("silence alerts are held: only %d of %d users were heard as usual", heard, asked)
        elif self._held and not silent:
            log.info("silence alerts are raised again: most users are heard as usual")
        self._held = bool(silent)

    async def _look_at(self, users: Sequence[str], look: Look) -> None:
        by_key = {DRIFT.key(user): user for user in users}

        def at(key: str, state: bytes | None) -> tuple[bytes | None, Looked]:
            if state is None:
                return None, Looked((), None)
            before = unpack(state)
            user, again_s = looked_at(before, by_key[key], look)
            return (None if user is before else pack(user)), Looked(user.outbox, again_s)

        looked = await self._store.update(list(by_key), at, ttl_s=self._state_ttl_s)
        await self._publish([(key, alert) for key, one in looked.items() for alert in one.alerts])
        again = {by_key[key]: one.again_s for key, one in looked.items()}
        await self._silences.move(
            {user: datetime.fromtimestamp(at_s, UTC) for user, at_s in again.items() if at_s is not None}
        )
        await self._silences.drop([user for user, at_s in again.items() if at_s is None])


def looked_at(user: User, user_id: str, look: Look) -> tuple[User, float | None]:
    """The user after a look, the same object when nothing changed; and when to look again, None for never.

    A silence is over after LONGEST_S even without a memo, and one that could not be raised for as long is given up: who
    is gone for so long is not followed any more. Their next memo starts again.
    """
    silence, rules = user.alerting.silence, look.rules
    limit_s = DAY_S * limit_days(silence.pauses, rules.silences_per_year)
    if not isfinite(limit_s):
        return user, None
    ends_s = silence.arrived_s + limit_s + LONGEST_S
    # A memo may end an open silence meanwhile, and a limit later another one may begin.
    open_again_s = min(ends_s, look.seen_s + limit_s)
    if silence.key:
        if look.seen_s < ends_s:
            return user, open_again_s
        return _stepped(user, user_id, silence, silence._replace(key=""), AlertState.RESOLVED, ends_s, look), None
    if look.seen_s >= ends_s:
        return user, None
    if user_id in look.resting:
        return user, look.seen_s + DAY_S
    scale = look.survey.scale_of(limit_s / DAY_S)
    if scale is None:
        return user, look.seen_s + limit_s
    raised_s = max(due_s(silence, rules.silences_per_year), look.outages.last_s[scale] + limit_s)
    if raised_s > look.seen_s:
        return user, raised_s
    started = opened(silence, user_id)
    return _stepped(user, user_id, started, started, AlertState.RAISED, raised_s, look), open_again_s


def _stepped(
    user: User, user_id: str, episode: Quiet, after: Quiet, state: AlertState, at_s: float, look: Look
) -> User:
    """The user with another state of their silence and the alert about it in the outbox."""
    at_s = floor(at_s * 1000) / 1000  # as the record holds it, which may be read back before it is delivered
    cause = _observation(Heard(user_id, episode.memo_id, episode.heard_s, at_s), look.bundle_id)
    alert = silence_alert(user, user_id, state, episode, cause, at_s, look.rules)
    return with_silence(user, after)._replace(outbox=(*user.outbox, alert))


def _observation(memo: Heard, bundle_id: str) -> Observation:
    """A memo without a score, at the time when it arrived."""
    at = datetime.fromtimestamp(memo.arrived_s, UTC)
    return Observation(
        memo.memo_id, at, memo.arrived_s, memo.uploaded_s, None, Band.INDETERMINATE, bundle_id, memo.arrived_s
    )


def _silence_of(state: bytes | None) -> Quiet:
    return Quiet() if state is None else stored_state.from_bytes(state).alerting.silence


def _outages(data: bytes | None) -> Outages:
    if data is None:
        return Outages()
    with OUTAGES.decoding():
        return Outages.from_bytes(OUTAGES.opened(data)[1])
