"""Scores in, alerts out, at least once and under stable ids.

For a batch: change every user's state by compare-and-set, publish the undelivered alerts in the states, mark them
delivered. The state stores an alert until then, so a crash in between loses nothing, and a redelivered score changes
nothing. Muted alerts are counted and marked delivered, but not published, unless they resolve an episode.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

from schemas import pipeline, topics
from schemas.codec import DecodeError
from schemas.errors import Poison, UnreadableState
from schemas.events import AlertState, RiskAlert, RiskScored
from schemas.state_keys import DRIFT, EXCLUSIONS, MUTES, POOL, PRIOR
from streams.context import exclusions
from streams.context.exclusions import Exclusions
from streams.drift import mutes
from streams.drift.detector import DAY_S, Outcome
from streams.drift.pooled_autocorrelation import PRIOR_DAYS, Pool, prior_from_bytes, prior_to_bytes
from streams.drift.rules import Rules
from streams.drift.user_state import Followed, delivered, follow_in_detail, unpack
from streams.silence.habit import SHORTEST_DAYS
from workers.kafka.producer import Delivery, Outgoing
from workers.kafka.record import Batch, Source
from workers.service import prometheus
from workers.state.deadlines import Deadlines
from workers.state.store import Store

STAGE = pipeline.DRIFT.name
NOWHERE = Source(topics.SCORED.name, -1, -1, None, None)
"""The cause of an alert whose score is not in the batch; its trace is then derived from its memo."""

Alerts = Sequence[tuple[str, RiskAlert]]
"""Alerts, each with the Redis key of its user's state."""


async def with_prior(rules: Rules, store: Store) -> Rules:
    """The rules, with the autocorrelation assumed for new users. Raises Transient.

    When no prior is stored, the pooled estimate becomes the prior, once for all agents.
    """

    def stored(_: str, data: bytes | None) -> tuple[None, float | None]:
        return None, prior_from_bytes(data)

    def summed(_: str, data: bytes | None) -> tuple[None, Pool]:
        return None, Pool.from_bytes(data)

    ttl_s = PRIOR_DAYS * DAY_S
    prior = (await store.update([PRIOR.key()], stored, ttl_s=ttl_s))[PRIOR.key()]
    if prior is None:
        pool = (await store.update([POOL.key()], summed, ttl_s=ttl_s))[POOL.key()]
        pooled = pool.autocorrelation(rules.chart.phi)

        def first(_: str, data: bytes | None) -> tuple[bytes | None, float]:
            other = prior_from_bytes(data)
            return (prior_to_bytes(pooled), pooled) if other is None else (None, other)

        prior = (await store.update([PRIOR.key()], first, ttl_s=ttl_s))[PRIOR.key()]
    return rules._replace(chart=rules.chart._replace(phi=prior))


