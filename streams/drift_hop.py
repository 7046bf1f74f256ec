"""The drift hop: scores in, alerts out.

For a batch: change every user's state by compare-and-set, publish the alerts that the states still hold, mark them
delivered. The state keeps an alert until then, so a crash in between costs nothing, and a score that comes again
changes nothing.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from schemas import topics
from schemas.codec import DecodeError
from schemas.errors import Poison
from schemas.events import RiskAlert, RiskScored
from schemas.settings import Settings
from streams.follow import Followed, delivered, follow_in_detail
from streams.rules import Rules
from streams.store import WATCHED, Store
from workers import instruments
from workers.dead_letters import Source
from workers.delivery import Delivery, Outgoing

STAGE = "drift"


class DriftHop:
    """Follows every user's scores and delivers alerts."""

    def __init__(self, settings: Settings, rules: Rules, store: Store, delivery: Delivery) -> None:
        self._settings, self._rules, self._store, self._delivery = settings, rules, store, delivery

    async def process(self, sources: Sequence[Source]) -> None:
        """Do everything that these scores ask for; when it returns, all of it is delivered. Raises Transient."""
        instruments.RECORDS_IN.labels(stage=STAGE).inc(len(sources))
        scores, causes, failures = self._decoded(sources)
        followed = await self._store.update(list(scores), self._following(scores), ttl_s=self._settings.state_ttl_s)
        alerts = [(key, alert) for key, one in followed.items() for alert in one.alerts]
        outgoing = [_outgoing(alert, causes[key]) for key, alert in alerts]
        await self._delivery.send(outgoing + self._delivery.dead_letters(failures))
        await self._mark_delivered(alerts)
        self._count(followed, alerts)

    def _decoded(
        self, sources: Sequence[Source]
    ) -> tuple[dict[str, list[RiskScored]], dict[str, Source], list[tuple[Source, Poison]]]:
        scores: dict[str, list[RiskScored]] = defaultdict(list)
        causes, failures = {}, []
        for source in sources:
            try:
                score = self._delivery.codec.decode(source.value, RiskScored)
            except DecodeError as error:
                failures.append((source, Poison("event:undecodable", str(error))))
                continue
            key = drift_key(score.user_id)
            scores[key].append(score)
            causes[key] = source
        return scores, causes, failures

    def _following(
        self, scores: Mapping[str, Sequence[RiskScored]]
    ) -> Callable[[str, bytes | None], tuple[bytes | None, Followed]]:
        def follow(key: str, state: bytes | None) -> tuple[bytes | None, Followed]:
            followed = follow_in_detail(state, scores[key], self._rules)
            return (None if followed.state == state else followed.state), followed

        return follow

    async def _mark_delivered(self, alerts: Sequence[tuple[str, RiskAlert]]) -> None:
        ids: dict[str, list[str]] = defaultdict(list)
        for key, alert in alerts:
            ids[key].append(alert.alert_id)

        def mark(key: str, state: bytes | None) -> tuple[bytes | None, None]:
            return (None if state is None else delivered(state, ids[key])), None

        await self._store.update(list(ids), mark, ttl_s=self._settings.state_ttl_s)

    def _count(self, followed: Mapping[str, Followed], alerts: Sequence[tuple[str, RiskAlert]]) -> None:
        instruments.RECORDS_OUT.labels(stage=STAGE).inc(len(alerts))
        for _, alert in alerts:
            instruments.ALERTS.labels(kind=alert.kind, state=alert.state).inc()
        for one in followed.values():
            if not one.readable:
                instruments.BASELINE_RESETS.labels(reason="unreadable").inc()
            for outcome in one.outcomes:
                instruments.DRIFT_UPDATES.labels(outcome=outcome).inc()


def drift_key(user_id: str) -> str:
    """Key of a user's drift state. The braces keep all keys of a user in one slot of a Redis cluster."""
    return f"{WATCHED}{{{user_id}}}"


def _outgoing(alert: RiskAlert, cause: Source) -> Outgoing:
    return Outgoing(topics.ALERTS, alert.user_id.encode(), alert, cause)
