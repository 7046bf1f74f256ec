"""The drift hop: scores in, alerts out.

For a batch: change every user's state by compare-and-set, publish the alerts that the states still hold, mark them
delivered. The state keeps an alert until then, so a crash in between costs nothing, and a score that comes again
changes nothing. Alerts that an operator has muted are counted and marked delivered, but not published, unless they end
an episode.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from schemas import topics
from schemas.codec import DecodeError
from schemas.errors import Poison
from schemas.events import AlertState, RiskAlert, RiskScored
from schemas.state_keys import DRIFT, MUTES, POOL, PRIOR
from streams.drift import mutes
from streams.drift.detector import DAY_S, Outcome
from streams.drift.pooled_autocorrelation import PRIOR_DAYS, Pool, prior_from_bytes, prior_to_bytes
from streams.drift.rules import Rules
from streams.drift.user_state import Followed, delivered, follow_in_detail
from workers.kafka.producer import Delivery, Outgoing
from workers.kafka.record import Batch, Source
from workers.service import prometheus
from workers.state.store import Store

STAGE = "drift"
NOWHERE = Source(topics.SCORED.name, -1, -1, None, None)
"""The cause of an alert whose own is not at hand; its trace then follows from its memo."""

Alerts = Sequence[tuple[str, RiskAlert]]
"""Alerts, each with the key of its user's state."""


async def with_prior(rules: Rules, store: Store) -> Rules:
    """The rules, with the autocorrelation that is assumed of whoever begins now. Raises Transient.

    When none is in force, what is known of all users becomes it, once for all agents.
    """
    held = await store.read([PRIOR.key(), POOL.key()])
    prior = prior_from_bytes(held[PRIOR.key()])
    if prior is None:
        pooled = Pool.from_bytes(held[POOL.key()]).autocorrelation(rules.chart.phi)

        def first(_: str, stored: bytes | None) -> tuple[bytes | None, float]:
            other = prior_from_bytes(stored)
            return (prior_to_bytes(pooled), pooled) if other is None else (None, other)

        prior = (await store.update([PRIOR.key()], first, ttl_s=PRIOR_DAYS * DAY_S))[PRIOR.key()]
    return rules._replace(chart=rules.chart._replace(phi=prior))