class DriftAgent:
    """Tracks every user's scores and delivers alerts.

    state_ttl_s: TTL of a user's state in seconds, from its last write; clock: the time now, aware, for mutes, latency,
    and memos whose own times lie ahead of it; silences: due times of users, see `SilenceWatch`.
    """

    def __init__(
        self,
        rules: Rules,
        state_ttl_s: float,
        store: Store,
        delivery: Delivery,
        clock: Callable[[], datetime],
        silences: Deadlines | None = None,
    ) -> None:
        self._rules, self._state_ttl_s, self._store, self._delivery = rules, state_ttl_s, store, delivery
        self._clock, self._silences = clock, silences

    async def process(self, batch: Batch) -> None:
        """Process these scores and return when all alerts are delivered. Raises Transient."""
        scores, timestamps_ms, causes, failures = self._decoded(batch.sources)
        prometheus.RECORDS_FAILED.labels(stage=STAGE).inc(len(failures))
        lost = self._store.lost
        rules = await with_prior(self._rules, self._store)
        following = self._following(scores, timestamps_ms, rules, await self._excluded(scores))
        followed = await self._store.update(list(scores), following, ttl_s=self._state_ttl_s)
        prometheus.BASELINE_RESETS.labels(reason="lost").inc(self._store.lost - lost)
        await self._add_to_pool(followed)
        await self._watch_silence(scores)
        alerts = [(key, alert) for key, one in followed.items() for alert in one.alerts]
        await self.publish(alerts, causes, self._delivery.dead_letters(failures))
        self._count(followed)
        self._observe_latency(score for several in scores.values() for score in several)

    async def publish(
        self,
        alerts: Alerts,
        causes: Mapping[tuple[str, str], Source] = MappingProxyType({}),
        others: Sequence[Outgoing] = (),
    ) -> None:
        """Deliver these alerts, unless they are muted, and mark them delivered. Raises Transient.

        causes: records by user and memo; others: sent together with them.
        """
        unmuted = await self._not_muted(alerts)
        # An alert left undelivered by a crash may belong to a memo outside this batch.
        outgoing = [_outgoing(alert, causes.get((alert.user_id, alert.memo_id), NOWHERE)) for _, alert in unmuted]
        await self._delivery.send([*outgoing, *others])
        await self._mark_delivered(alerts)
        prometheus.RECORDS_OUT.labels(stage=STAGE).inc(len(unmuted))
        for _, alert in unmuted:
            prometheus.ALERTS.labels(kind=alert.kind, state=alert.state).inc()

    async def _watch_silence(self, scores: Mapping[str, Sequence[RiskScored]]) -> None:
        """Have the silence of these users looked at, at the earliest when a pause can be one."""
        if self._silences is not None and self._rules.silences_per_year:
            first = await self._silences.now() + timedelta(days=SHORTEST_DAYS)
            await self._silences.put({several[0].user_id: first for several in scores.values()})

    def _decoded(
        self, sources: Sequence[Source]
    ) -> tuple[
        dict[str, list[RiskScored]], dict[str, list[int]], dict[tuple[str, str], Source], list[tuple[Source, Poison]]
    ]:  # fmt: skip
        """Scores and Kafka's timestamps of them by user, source records by user and memo, and undecodable records."""
        scores: dict[str, list[RiskScored]] = defaultdict(list)
        timestamps_ms: dict[str, list[int]] = defaultdict(list)
        causes, failures = {}, []
        for source in sources:
            try:
                score = self._delivery.codec.decode(source.value, RiskScored)
            except DecodeError as error:
                failures.append((source, Poison("event:undecodable", str(error))))
                continue
            scores[DRIFT.key(score.user_id)].append(score)
            timestamps_ms[DRIFT.key(score.user_id)].append(source.timestamp_ms)
            causes[score.user_id, score.memo_id] = source
        return scores, timestamps_ms, causes, failures

    def _following(
        self,
        scores: Mapping[str, Sequence[RiskScored]],
        timestamps_ms: Mapping[str, Sequence[int]],
        rules: Rules,
        excluded: Mapping[str, Exclusions],
    ) -> Callable[[str, bytes | None], tuple[bytes | None, Followed]]:
        now_s = self._clock().timestamp()

        def follow(key: str, state: bytes | None) -> tuple[bytes | None, Followed]:
            try:
                followed = follow_in_detail(state, scores[key], rules, now_s, timestamps_ms[key], excluded[key])
            except Exception as error:
                if state is None:
                    raise
                follow(key, None)  # raises where a score is at fault
                raise UnreadableState(f"a drift state that cannot be continued: {type(error).__name__}") from None
            if state is not None and not followed.readable:
                unpack(state)  # raises UnreadableState
            if any(DRIFT.key(alert.user_id) != key for alert in followed.alerts):
                raise UnreadableState("drift state of another user")
            return (None if followed.state == state else followed.state), followed

        return follow

    async def _excluded(self, scores: Mapping[str, Sequence[RiskScored]]) -> Mapping[str, Exclusions]:
        """Times within which memos are left out, by the key of the user's state."""
        keys = {EXCLUSIONS.key(several[0].user_id): key for key, several in scores.items()}
        stored = await self._store.update(
            list(keys), lambda _, data: (None, exclusions.load(data)), ttl_s=self._state_ttl_s
        )
        return {keys[key]: found for key, found in stored.items()}

    async def _add_to_pool(self, followed: Mapping[str, Followed]) -> None:
        pairs, products = (sum(getattr(one, name) for one in followed.values()) for name in ("pairs", "products"))
        if pairs:
            await self._store.update(
                [POOL.key()],
                lambda _, pool: (Pool.from_bytes(pool).plus(pairs, products).to_bytes(), None),
                ttl_s=self._state_ttl_s,
            )

    async def _not_muted(self, alerts: Alerts) -> Alerts:
        """The alerts that are not muted; suppressed ones are counted in their mute.

        `resolved` is always published: otherwise a receiver of `raised` would keep the episode open forever.
        """
        if not alerts:
            return alerts
        now = self._clock()
        stored = await self._store.update([MUTES.key()], lambda _, data: (None, mutes.load(data)), ttl_s=mutes.TTL_S)
        active = stored[MUTES.key()]
        resolved = AlertState.RESOLVED
        users = [alert.user_id for _, alert in alerts if alert.state is not resolved]
        suppressed = [user for user in users if mutes.muted_by(active, user, now)]
        if suppressed:
            await self._store.update(
                [MUTES.key()],
                lambda _, data: (mutes.dump(mutes.with_withheld(mutes.load(data), suppressed, now), now), None),
                ttl_s=mutes.TTL_S,
            )
        return [(key, alert) for key, alert in alerts if alert.state is resolved or alert.user_id not in suppressed]

    async def _mark_delivered(self, alerts: Alerts) -> None:
        ids: dict[str, list[str]] = defaultdict(list)
        for key, alert in alerts:
            ids[key].append(alert.alert_id)

        def mark(key: str, state: bytes | None) -> tuple[bytes | None, None]:
            return (None if state is None else delivered(state, ids[key])), None

        await self._store.update(list(ids), mark, ttl_s=self._state_ttl_s)

    def _count(self, followed: Mapping[str, Followed]) -> None:
        for one in followed.values():
            for outcome in one.outcomes:
                prometheus.DRIFT_UPDATES.labels(outcome=outcome).inc()
                if outcome is Outcome.RESTARTED:
                    prometheus.BASELINE_RESETS.labels(reason="bundle").inc()
        prometheus.ALERTS_BUDGETED.inc(
            sum(len(one.outcomes) for one in followed.values()) * self._rules.alerts_per_memo
        )

    def _observe_latency(self, scores: Iterable[RiskScored]) -> None:
        """Observe end-to-end latency from upload and from recording, also of memos without an alert."""
        now = self._clock().timestamp()
        for score in scores:
            prometheus.observe_latency(STAGE, score.recorded_at, score.uploaded_at, now)


def _outgoing(alert: RiskAlert, cause: Source) -> Outgoing:
    return Outgoing(topics.ALERTS, alert.user_id.encode(), alert, cause)