class DriftAgent:
    """Follows every user's scores and delivers alerts.

    state_ttl_s: seconds that a user's state lives since it was last written; clock: the time now, aware, by which mutes
    begin and end.
    """

    def __init__(
        self, rules: Rules, state_ttl_s: float, store: Store, delivery: Delivery, clock: Callable[[], datetime]
    ) -> None:
        self._rules, self._state_ttl_s, self._store, self._delivery = rules, state_ttl_s, store, delivery
        self._clock = clock

    async def process(self, batch: Batch) -> None:
        """Do everything that these scores ask for; when it returns, all of it is delivered. Raises Transient."""
        scores, causes, failures = self._decoded(batch.sources)
        prometheus.RECORDS_FAILED.labels(stage=STAGE).inc(len(failures))
        lost = self._store.lost
        rules = await with_prior(self._rules, self._store)
        following = self._following(scores, rules)
        followed = await self._store.update(list(scores), following, ttl_s=self._state_ttl_s)
        prometheus.BASELINE_RESETS.labels(reason="lost").inc(self._store.lost - lost)
        await self._add_to_pool(followed)
        alerts = [(key, alert) for key, one in followed.items() for alert in one.alerts]
        audible = await self._not_muted(alerts)
        # An alert that a crash held back may be of a memo that is not among these scores.
        outgoing = [_outgoing(alert, causes.get(alert.memo_id, NOWHERE)) for _, alert in audible]
        await self._delivery.send(outgoing + self._delivery.dead_letters(failures))
        await self._mark_delivered(alerts)
        self._count(followed, audible)
        self._observe_latency(score for several in scores.values() for score in several)

    def _decoded(
        self, sources: Sequence[Source]
    ) -> tuple[dict[str, list[RiskScored]], dict[str, Source], list[tuple[Source, Poison]]]:
        """Scores by user, where each came from by memo, and what cannot be read."""
        scores: dict[str, list[RiskScored]] = defaultdict(list)
        causes, failures = {}, []
        for source in sources:
            try:
                score = self._delivery.codec.decode(source.value, RiskScored)
            except DecodeError as error:
                failures.append((source, Poison("event:undecodable", str(error))))
                continue
            scores[DRIFT.key(score.user_id)].append(score)
            causes[score.memo_id] = source
        return scores, causes, failures

    def _following(
        self, scores: Mapping[str, Sequence[RiskScored]], rules: Rules
    ) -> Callable[[str, bytes | None], tuple[bytes | None, Followed]]:
        def follow(key: str, state: bytes | None) -> tuple[bytes | None, Followed]:
            followed = follow_in_detail(state, scores[key], rules)
            return (None if followed.state == state else followed.state), followed

        return follow

    async def _add_to_pool(self, followed: Mapping[str, Followed]) -> None:
        pairs, products = (sum(getattr(one, name) for one in followed.values()) for name in ("pairs", "products"))
        if pairs:
            await self._store.update(
                [POOL.key()],
                lambda _, pool: (Pool.from_bytes(pool).plus(pairs, products).to_bytes(), None),
                ttl_s=self._state_ttl_s,
            )

    async def _not_muted(self, alerts: Alerts) -> Alerts:
        """The alerts that nobody has muted; the others are counted in their mute.

        The end of an episode is told in any case: who was told of its beginning would keep it open for ever.
        """
        if not alerts:
            return alerts
        now = self._clock()
        active = mutes.load((await self._store.read([MUTES.key()]))[MUTES.key()])
        begun = [(key, alert) for key, alert in alerts if alert.state is not AlertState.RESOLVED]
        withheld = [alert.user_id for _, alert in begun if mutes.muted_by(active, alert.user_id, now)]
        if withheld:
            await self._store.update(
                [MUTES.key()],
                lambda _, data: (mutes.dump(mutes.with_withheld(mutes.load(data), withheld, now), now), None),
                ttl_s=mutes.TTL_S,
            )
        over = AlertState.RESOLVED
        return [(key, alert) for key, alert in alerts if alert.state is over or alert.user_id not in withheld]

    async def _mark_delivered(self, alerts: Alerts) -> None:
        ids: dict[str, list[str]] = defaultdict(list)
        for key, alert in alerts:
            ids[key].append(alert.alert_id)

        def mark(key: str, state: bytes | None) -> tuple[bytes | None, None]:
            return (None if state is None else delivered(state, ids[key])), None

        await self._store.update(list(ids), mark, ttl_s=self._state_ttl_s)

    def _count(self, followed: Mapping[str, Followed], alerts: Alerts) -> None:
        prometheus.RECORDS_OUT.labels(stage=STAGE).inc(len(alerts))
        for _, alert in alerts:
            prometheus.ALERTS.labels(kind=alert.kind, state=alert.state).inc()
        for one in followed.values():
            if not one.readable:
                prometheus.BASELINE_RESETS.labels(reason="unreadable").inc()
            for outcome in one.outcomes:
                prometheus.DRIFT_UPDATES.labels(outcome=outcome).inc()
                if outcome is Outcome.RESTARTED:
                    prometheus.BASELINE_RESETS.labels(reason="bundle").inc()
        prometheus.ALERTS_BUDGETED.inc(
            sum(len(one.outcomes) for one in followed.values()) * self._rules.alerts_per_memo
        )

    def _observe_latency(self, scores: Iterable[RiskScored]) -> None:
        """From upload and recording to here: the whole way, also of memos that lead to no alert."""
        now = self._clock().timestamp()
        for score in scores:
            prometheus.observe_latency(STAGE, score.recorded_at, score.uploaded_at, now)


def _outgoing(alert: RiskAlert, cause: Source) -> Outgoing:
    return Outgoing(topics.ALERTS, alert.user_id.encode(), alert, cause)
